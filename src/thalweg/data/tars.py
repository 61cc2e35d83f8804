"""Tar archives, read in place; a compressed one is unpacked once, as a plain tar, into the cache.

The headers are read here and not by `tarfile`, which stops silently at a damaged one, goes round in a circle where a
size is negative, and takes seconds for a hundred thousand members.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import zlib
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Final

from thalweg._files import cache_folder, replacing
from thalweg.data.archive_kinds import broken, refusal
from thalweg.data.digests import digest_file
from thalweg.data.member_names import checked_encoding
from thalweg.data.members import Entry, Link, Member, Members
from thalweg.data.sources import Note, stamp_of
from thalweg.errors import BadImageError, DataError, StorageError


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

EMPTY_TARS: Final = (1024, 10_240)  # bytes of a tar without members
HEADER_BYTES: Final = 512  # and contents begin at a multiple of it
_PADDING_READ: Final = 1 << 20  # how far behind the end's zeros another archive is looked for
_LONGEST_EXTRA: Final = 1 << 20  # of a long name, or of a header in the pax format
_KEPT_FREE: Final = 1 << 30  # bytes of the disk that an unpacked copy leaves
_OPENERS: Final = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}

_HARD_LINK, _SYMBOLIC_LINK = b"1", b"2"
_WITHOUT_CONTENT: Final = b"3456"  # devices, folders, pipes
_SPARSE: Final = b"S"
_GNU_NAME, _GNU_TARGET = b"L", b"K"
_PAX: Final = b"xX"
_UTF_8: Final = b"ISO-IR 10646 2000 UTF-8"  # what the pax format calls it
_PASSED_OVER: Final = b"gVDMN"  # headers for all that follows, labels, listings, parts of other archives


class TarSource:
    """The members of a tar, plain or compressed with gzip, bzip2 or xz.

    Args:
        path: the archive.
        encoding: of the names, such as `gb18030`; `None` decides by plausibility over all names.

    Raises:
        DataError: not a tar, or damaged.
        StorageError: the tar is compressed and the cache cannot be written.
        UsageError: no such encoding.
    """

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        encoding = checked_encoding(encoding)
        try:
            self._plain, entries, notes = _opened(path)
        except OSError as error:
            raise DataError("data.broken_archive", path=path, reason=error.strerror or error) from error
        self._members = Members(entries, encoding=encoding)
        self.notes = (*self._members.notes, *notes)
        self._stamp = stamp_of(self._plain)

    def names(self) -> tuple[str, ...]:
        """All members that are files, or links to one."""
        return self._members.names()

    def read(self, name: str) -> bytes:
        """The content of one member."""
        return next(self.read_all([name]))

    def read_all(self, names: Iterable[str]) -> Iterator[bytes]:
        """The contents of many members, with the archive opened once."""
        with ExitStack() as closing:
            file: IO[bytes] | None = None
            for name in names:
                member = self._members.readable(name)
                try:
                    file = file or closing.enter_context(self._plain.open("rb"))
                    file.seek(member.offset)
                    content = file.read(member.size)
                except OSError as error:
                    raise BadImageError("data.bad_unreadable", path=name, reason=error.strerror or error) from error
                if len(content) < member.size:
                    raise BadImageError("data.bad_truncated", path=name, size=len(content))
                yield content

    def stamp(self, name: str) -> str | None:
        """The archive's own stamp with the member's offset: a tar stores no checksums of contents."""
        member = self._members.get(name)
        return f"{self._stamp}-{member.offset}" if member and self._stamp else None


def _opened(path: Path) -> tuple[Path, list[Entry], list[Note]]:
    """The plain tar, its entries, and notes on it; a copy in the cache that is damaged is made again."""
    with path.open("rb") as file:
        head = file.read(6)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None:
        return path, *_entries(path, path)
    plain = cache_folder() / "archives" / f"{digest_file(path)}.tar"
    if plain.exists():
        try:
            return plain, *_entries(plain, path)
        except (OSError, DataError):
            plain.unlink(missing_ok=True)
    try:
        with opener(path, "rb") as packed:
            _unpack(packed, plain, path)
    except StorageError as error:
        raise StorageError("data.cannot_write_cache", path=plain, reason=error.values.get("reason", error)) from error
    return plain, *_entries(plain, path)


def _unpack(packed: IO[bytes], plain: Path, path: Path) -> None:
    """Write the plain tar, unless it does not begin as one, or would fill the disk.

    Raises:
        DataError: what is packed is no tar, or damaged.
        StorageError: it cannot be written, or leaves too little of the disk.
    """
    block = _read_packed(packed, path)
    if not (is_header(block[:HEADER_BYTES]) or is_empty_tar(block)):
        raise broken(path, "no_tar_inside")
    with replacing(plain) as part, part.open("wb") as file:
        while block:
            if shutil.disk_usage(plain.parent).free < _KEPT_FREE:
                raise StorageError("errors.cannot_write", path=plain, reason=Note("data.archive_fills_disk"))
            file.write(block)
            block = _read_packed(packed, path)


def _read_packed(packed: IO[bytes], path: Path) -> bytes:
    """One block; separates a damaged archive from a disk that cannot be written."""
    try:
        return packed.read(1 << 20)
    except EOFError as error:
        raise broken(path, "cut_off") from error
    except (OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise broken(path, "packed_damaged") from error


def _entries(plain: Path, path: Path) -> tuple[list[Entry], list[Note]]:
    """The entries that are files or links to files, and notes on what was left out.

    Raises:
        DataError: a header is damaged, or the file ends within a member.
    """
    with plain.open("rb", buffering=0) as file:
        headers = _Headers(file, path)
        entries = list(headers.entries())
    notes = []
    if headers.sparse:
        notes.append(Note("data.note_sparse", {"count": len(headers.sparse), "example": headers.sparse[0]}))
    if not headers.has_end:
        notes.append(Note("data.note_no_end", {"path": path, "count": len(entries)}))
    return entries, notes


class _Headers:
    """Reads the headers one after another.

    Args:
        file: the plain tar.
        path: the archive, for errors.

    Attributes:
        sparse: names of members that are stored in pieces.
        has_end: whether zeros mark the end, as they should.
    """

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file, self._path = file, path
        self._length = file.seek(0, 2)
        self._place = 0
        self.sparse: list[str] = []
        self.has_end = False

    def entries(self) -> Iterator[Entry]:
        """All files and links.

        Raises:
            DataError: a header is damaged, or the file ends within a member.
        """
        ahead: dict[str, bytes] = {}  # what special headers say about the next member
        while header := self._header():
            kind = header[156:157]
            name, size = ahead.get("path") or _name(header), self._size(header, ahead)
            offset = self._place
            if kind in _HARD_LINK + _SYMBOLIC_LINK + _WITHOUT_CONTENT:
                size = 0
            self._place += -(-size // HEADER_BYTES) * HEADER_BYTES
            if offset + size > self._length:
                raise broken(self._path, "ends_within", name=_shown(name), missing=offset + size - self._length)
            if kind in _GNU_NAME + _GNU_TARGET:
                ahead["path" if kind == _GNU_NAME else "linkpath"] = self._extra(offset, size).rstrip(b"\0")
                continue
            if kind in _PAX:
                ahead |= self._records(offset, size)
                continue
            if kind not in _PASSED_OVER + _WITHOUT_CONTENT and not name.endswith(b"/"):
                entry = self._entry(kind, name, header, Member(offset, size, size), ahead)
                if entry:
                    yield entry
            ahead = {}

    def _entry(self, kind: bytes, name: bytes, header: bytes, member: Member, ahead: dict[str, bytes]) -> Entry | None:
        is_utf8 = "path" in ahead and ahead.get("hdrcharset") == _UTF_8
        if kind in _HARD_LINK + _SYMBOLIC_LINK:
            target = ahead.get("linkpath") or header[157:257].partition(b"\0")[0]
            return Entry(name, is_utf8, Link(target, kind == _SYMBOLIC_LINK))
        if kind == _SPARSE or any(key.startswith("GNU.sparse") for key in ahead):
            self.sparse.append(_shown(ahead.get("GNU.sparse.name") or name))
            return None
        return Entry(name, is_utf8, member)

    def _header(self) -> bytes | None:
        """The next header; `None` at the end."""
        self._file.seek(self._place)
        header = self._file.read(HEADER_BYTES)
        if len(header) == HEADER_BYTES and not any(header):
            self.has_end = True
            header = self._behind_the_end()
        if not header:
            return None
        if not is_header(header):
            if self._place:
                raise broken(self._path, "header_damaged", offset=self._place)
            raise refusal(self._path, header, "no_tar")
        self._place += HEADER_BYTES
        if header[156:157] == _SPARSE and header[482:483] != b"\0":
            self._skip_pieces()
        return header

    def _behind_the_end(self) -> bytes | None:
        """The first header of another archive behind the zeros, as `cat a.tar b.tar` leaves it; seldom there."""
        behind = self._file.read(_PADDING_READ)
        zeros = (len(behind) - len(behind.lstrip(b"\0"))) // HEADER_BYTES * HEADER_BYTES
        header = behind[zeros : zeros + HEADER_BYTES]
        self._place += HEADER_BYTES + zeros
        return header if is_header(header) else None

    def _skip_pieces(self) -> None:
        """Pass over the further lists of pieces of a sparse member, which lie between header and content."""
        while block := self._file.read(HEADER_BYTES):
            self._place += HEADER_BYTES
            if len(block) < HEADER_BYTES or block[504:505] == b"\0":
                return

    def _size(self, header: bytes, ahead: dict[str, bytes]) -> int:
        try:
            size = int(ahead["size"]) if "size" in ahead else _number(header[124:136])
        except ValueError:
            size = -1
        if size < 0:
            raise broken(self._path, "size_wrong", name=_shown(ahead.get("path") or _name(header)))
        return size

    def _extra(self, offset: int, size: int) -> bytes:
        if size > _LONGEST_EXTRA:
            raise broken(self._path, "header_damaged", offset=offset - HEADER_BYTES)
        self._file.seek(offset)
        return self._file.read(size)

    def _records(self, offset: int, size: int) -> dict[str, bytes]:
        """The records `length key=value` of a header in the pax format."""
        content, found = self._extra(offset, size), {"hdrcharset": _UTF_8}
        while content.rstrip(b"\0"):
            length, space, _ = content[:20].partition(b" ")
            record = content[len(length) + 1 : int(length)] if length.isdigit() and space else b""
            key, equals, value = record.partition(b"=")
            if not equals or not value.endswith(b"\n"):
                raise broken(self._path, "header_damaged", offset=offset - HEADER_BYTES)
            found[key.decode("utf-8", "replace")] = value[:-1]
            content = content[int(length) :]
        return found


def is_empty_tar(content: bytes) -> bool:
    """Whether a file is a tar without members, as GNU tar and others write it: zeros only.

    Example:
        >>> is_empty_tar(bytes(10_240)), is_empty_tar(bytes(20_000))
        (True, False)
    """
    return len(content) in EMPTY_TARS and not any(content)


def begins_as_tar(head: bytes) -> bool:
    """Whether these first bytes of a file are those of a tar, plain or compressed."""
    return head.startswith(tuple(_OPENERS)) or is_header(head)


def is_header(block: bytes) -> bool:
    """Whether the checksum is right, counted in bytes without a sign or, as old tools did, with one."""
    if len(block) < HEADER_BYTES:
        return False
    try:
        stated = _number(block[148:156])
    except ValueError:
        return False
    rest = block[:148] + block[156:HEADER_BYTES]
    total = 256 + sum(rest)
    return stated == total or stated == total - 256 * sum(byte > 127 for byte in rest)


def _number(field: bytes) -> int:
    """A number in octal digits, or in base 256 if the first bit is set.

    Raises:
        ValueError: neither.
    """
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big") if field[0] == 0x80 else -1
    digits = field.partition(b"\0")[0].strip()
    return int(digits, 8) if digits else 0


def _name(header: bytes) -> bytes:
    name = header[:100].partition(b"\0")[0]
    prefix = header[345:500].partition(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
