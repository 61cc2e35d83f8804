"""Where bytes come from: a folder, a single file, or an archive read in place (see `archives`).

A source is thread-safe and keeps no file open, so it needs no closing.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from thalweg.errors import BadImageError, DataError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

PICTURE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "jp2", "png", "apng", "gif", "webp", "avif"),
        *("bmp", "tif", "tiff", "tga", "pbm", "pgm", "ppm", "pnm"),
    )
)

# Formats of photos that Pillow does not read.
UNREAD_SUFFIXES = frozenset(
    f".{ending}" for ending in ("heic", "heif", "jxl", "dng", "cr2", "cr3", "nef", "arw", "psd")
)

# A folder with both files is a run, which is no place for photos.
RUN_CONFIG: Final = "config.toml"
RUN_SPLIT: Final = "split.csv"
_LITTER = frozenset(["__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"])
# File systems store times in ticks of up to two seconds: a file may change twice within one tick.
_TICK_NS = 2_000_000_000


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

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = (folder / "a.jpg").write_bytes(b"...")
        >>> FolderSource(folder).names()
        ('a.jpg',)
    """

    notes: tuple[Note, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self) -> tuple[str, ...]:
        """All files below the folder, excluding runs; links to folders are followed, each folder once.

        Raises:
            DataError: a folder cannot be read, or a name is not UTF-8.
        """
        return tuple(sorted(readable(_walk(self.path), self.path)))

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return _read_file(self.path / name, name)

    def stamp(self, name: str) -> str | None:
        """Size and time of the last change."""
        return stamp_of(self.path / name)


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
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return bool(stem) and dot + ending.lower() in PICTURE_SUFFIXES


def without_litter(names: Iterable[str]) -> Iterator[str]:
    """Drop hidden files and the litter of operating systems."""
    for name in names:
        if not any(part.startswith(".") or part in _LITTER for part in name.split("/")):
            yield name


def readable(names: Iterable[str], path: Path) -> Iterator[str]:
    """The names unchanged, each checked to be valid text.

    Raises:
        DataError: a name is not UTF-8, as tools for old archives leave them.
    """
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            shown = name.encode("utf-8", "surrogateescape").decode("gb18030", "replace")
            raise DataError("data.name_not_utf8", path=path, name=shown) from error
        yield name


def points_outside(name: str) -> bool:
    """Whether a name, as a relative path, leads out of its folder.

    Example:
        >>> points_outside("../secret.jpg"), points_outside("training/0_1.jpg")
        (True, False)
    """
    return name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"


def stamp_of(path: Path) -> str | None:
    """Size and time of the last change of a file; `None` if it changed too recently to tell or does not exist."""
    try:
        status = path.stat()
    except OSError:
        return None
    if time.time_ns() - status.st_mtime_ns < _TICK_NS:
        return None
    return f"{status.st_size}-{status.st_mtime_ns}"


def _read_file(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadImageError("data.bad_missing", path=name) from error
    except OSError as error:
        raise BadImageError("data.bad_unreadable", path=name, reason=error.strerror or error) from error


def _walk(root: Path) -> Iterator[str]:
    seen: set[tuple[int, int]] = set()

    def stop(error: OSError) -> None:
        raise DataError("data.unreadable_folder", path=error.filename, reason=error.strerror or error)

    for folder, subfolders, files in os.walk(root, followlinks=True, onerror=stop):
        status = os.stat(folder)  # noqa: PTH116 - a link may lead back to a parent
        if (status.st_dev, status.st_ino) in seen:
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        prefix = "" if folder == str(root) else Path(folder).relative_to(root).as_posix() + "/"
        subfolders[:] = without_litter(subfolders)
        if {RUN_CONFIG, RUN_SPLIT} <= set(files):  # a run of `thalweg train .` lies among the photos, with its charts
            subfolders.clear()
            continue
        yield from without_litter(prefix + name for name in files)
