"""Zip and tar archives, read in place: no member is ever unpacked to disk.

Opening an archive lists the members with their offsets. Each read opens the file, reads at the offset and closes it,
so threads never share a file position and no file stays open. A compressed tar has no such offsets: it is
decompressed once, as a plain tar, into the cache.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from thalweg._files import cache_folder, replacing
from thalweg.data.digests import digest_file
from thalweg.data.sources import Note, points_outside, stamp_of, without_litter
from thalweg.errors import BadImageError, DataError, StorageError


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# No photo is larger: a member that claims more is a zip bomb or a mistake.
MAX_MEMBER_BYTES = 1 << 30

_LOCAL_HEADER = struct.Struct("<4s22xHH")
_UTF8_NAME = 0x800
_ENCRYPTED = 0x1
_OPENERS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}


@dataclass(frozen=True, slots=True)
class _Member:
    """Offset and sizes of a member in bytes, and its compression."""

    offset: int
    packed: int
    size: int
    method: int = zipfile.ZIP_STORED
    crc: int | None = None


class ZipSource:
    """The members of a zip.

    Args:
        path: the archive.

    Raises:
        DataError: not a zip, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                found = {
                    _zip_name(info): _Member(info.header_offset, info.compress_size, info.file_size, method, info.CRC)
                    for info in archive.infolist()
                    if not info.is_dir()
                    for method in [-1 if info.flag_bits & _ENCRYPTED else info.compress_type]
                }
        except (zipfile.BadZipFile, OSError, NotImplementedError) as error:
            raise DataError("data.broken_archive", path=path, reason=error) from error
        self._members, self.notes = _safe(found)

    def names(self) -> tuple[str, ...]:
        """All members except folders."""
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """The content of one member, its checksum verified."""
        member = _member(self._members, name)
        try:
            with self.path.open("rb") as file:
                file.seek(member.offset)
                signature, name_length, extra_length = _LOCAL_HEADER.unpack(file.read(_LOCAL_HEADER.size))
                file.seek(name_length + extra_length, 1)
                packed = file.read(member.packed)
            content = _unpack(packed, member, name)
        except (OSError, struct.error, zlib.error) as error:
            raise BadImageError("data.bad_unreadable", path=name, reason=error) from error
        if signature != b"PK\x03\x04" or zlib.crc32(content) != member.crc:
            raise BadImageError("data.bad_checksum", path=name)
        return content

    def stamp(self, name: str) -> str | None:
        """The checksum stored in the archive, with the size."""
        member = self._members.get(name)
        return f"{member.crc}-{member.size}" if member else None


class TarSource:
    """The members of a tar, plain or compressed with gzip, bzip2 or xz.

    Args:
        path: the archive.

    Raises:
        DataError: not a tar, or damaged.
        StorageError: the tar is compressed and the cache cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._plain = _plain_tar(path)
            with tarfile.open(self._plain, "r:") as archive:
                found: dict[str, _Member] = {}
                for info in archive:
                    if info.isfile() and not info.sparse:
                        found[info.name] = _Member(info.offset_data, info.size, info.size)
                    elif info.islnk() and info.linkname in found:
                        found[info.name] = found[info.linkname]
        except (tarfile.TarError, OSError) as error:
            raise DataError("data.broken_archive", path=path, reason=error) from error
        self._members, self.notes = _safe(dict(zip(_tar_names(list(found)), found.values(), strict=True)))
        self._stamp = stamp_of(self._plain)

    def names(self) -> tuple[str, ...]:
        """All members that are files."""
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """The content of one member."""
        member = _member(self._members, name)
        try:
            with self._plain.open("rb") as file:
                file.seek(member.offset)
                content = file.read(member.size)
        except OSError as error:
            raise BadImageError("data.bad_unreadable", path=name, reason=error.strerror or error) from error
        if len(content) < member.size:
            raise BadImageError("data.bad_truncated", path=name, size=len(content))
        return content

    def stamp(self, name: str) -> str | None:
        """The archive's own stamp with the member's offset: a tar stores no checksums of contents."""
        member = self._members.get(name)
        return f"{self._stamp}-{member.offset}" if member and self._stamp else None


def is_tar(path: Path) -> bool:
    """Whether the name has a tar's extension, compressed or not."""
    return path.name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"))


def _member(members: dict[str, _Member], name: str) -> _Member:
    member = members.get(name)
    if member is None:
        raise BadImageError("data.bad_missing", path=name)
    if member.size > MAX_MEMBER_BYTES:
        raise BadImageError("data.bad_too_many_bytes", path=name, limit=MAX_MEMBER_BYTES >> 20)
    return member


def _unpack(packed: bytes, member: _Member, name: str) -> bytes:
    if member.method == zipfile.ZIP_STORED:
        return packed
    if member.method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)
    raise BadImageError("data.bad_packing", path=name)


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name; tools that declare no encoding wrote UTF-8 or that of Chinese Windows (GBK)."""
    name = info.filename
    if not info.flag_bits & _UTF8_NAME and not name.isascii():
        try:
            raw = name.encode("cp437")
        except UnicodeEncodeError:
            return name.replace("\\", "/")
        for encoding in ("utf-8", "gb18030"):
            try:
                name = raw.decode(encoding)
                break
            except UnicodeDecodeError:
                continue
    return name.replace("\\", "/")


def _tar_names(names: Sequence[str]) -> list[str]:
    """The names, in UTF-8 or that of Chinese Windows (GBK): one GBK name may be valid UTF-8 by chance, hardly all."""
    raw = [name.removeprefix("./").encode("utf-8", "surrogateescape") for name in names]
    for encoding in ("utf-8", "gb18030"):
        with suppress(UnicodeDecodeError):
            return [name.decode(encoding) for name in raw]
    return [name.decode("utf-8", "replace") for name in raw]


def _safe(found: dict[str, _Member]) -> tuple[dict[str, _Member], tuple[Note, ...]]:
    """Leave out members whose names point out of the archive, with a note; litter is left out silently."""
    outside = [name for name in found if points_outside(name)]
    members = {name: found[name] for name in sorted(without_litter(found.keys() - outside))}
    if not outside:
        return members, ()
    return members, (Note("data.note_names_outside", {"count": len(outside), "example": outside[0]}),)


def _plain_tar(path: Path) -> Path:
    """The path itself, or that of its decompressed copy in the cache, keyed by content."""
    with path.open("rb") as file:
        head = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None:
        return path
    plain = cache_folder() / "archives" / f"{digest_file(path)}.tar"
    if not plain.exists():
        with (
            _pointing_to_the_cache(plain),
            opener(path, "rb") as packed,
            replacing(plain) as part,
            part.open("wb") as file,
        ):
            while block := _read_packed(packed, path):
                file.write(block)
    return plain


def _read_packed(packed: IO[bytes], path: Path) -> bytes:
    """One block; separates a damaged archive from a disk that cannot be written."""
    try:
        return packed.read(1 << 20)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise DataError("data.broken_archive", path=path, reason=error) from error


@contextmanager
def _pointing_to_the_cache(path: Path) -> Iterator[None]:
    """Turn a failed write into a message that says how to move the cache.

    Raises:
        StorageError: in place of any `StorageError` raised inside.
    """
    try:
        yield
    except StorageError as error:
        raise StorageError("data.cannot_write_cache", path=path, reason=error.values.get("reason", error)) from error
