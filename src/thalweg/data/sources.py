"""Where bytes come from: a folder, a single file, or an archive read in place (see `archives`).

A source is thread-safe and keeps no file open, so it needs no closing.
"""

from __future__ import annotations

import os
import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from thalweg.errors import BadImageError, DataError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

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

# A folder with both files is a run, which is no place for photos.
RUN_CONFIG: Final = "config.toml"
RUN_SPLIT: Final = "split.csv"
_LITTER = frozenset(["__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"])
# File systems store times in ticks of up to two seconds: a file may change twice within one tick.
_TICK_NS = 2_000_000_000
_NO_DATE_NS = 631_152_000 * 1_000_000_000  # 1990
MAX_FILE_BYTES: Final = 1 << 30
# How often one folder is looked at through links.
_WAYS = 4


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


@dataclass
class Tree:
    """What lies in a folder and below.

    Attributes:
        path: of the folder, without links.
        names: the files.
        links: where each link leads, an absolute path.
        empty: folders with nothing in them.
        odd: what is neither a file nor a folder.
    """

    path: str
    names: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


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

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def tree(self) -> Tree:
        """What lies in the folder, looked at once."""
        return _walk(str(self.path))

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
        return _read_file(self.path / name, name)

    def stamp(self, name: str) -> str | None:
        """Size and time of the last change."""
        return stamp_of(self.path / name)


class BesideSource:
    """A source with a table that lies elsewhere, under the table's own name.

    Args:
        source: the photos.
        table: the table's file.
    """

    def __init__(self, source: Source, table: Path) -> None:
        self._source = source
        self._table = table
        self.path = source.path

    @property
    def notes(self) -> tuple[Note, ...]:
        """Those of the photos."""
        return self._source.notes

    def names(self) -> tuple[str, ...]:
        """The photos' files and the table."""
        return (*(name for name in self._source.names() if name != self._table.name), self._table.name)

    def read(self, name: str) -> bytes:
        """The content of one file."""
        return _read_file(self._table, name) if name == self._table.name else self._source.read(name)

    def stamp(self, name: str) -> str | None:
        """The stamp of one file."""
        return stamp_of(self._table) if name == self._table.name else self._source.stamp(name)


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
    """Size, dates of the last change of content and entry, and number of a file.

    The date of the content can be set, and unpacking often sets it; that of the entry cannot. Both lie before 1990
    where nobody keeps dates.

    Returns:
        `None` if the file changed too recently to tell, has no date, or does not exist.
    """
    try:
        status = path.stat()
    except OSError:
        return None
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


def _read_file(path: Path, name: str) -> bytes:
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


def _walk(root: str) -> Tree:
    """Look at every folder once for each way to it, but for a way that leads back."""
    tree = Tree(os.path.realpath(root))
    names: list[str] = []
    visits: Counter[tuple[int, int]] = Counter()
    waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(root, "", frozenset())]
    while waiting:
        folder, prefix, above = waiting.pop()
        try:
            status = os.stat(folder)  # noqa: PTH116 - a link may lead back to a parent
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            raise DataError("data.unreadable_folder", path=folder, reason=error.strerror or error) from error
        me = (status.st_dev, status.st_ino)
        visits[me] += 1
        if me in above or visits[me] > _WAYS:
            continue
        if {RUN_CONFIG, RUN_SPLIT} <= {entry.name for entry in entries}:
            continue  # a run of `thalweg train .` lies among the photos, with its charts
        kept = [entry for entry in entries if not (entry.name.startswith(".") or entry.name in _LITTER)]
        for entry in kept:
            name = prefix + entry.name
            if entry.is_symlink():
                tree.links[name] = _target(entry)
            if _leads(entry, os.DirEntry.is_dir):
                waiting.append((entry.path, f"{name}/", above | {me}))
            elif _leads(entry, os.DirEntry.is_file) or entry.is_symlink():  # a broken link is reported where it is read
                names.append(name)
            else:
                tree.odd.append(name)
        if not kept and prefix:
            tree.empty.append(prefix[:-1])
    tree.names = tuple(sorted(readable(names, Path(root))))
    return tree


def _leads(entry: os.DirEntry[str], kind: Callable[[os.DirEntry[str]], bool]) -> bool:
    """Whether an entry is of a kind; a link in a circle, or into a closed folder, is of none."""
    try:
        return kind(entry)
    except OSError:
        return False


def _target(link: os.DirEntry[str]) -> str:
    """Where a link leads; for the many links to files, one look must do. A link that is gone by now leads to itself."""
    if _leads(link, os.DirEntry.is_dir):
        return os.path.realpath(link.path)
    try:
        aim = os.readlink(link.path)  # noqa: PTH115 - as above
    except OSError:
        return link.path
    folder = os.path.realpath(os.path.dirname(link.path))  # noqa: PTH120 - as above
    return os.path.normpath(os.path.join(folder, aim))  # noqa: PTH118 - as above
