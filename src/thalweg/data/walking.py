"""What lies in a folder and below, looked at once: files, links, empty folders, and what is neither."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from thalweg.errors import DataError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Progress = Callable[[int, int], None]

# A folder with both files is a run, which is no place for photos.
RUN_CONFIG: Final = "config.toml"
RUN_SPLIT: Final = "split.csv"
LITTER: Final = frozenset(["__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini", "@eaDir", "$RECYCLE.BIN"])
# How often one folder is looked at through links.
_WAYS: Final = 4
_AT_ONCE: Final = 10_000  # names checked together, files a report of progress


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


def walk(root: str, *, progress: Progress | None = None) -> Tree:
    """Look at every folder once for each way to it, but for a way that leads back.

    Args:
        root: the folder.
        progress: called with (files found so far, 0), for nobody knows how many there are, and at the end with their
            number twice.

    Raises:
        DataError: a folder cannot be read, or a name is not UTF-8.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> _ = [(folder / name).write_bytes(b"...") for name in ("b.jpg", "a.jpg", ".hidden.jpg")]
        >>> walk(str(folder)).names
        ('a.jpg', 'b.jpg')
    """
    return _Walk(root, progress).tree()


class _Walk:
    def __init__(self, root: str, progress: Progress | None) -> None:
        self._root = root
        self._progress = progress
        self._tree = Tree(os.path.realpath(root))
        self._names: list[str] = []
        self._visits: Counter[tuple[int, int]] = Counter()
        self._waiting: list[tuple[str, str, frozenset[tuple[int, int]]]] = [(root, "", frozenset())]

    def tree(self) -> Tree:
        """Look at all folders."""
        while self._waiting:
            self._look(*self._waiting.pop())
        self._names.sort()
        _check_text(self._names, Path(self._root))
        self._tree.names = tuple(self._names)
        if self._progress:
            self._progress(len(self._names), len(self._names))
        return self._tree

    def _look(self, folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> None:
        """Take the files of one folder; the folders in it wait."""
        try:
            status = os.stat(folder)  # noqa: PTH116 - a link may lead back to a parent
            files, others = _listed(folder)
        except OSError as error:
            raise DataError("data.unreadable_folder", path=folder, reason=error.strerror or error) from error
        me = (status.st_dev, status.st_ino)
        self._visits[me] += 1
        if me in above or self._visits[me] > _WAYS:
            return
        names = [entry.name for entry in others]
        if all(name in files or name in names for name in (RUN_CONFIG, RUN_SPLIT)):
            return  # a run of `thalweg train .` lies among the photos, with its charts
        files.sort()
        self._take(files, prefix)
        for entry in sorted(others, key=_name, reverse=True):  # the last folder that waits comes next: names in order
            self._take_other(entry, prefix + entry.name, above | {me})
        if not files and not others and prefix:
            self._tree.empty.append(prefix[:-1])

    def _take(self, files: list[str], prefix: str) -> None:
        """Take the plain files of a folder."""
        reported = len(self._names) // _AT_ONCE
        self._names += [prefix + name for name in files]
        if self._progress and len(self._names) // _AT_ONCE > reported:
            self._progress(len(self._names), 0)

    def _take_other(self, entry: os.DirEntry[str], name: str, above: frozenset[tuple[int, int]]) -> None:
        """Take what is no plain file: a folder, a link, a pipe."""
        if entry.is_symlink():
            self._tree.links[name] = _target(entry)
        if _leads(entry, os.DirEntry.is_dir):
            self._waiting.append((entry.path, f"{name}/", above))
        elif _leads(entry, os.DirEntry.is_file) or entry.is_symlink():  # a broken link is reported where it is read
            self._names.append(name)
        else:
            self._tree.odd.append(name)


def _name(entry: os.DirEntry[str]) -> str:
    return entry.name


def _listed(folder: str) -> tuple[list[str], list[os.DirEntry[str]]]:
    """The names of the plain files in a folder, and its other entries; hidden ones and litter are left out.

    Of a file only the name is kept: the entries of a million files take 300 MB.
    """
    files: list[str] = []
    others: list[os.DirEntry[str]] = []
    with os.scandir(folder) as listing:
        for entry in listing:
            name = entry.name
            if name[0] == "." or name in LITTER:
                continue
            try:
                is_plain = entry.is_file(follow_symlinks=False)
            except OSError:
                is_plain = False
            if is_plain:
                files.append(name)
            else:
                others.append(entry)
    return files, others


def _check_text(names: list[str], path: Path) -> None:
    """Refuse names that are no text: many at once, and one by one only to find the wrong one.

    Raises:
        DataError: a name is not UTF-8.
    """
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        try:
            "/".join(some).encode()
        except UnicodeEncodeError:
            list(readable(some, path))


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
