"""Zip and tar archives, read in place: no member is ever unpacked to disk.

Opening an archive lists the members with their offsets. Each read opens the file, reads at the offset and closes it,
so threads never share a file position and no file stays open.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thalweg.data.archive_kinds import is_like_an_archive, is_part, refusal
from thalweg.data.tars import EMPTY_TARS, HEADER_BYTES, TarSource, begins_as_tar, is_empty_tar
from thalweg.data.zips import ZipSource
from thalweg.errors import DataError


if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["TarSource", "ZipSource", "is_tar", "open_archive"]

_TAR_ENDINGS: Final = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
_ZIPS: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")


def is_tar(path: Path | str) -> bool:
    """Whether the name has a tar's extension, compressed or not."""
    return str(path).lower().endswith(_TAR_ENDINGS)


def open_archive(path: Path, encoding: str | None = None) -> ZipSource | TarSource | None:
    """Open a zip or a tar; what it is, its content decides, because names lie.

    Args:
        path: the file.
        encoding: of names that state none; `None` decides by plausibility over all names.

    Returns:
        The archive; `None` if the name is not that of one.

    Raises:
        DataError: an archive of another kind, a web page or something else under an archive's name, or damaged.
        UsageError: no such encoding.
    """
    is_zip = path.name.lower().endswith(".zip")
    if not (is_zip or is_tar(path) or is_like_an_archive(path)):
        return None
    try:
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        raise DataError("data.broken_archive", path=path, reason=error.strerror or error) from error
    if is_part(path):
        raise refusal(path, head, "no_zip")
    if head.startswith(_ZIPS):
        return ZipSource(path, encoding)
    if begins_as_tar(head) or (is_tar(path) and path.stat().st_size in EMPTY_TARS and is_empty_tar(path.read_bytes())):
        return TarSource(path, encoding)
    if is_zip:  # a program that unpacks itself begins as a program
        return ZipSource(path, encoding)
    raise refusal(path, head, "no_tar")
