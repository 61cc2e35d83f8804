"""Where bytes come from: a folder, a single file, or an archive read in place (see `archives`).

A source is thread-safe and keeps no file open, so it needs no closing.
"""

from __future__ import annotations

import os
import stat
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path  # noqa: TC003 - for the examples
from typing import TYPE_CHECKING, Any, Final, Protocol

from thalweg.data.walking import LITTER, walk
from thalweg.errors import BadImageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from thalweg.data.walking import Progress, Tree

PICTURE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "jp2", "png", "apng", "gif", "webp", "avif", "heic", "heif", "hif"),
        *("bmp", "tif", "tiff", "tga", "pbm", "pgm", "ppm", "pnm"),
    )
)

# Formats of photos that Pillow does not read.
UNREAD_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jxl", "dng", "raw", "cr2", "cr3", "nef", "arw", "orf", "rw2", "raf"),
        *("pef", "srw", "psd", "xcf", "svgz", "jp2k", "jxr", "wdp", "exr", "dcm", "dicom", "eps"),
    )
)

# File systems store times in ticks of up to two seconds: a file may change twice within one tick.
_TICK_NS = 2_000_000_000
_NO_DATE_NS = 631_152_000 * 1_000_000_000  # 1990
MAX_FILE_BYTES: Final = 1 << 30


@dataclass(frozen=True)
class Note:
    """A message for the user: a key of the catalogue with its values.

    Example:
        >>> from thalweg.i18n import set_language
        >>> set_language("en")
        >>> str(Note("data.bad_empty", {"path": "3_17.jpg"}))
        '3_17.jpg: empty file.'
    """

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return t(self.key, **self.values)


class Source(Protocol):
    """Files with relative names that use forward slashes."""

    @property
    def path(self) -> Path:
        """The folder or the archive."""
        ...

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was left out, and why."""
        ...

    def names(self) -> tuple[str, ...]:
        """All files, excluding hidden ones and the litter of operating systems."""
        ...

    def read(self, name: str) -> bytes:
        """The content of one file.

        Raises:
            BadImageError: the file does not exist or cannot be read.
        """
        ...

    def stamp(self, name: str) -> str | None:
        """A text that changes when the content does; `None` if the file changed too recently to tell."""
        ...


class FolderSource:
    """The files in a folder and below.

    Args:
        path: the folder.
        progress: as for `walk`.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.jpg").write_bytes(b"...")
        >>> FolderSource(folder).names()
        ('a.jpg',)
    """

    def __init__(self, path: Path, *, progress: Progress | None = None) -> None:
        self.path = path
        self._root = str(path)
        self._progress = progress

    @cached_property
    def tree(self) -> Tree:
        """What lies in the folder, looked at once."""
        return walk(str(self.path), progress=self._progress)

    @property
    def notes(self) -> tuple[Note, ...]:
        """Pipes and devices, which are left out: opening one may wait for ever."""
        odd = self.tree.odd
        return (Note("data.note_not_files", {"count": len(odd), "example": odd[0]}),) if odd else ()

    def names(self) -> tuple[str, ...]:
        """All files below the folder, excluding runs; links to folders are followed, but not back to a parent.

        Raises:
            DataError: a folder cannot be read, or a name is not UTF-8.
        """
        return self.tree.names

    def origin(self, name: str) -> str:
        """The path of a file without links: equal for two names of one file."""
        links, place = self.tree.links, len(name)
        while place > 0:
            if name[:place] in links:
                return links[name[:place]] + name[place:]
            place = name.rfind("/", 0, place)
        return f"{self.tree.path}/{name}"

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return _read_file(self._place(name), name)

    def stamp(self, name: str) -> str | None:
        """Size and time of the last change."""
        return stamp_of(self._place(name))

    def size_and_stamp(self, name: str) -> tuple[int, str | None] | None:
        """The size and the stamp of one file from one look at it; `None` if it does not exist."""
        status = _status(self._place(name))
        return None if status is None else (status.st_size, _stamp(status))

    def _place(self, name: str) -> str:
        """The path of a file: as a text, because a million of `Path` take seconds."""
        return os.path.join(self._root, name)  # noqa: PTH118 - as above


class BesideSource:
    """A source with a table that lies elsewhere, under the table's own name.

    Args:
        source: the photos.
        table: the table's file.

    Attributes:
        photos: the source of the photos.
    """

    def __init__(self, source: Source, table: Path) -> None:
        self.photos = source
        self._table = table
        self.path = source.path

    @property
    def notes(self) -> tuple[Note, ...]:
        """Those of the photos."""
        return self.photos.notes

    def names(self) -> tuple[str, ...]:
        """The photos' files and the table."""
        return (*(name for name in self.photos.names() if name != self._table.name), self._table.name)

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return _read_file(self._table, name) if name == self._table.name else self.photos.read(name)

    def stamp(self, name: str) -> str | None:
        """The stamp of one file."""
        return stamp_of(self._table) if name == self._table.name else self.photos.stamp(name)


class FileSource:
    """A single file.

    Args:
        path: the file.
    """

    notes: tuple[Note, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        """The file's name."""
        return (self.path.name,)

    def read(self, name: str) -> bytes:
        """The file's content."""
        return _read_file(self.path, name)

    def stamp(self, name: str) -> str | None:  # noqa: ARG002 - there is only one
        """Size and time of the last change."""
        return stamp_of(self.path)


def is_picture(name: str) -> bool:
    """Whether the name has a picture's extension.

    Example:
        >>> is_picture("training/0_1.JPG"), is_picture("notes.txt")
        (True, False)
    """
    place = name.rfind(".")
    return place > 0 and name[place - 1] != "/" and name[place:].lower() in PICTURE_SUFFIXES


def without_litter(names: Iterable[str]) -> Iterator[str]:
    """Drop hidden files and the litter of operating systems."""
    for name in names:
        if not any(part.startswith(".") or part in LITTER for part in name.split("/")):
            yield name


def points_outside(name: str) -> bool:
    """Whether a name, as a relative path, leads out of its folder.

    Example:
        >>> points_outside("../secret.jpg"), points_outside("training/0_1.jpg")
        (True, False)
    """
    return name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"


def stamp_of(path: Path | str) -> str | None:
    """Size, dates of the last change of content and entry, and number of a file.

    The date of the content can be set, and unpacking often sets it; that of the entry cannot. Both lie before 1990
    where nobody keeps dates.

    Returns:
        `None` if the file changed too recently to tell, has no date, or does not exist.
    """
    status = _status(path)
    return None if status is None else _stamp(status)


def _status(path: Path | str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - the path may be a text
    except OSError:
        return None


def _stamp(status: os.stat_result) -> str | None:
    if time.time_ns() - status.st_mtime_ns < _TICK_NS or status.st_ctime_ns < _NO_DATE_NS:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}-{status.st_ino}"


def is_gone(path: Path) -> bool:
    """Whether a folder or a file of photos is no longer there, as when a network drive goes away.

    Example:
        >>> is_gone(Path("no-such-folder/photos"))
        True
    """
    while "{" in path.name:  # a pattern: its folder tells
        path = path.parent
    try:
        return not any(path.iterdir()) if path.is_dir() else not path.exists()
    except OSError:
        return True


def _read_file(path: Path | str, name: str) -> bytes:
    try:
        with open(path, "rb", buffering=0, opener=_open_at_once) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise BadImageError("data.bad_no_file", path=name)
            if status.st_size > MAX_FILE_BYTES:
                raise BadImageError("data.bad_too_many_bytes", path=name, limit=MAX_FILE_BYTES >> 20)
            return file.read()
    except MemoryError as error:
        raise BadImageError("data.bad_memory", path=name) from error
    except FileNotFoundError as error:
        raise BadImageError("data.bad_missing", path=name) from error
    except OSError as error:
        raise BadImageError("data.bad_unreadable", path=name, reason=error.strerror or error) from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a pipe without a writer would never open."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
