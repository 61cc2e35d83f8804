"""What a file under an archive's name is in truth, by its first bytes: another kind of archive, or a web page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thalweg.data.sources import Note
from thalweg.errors import DataError


if TYPE_CHECKING:
    from pathlib import Path

_KINDS: Final = {
    b"Rar!\x1a\x07": "RAR",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\x04\x22\x4d\x18": "LZ4",
    b"LZIP": "lzip",
    b"\x1f\x9d": "compress",
    b"MSCF": "Cabinet",
    b"**ACE**": "ACE",
    b"xar!": "xar",
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"%PDF": "PDF",
    b"\x89HDF": "HDF5",
    b"\x93NUMPY": "NumPy",
    b"PAR1": "Parquet",
}
_PAGES: Final = (b"<!doctype", b"<html", b"<head", b"<script", b"<?xml", b"<error", b'{"', b"{\n")
_POINTER: Final = b"version https://git-lfs"
_ENDINGS: Final = (
    *(".rar", ".7z", ".cab", ".lha", ".lzh", ".arj", ".ace", ".iso", ".dmg"),
    *(".gz", ".bz2", ".xz", ".zst", ".tzst", ".lz", ".lz4", ".lzma", ".z"),
)
_PART_ENDINGS: Final = (".z01", ".001", ".r00")


def is_like_an_archive(path: Path) -> bool:
    """Whether the name ends as that of an archive that is not read here, or of a part of one.

    Example:
        >>> from pathlib import Path
        >>> is_like_an_archive(Path("photos.rar")), is_like_an_archive(Path("photos.jpg"))
        (True, False)
    """
    return path.name.lower().endswith((*_ENDINGS, *_PART_ENDINGS))


def is_part(path: Path) -> bool:
    """Whether the name ends as that of one of several parts of an archive."""
    return path.name.lower().endswith(_PART_ENDINGS)


def refusal(path: Path, head: bytes, reason: str) -> DataError:
    """The error for a file that is not the archive its name promises.

    Args:
        path: the file.
        head: its first bytes.
        reason: key of the reason if nothing better is known.
    """
    if not head:
        return DataError("data.archive_empty", path=path)
    if is_part(path):
        return DataError("data.archive_in_parts", path=path)
    for magic, kind in _KINDS.items():
        if head.startswith(magic):
            return DataError("data.archive_other", path=path, kind=kind)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.lower().startswith(_PAGES):
        return DataError("data.archive_page", path=path, head=start[:40].decode("ascii", "replace"))
    if start.startswith(_POINTER):
        return DataError("data.archive_pointer", path=path)
    return broken(path, reason)


def broken(path: Path, reason: str, **values: Any) -> DataError:
    """The error for an archive that is damaged.

    Args:
        path: the archive.
        reason: key of the reason in the catalogue, after `data.archive_`.
        **values: of its placeholders.
    """
    return DataError("data.broken_archive", path=path, reason=Note(f"data.archive_{reason}", values))
