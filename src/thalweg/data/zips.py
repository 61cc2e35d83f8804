"""Zip archives, read in place.

The central directory is read as it is stored: names as bytes, so that their encoding can be decided over all of them
(`zipfile` takes them for CP437, or fails where the flag of UTF-8 is wrong), and every offset and size is compared with
the file before it is believed.
"""

from __future__ import annotations

import bz2
import lzma
import zipfile
import zlib
from itertools import pairwise
from struct import Struct
from struct import error as StructError  # noqa: N812 - a class, whatever its name
from typing import IO, TYPE_CHECKING, Final, NamedTuple

from thalweg.data.archive_kinds import broken, refusal
from thalweg.data.member_names import checked_encoding
from thalweg.data.members import Entry, Link, Member, Members
from thalweg.errors import BadImageError, DataError


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOCAL: Final = Struct("<4s22xHH")
_CENTRAL: Final = Struct("<4sBBHHHHHIIIHHHHHII")
_END: Final = Struct("<4sHHHHIIH")
_LZMA_PROPERTIES: Final = Struct("<BI")
_LOCATOR_64: Final = Struct("<4sIQI")
_END_64: Final = Struct("<4sQHHIIQQQQ")
_LONGEST_COMMENT: Final = 0xFFFF
_BIGGEST_DIRECTORY: Final = 1 << 30
_LONGEST_TARGET: Final = 4096

_UTF8_NAME: Final = 0x800
_ENCRYPTED: Final = 0x1 | 0x40
_UNIX: Final = 3
_FULL: Final = 0xFFFFFFFF  # the true value is in the extra field
_UNREAD_METHODS: Final = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 96: "JPEG", 98: "PPMd"}
_MOST_PER_BYTE: Final = 1033  # deflate makes no more of a byte


class ZipSource:
    """The members of a zip.

    Args:
        path: the archive.
        encoding: of names without the flag of UTF-8, such as `cp437`; `None` decides by plausibility over all names.

    Raises:
        DataError: not a zip, a part of one, damaged, or all of it encrypted.
        UsageError: no such encoding.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        encoding = checked_encoding(encoding)
        try:
            with path.open("rb") as file:
                entries = _entries(file, path)
        except OSError as error:
            raise DataError("data.broken_archive", path=path, reason=error.strerror or error) from error
        if entries and all(getattr(entry.content, "fault", None) == "data.bad_encrypted" for entry in entries):
            raise DataError("data.archive_encrypted", path=path, count=len(entries))
        self._members = Members(entries, encoding=encoding, backslashes=True)
        self.notes = self._members.notes

    def names(self) -> tuple[str, ...]:
        """All members except folders."""
        return self._members.names()

    def read(self, name: str) -> bytes:
        """The content of one member, its checksum verified."""
        member = self._members.readable(name)
        try:
            with self.path.open("rb") as file:
                content = _content(file, member)
        except OSError as error:
            raise BadImageError("data.bad_unreadable", path=name, reason=error.strerror or error) from error
        except BadImageError as error:
            raise BadImageError(error.key, **error.values | {"path": name}) from error
        if zlib.crc32(content) != member.crc:
            raise BadImageError("data.bad_checksum", path=name)
        return content

    def stamp(self, name: str) -> str | None:
        """The checksum stored in the archive, with the size."""
        member = self._members.get(name)
        return f"{member.crc}-{member.size}" if member else None


class _Directory(NamedTuple):
    """Where the central directory lies, and by how much stored offsets are off because of bytes put before the zip."""

    offset: int
    size: int
    shift: int


class _Stored(NamedTuple):
    """One entry of the central directory."""

    raw: bytes
    is_utf8: bool
    member: Member
    is_link: bool


def _entries(file: IO[bytes], path: Path) -> list[Entry]:
    """All entries except folders."""
    length = file.seek(0, 2)
    directory = _find_directory(file, length, path)
    file.seek(directory.offset)
    found = list(_listed(file.read(directory.size), directory, length, path))
    overlapping = _overlapping([one.member for one in found])
    entries = []
    for one in found:
        member = one.member
        if member.offset in overlapping and not member.fault:
            member = member._replace(fault="data.bad_overlaps")
        entries.append(Entry(one.raw, one.is_utf8, _target(file, member) if one.is_link else member))
    return entries


def _find_directory(file: IO[bytes], length: int, path: Path) -> _Directory:
    """Find the central directory by the record at the end of the file.

    Raises:
        DataError: there is none, it lies elsewhere than stated, or the zip is one of several parts.
    """
    start = max(0, length - _END.size - _LONGEST_COMMENT)
    file.seek(start)
    tail = file.read()
    place = _place_of_end(tail)
    if place is None:
        file.seek(0)
        head = file.read(512)
        raise broken(path, "cut_off") if head.startswith(b"PK\x03\x04") else refusal(path, head, "no_zip")
    _, disk, first_disk, here, _, size, stated, _ = _END.unpack_from(tail, place)
    end = start + place
    start_64 = end - _LOCATOR_64.size - _END_64.size
    if start_64 >= 0:
        file.seek(start_64)
        magic_64, *_, size_64, stated_64 = _END_64.unpack(file.read(_END_64.size))
        magic, first_disk_64, _, disks = _LOCATOR_64.unpack(file.read(_LOCATOR_64.size))
        if magic == b"PK\x06\x07" and disks > 1:
            raise DataError("data.archive_in_parts", path=path)
        if magic == b"PK\x06\x07" and magic_64 == b"PK\x06\x06":
            size, stated, end, disk, first_disk = size_64, stated_64, start_64, 0, first_disk_64
    if disk not in {0, 0xFFFF} or first_disk not in {0, 0xFFFF}:
        raise DataError("data.archive_in_parts", path=path)
    offset = end - size
    if size > _BIGGEST_DIRECTORY or offset < 0 or stated > offset or (here and not size):
        raise broken(path, "directory_outside")
    return _Directory(offset, size, offset - stated)


def _place_of_end(tail: bytes) -> int | None:
    """Where in the last bytes of a file the record of the end begins; its comment may contain the same signature."""
    place = last = tail.rfind(b"PK\x05\x06")
    while place >= 0:
        if place + _END.size <= len(tail) and place + _END.size + _END.unpack_from(tail, place)[7] == len(tail):
            return place
        place = tail.rfind(b"PK\x05\x06", 0, place)
    return last if 0 <= last <= len(tail) - _END.size else None  # bytes were put behind it


def _listed(content: bytes, directory: _Directory, length: int, path: Path) -> Iterator[_Stored]:
    """The entries of the central directory, folders left out.

    Raises:
        DataError: an entry is damaged.
    """
    place = 0
    while place + _CENTRAL.size <= len(content):
        (magic, _, host, _, flags, method, _, _, crc, packed, size, name_length, extra_length, comment_length, _, _,
         mode, offset) = _CENTRAL.unpack_from(content, place)  # fmt: skip
        place += _CENTRAL.size
        following = place + name_length + extra_length + comment_length
        if magic != b"PK\x01\x02" or following > len(content):
            raise broken(path, "directory_damaged", offset=directory.offset + place - _CENTRAL.size)
        raw = content[place : place + name_length].partition(b"\0")[0]
        is_utf8 = bool(flags & _UTF8_NAME)
        if extra_length:
            extra = _extra_fields(content[place + name_length : place + name_length + extra_length])
            if 0x0001 in extra:
                size, packed, offset = _sizes_64(extra[0x0001], size, packed, offset)
            if extra.get(0x7075, b"").startswith(b"\1" + zlib.crc32(raw).to_bytes(4, "little")):
                raw, is_utf8 = extra[0x7075][5:], True  # the name a second time, in UTF-8
        place = following
        if raw.endswith((b"/", b"\\")) and not size:
            continue
        member = Member(offset + directory.shift, packed, size, method, crc, _fault(flags, method, packed, size))
        if member.offset + _LOCAL.size + packed > length and not member.fault:
            member = member._replace(fault="data.bad_outside")
        yield _Stored(raw, is_utf8, member, host == _UNIX and mode >> 28 == 0o12)


def _fault(flags: int, method: int, packed: int, size: int) -> str | None:
    if flags & _ENCRYPTED:
        return "data.bad_encrypted"
    if method == zipfile.ZIP_STORED:
        return None if packed == size else "data.bad_sizes"
    too_much = method == zipfile.ZIP_DEFLATED and size > _MOST_PER_BYTE * (packed + 1)
    return "data.bad_sizes" if too_much else None


def _extra_fields(content: bytes) -> dict[int, bytes]:
    fields = {}
    while len(content) >= 4:
        length = int.from_bytes(content[2:4], "little")
        fields[int.from_bytes(content[:2], "little")] = content[4 : 4 + length]
        content = content[4 + length :]
    return fields


def _sizes_64(field: bytes, *values: int) -> list[int]:
    """Size, packed size and offset, those that do not fit in four bytes from the field that has them in eight."""
    large = [int.from_bytes(field[start : start + 8], "little") for start in range(0, len(field) - 7, 8)]
    return [large.pop(0) if value == _FULL and large else value for value in values]


def _overlapping(members: list[Member]) -> set[int]:
    """The offsets of members that reach into the next one: so the file bounds the sum of all, too."""
    spans = sorted({(member.offset, member.packed) for member in members})
    return {offset for (offset, packed), (following, _) in pairwise(spans) if offset + _LOCAL.size + packed > following}


def _target(file: IO[bytes], member: Member) -> Member | Link:
    """The link whose target is the member's content; the member itself if that cannot be read."""
    if member.fault or member.size > _LONGEST_TARGET:
        return member
    try:
        return Link(_content(file, member), is_symbolic=True)
    except (OSError, BadImageError):
        return member


def _content(file: IO[bytes], member: Member) -> bytes:
    """The content of a member, unpacked but not yet checked.

    Raises:
        BadImageError: without the name of the photo, which only the caller knows.
    """
    file.seek(member.offset)
    header = file.read(_LOCAL.size)
    if len(header) < _LOCAL.size or not header.startswith(b"PK\x03\x04"):
        raise BadImageError("data.bad_header")
    _, name_length, extra_length = _LOCAL.unpack(header)
    file.seek(name_length + extra_length, 1)
    packed = file.read(member.packed)
    if len(packed) < member.packed:
        raise BadImageError("data.bad_outside")
    try:
        return _unpacked(packed, member)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, StructError) as error:
        raise BadImageError("data.bad_packed") from error


def _unpacked(packed: bytes, member: Member) -> bytes:
    """The bytes, one more than stated at most, so that no bomb goes off and the checksum tells the rest."""
    most = member.size + 1
    match member.method:
        case zipfile.ZIP_STORED:
            return packed
        case zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, most)
        case zipfile.ZIP_BZIP2:
            return bz2.BZ2Decompressor().decompress(packed, most)
        case zipfile.ZIP_LZMA:
            return _lzma(packed, most)
    method = _UNREAD_METHODS.get(member.method, str(member.method))
    raise BadImageError("data.bad_method", method=method)


def _lzma(packed: bytes, most: int) -> bytes:
    """Two bytes of version, the length of the properties, the properties, then a raw stream."""
    properties_length = int.from_bytes(packed[2:4], "little")
    literal, dictionary = _LZMA_PROPERTIES.unpack_from(packed, 4)
    options = {
        "id": lzma.FILTER_LZMA1,
        "lc": literal % 9,
        "lp": literal // 9 % 5,
        "pb": literal // 45,
        "dict_size": max(4096, min(dictionary, most)),  # more than the content is never used, but would be allocated
    }
    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options])
    return stream.decompress(packed[4 + properties_length :], most)
