"""The layout of a set of photos, recognized from the names of its files or read from a table.

- flat: `<split>/<class>_<n>.<ext>`, the class a number, as in the Food-11 homework
- class folders: `<split>/<class>/…`
- either of them without splits
- a table, `path,label[,split]`: one line per photo, UTF-8, paths relative to the table

A folder around everything, common in archives, is skipped.
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import dataclass
from io import StringIO
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from thalweg.data.sources import UNREAD_SUFFIXES, Note, is_picture
from thalweg.errors import BadImageError, DataError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from thalweg.data.photos import Split
    from thalweg.data.sources import Source

SPLIT_NAMES: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "test": "test",
    "testing": "test",
    "evaluation": "test",
}

_NUMBER_IN_NAME = re.compile(r"(\d+)_")


class Entry(NamedTuple):
    """One photo as named: the class is still a text, `None` if the name has none."""

    path: str
    split: Split
    class_name: str | None


@dataclass(frozen=True)
class Found:
    """The layout and the photos of a set, from the names of its files or from a table.

    Attributes:
        layout: how classes and splits are laid out.
        entries: the photos.
        root: the folder inside the source where the layout begins: empty, or ending in a slash.
        notes: messages for the user.
    """

    layout: Literal["flat", "class_folders", "csv"]
    entries: tuple[Entry, ...]
    root: str = ""
    notes: tuple[Note, ...] = ()


class _Picture(NamedTuple):
    path: str
    rest: str  # the path after root and split

    @property
    def folder(self) -> str | None:
        """The first folder of the rest: the class, in a layout of class folders."""
        first, slash, _ = self.rest.partition("/")
        return first if slash else None

    @property
    def number(self) -> str | None:
        """The number that begins the file's name, if `_` follows it."""
        match = _NUMBER_IN_NAME.match(self.rest)
        return str(int(match[1])) if match else None


def recognize(names: Sequence[str], path: Path) -> Found:
    """Recognize the layout from the names of the files.

    Args:
        names: all files of the source.
        path: name of the source in an error.

    Raises:
        DataError: there are no pictures, no training split, or no class in a name.

    Example:
        >>> from pathlib import Path
        >>> recognize(["training/0_1.jpg", "training/10_1.jpg", "testing/0001.jpg"], Path("food")).entries[1]
        Entry(path='training/10_1.jpg', split='train', class_name='10')
    """
    root, splits, strays = split_pictures(names)
    if not splits and not strays:
        raise DataError("data.no_images", path=path)
    if not splits or _is_class(splits, strays):
        everything = [*strays, *(picture for pictures in splits.values() for picture in pictures)]
        splits, strays = {"train": [_Picture(one.path, one.path.removeprefix(root)) for one in everything]}, []
    if "train" not in splits:
        raise DataError("data.no_training_split", path=path, found=", ".join(sorted(splits)))
    entries = _labeled("train", splits["train"], strays, path)
    known = {entry.class_name for entry in entries}
    flat = not _in_folders(splits["train"])
    if "valid" in splits:
        entries += _labeled("valid", splits["valid"], strays, path)
    if "test" in splits:
        entries += _test(splits["test"], known, flat=flat)
    notes = [Note("data.note_strays", {"count": len(strays), "example": strays[0].path})] if strays else []
    unread = [name for name in names if PurePosixPath(name).suffix.lower() in UNREAD_SUFFIXES]
    if unread:
        notes.append(Note("data.note_unread", {"count": len(unread), "example": unread[0]}))
    return Found("flat" if flat else "class_folders", tuple(entries), root, tuple(notes))


def split_pictures(names: Iterable[str]) -> tuple[str, dict[Split, list[_Picture]], list[_Picture]]:
    """Group pictures by their split folders.

    Returns:
        The folder where the layout begins, the pictures of each split, and the pictures outside all splits.
    """
    pictures = [name for name in names if is_picture(name)]
    root = _wrapper(pictures)
    splits: dict[Split, list[_Picture]] = defaultdict(list)
    strays = []
    for name in pictures:
        inside = name.removeprefix(root)
        top, _, rest = inside.partition("/")
        split = SPLIT_NAMES.get(top.casefold()) if rest else None
        if split:
            splits[split].append(_Picture(name, rest))
        else:
            strays.append(_Picture(name, inside))
    return root, dict(splits), strays


def find_table(source: Source, names: Sequence[str]) -> str | None:
    """The one `.csv`, at most one folder deep, whose first line has `path` and `label`; `None` if there is none.

    Raises:
        DataError: two tables list photos.
    """
    candidates = [name for name in names if name.lower().endswith(".csv") and name.count("/") <= 1]
    tables = [name for name in candidates if {"path", "label"} <= set(_header(source.read(name)))]
    if len(tables) > 1:
        raise DataError("data.two_tables", path=source.path, first=tables[0], second=tables[1])
    return tables[0] if tables else None


def read_table(source: Source, name: str) -> list[Entry]:
    """The photos listed in a table; their paths are relative to the table.

    In the test split an empty label means unknown.

    Raises:
        DataError: the header is wrong, a split is unknown, a photo is listed twice, a label is missing, or the file is
            not UTF-8.
    """
    table = source.path / name if source.path.is_dir() else f"{source.path}: {name}"
    try:
        text = source.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("data.table_not_utf8", table=table) from error
    except BadImageError as error:
        raise DataError("data.unreadable_table", table=table, reason=error) from error
    lines = csv.DictReader(StringIO(text, newline=""), skipinitialspace=True)
    lines.fieldnames = [column.strip().lower() for column in lines.fieldnames or ()]
    if not {"path", "label"} <= set(lines.fieldnames):
        raise DataError("data.table_header", table=table, found=",".join(lines.fieldnames))
    folder = name.rpartition("/")[0]
    entries: dict[str, Entry] = {}
    for line in lines:
        entry = _entry(line, folder, f"{table}:{lines.line_num}")
        if entry.path in entries:
            raise DataError("data.table_twice", line=f"{table}:{lines.line_num}", photo=entry.path)
        entries[entry.path] = entry
    if not entries:
        raise DataError("data.no_images", path=table)
    return list(entries.values())


def _wrapper(pictures: Sequence[str]) -> str:
    """The folders around the layout: each is the only one at its level, neither a split nor a class."""
    root = ""
    while True:
        rests = [name.removeprefix(root) for name in pictures]
        tops = {rest.partition("/")[0] if "/" in rest else "" for rest in rests}
        if len(tops) != 1 or "" in tops or (top := tops.pop()).casefold() in SPLIT_NAMES:
            return root
        below = [rest.removeprefix(f"{top}/") for rest in rests]
        if not any("/" in name or _NUMBER_IN_NAME.match(name) for name in below):
            return root
        root += f"{top}/"


def _is_class(splits: dict[Split, list[_Picture]], strays: Iterable[_Picture]) -> bool:
    """Whether the only split folder is in fact a class beside others, such as photos of trains in `train`."""
    if len(splits) != 1 or not _in_folders(strays):
        return False
    (pictures,) = splits.values()
    return not _in_folders(pictures) and not any(picture.number for picture in pictures)


def _in_folders(pictures: Iterable[_Picture]) -> bool:
    return any(picture.folder for picture in pictures)


def _labeled(split: Split, pictures: list[_Picture], strays: list[_Picture], path: Path) -> list[Entry]:
    """The photos of a split that needs classes; a picture beside class folders is a stray."""
    if _in_folders(pictures):
        strays += [picture for picture in pictures if not picture.folder]
        return [Entry(picture.path, split, picture.folder) for picture in pictures if picture.folder]
    silent = [picture.path for picture in pictures if not picture.number]
    if silent:
        raise DataError("data.label_not_a_number", path=path, example=silent[0], count=len(silent), total=len(pictures))
    return [Entry(picture.path, split, picture.number) for picture in pictures]


def _test(pictures: list[_Picture], known: set[str | None], *, flat: bool) -> list[Entry]:
    """The photos of the test split: labeled if every name has a class, else all unlabeled."""
    if _in_folders(pictures):
        named = [picture.folder for picture in pictures]
        labeled = None not in named and (len(set(named)) > 1 or named[0] in known)
    else:
        named = [picture.number for picture in pictures]
        labeled = flat and known.issuperset(named)
    return [
        Entry(picture.path, "test", name if labeled else None) for picture, name in zip(pictures, named, strict=True)
    ]


def _entry(line: dict[str, str | None], folder: str, where: str) -> Entry:
    path = (line["path"] or "").strip().replace("\\", "/").removeprefix("./")
    label = (line["label"] or "").strip() or None
    split_name = (line.get("split") or "train").strip()
    split = SPLIT_NAMES.get(split_name.casefold())
    if split is None:
        raise DataError("data.table_split", line=where, split=split_name, known=", ".join(SPLIT_NAMES))
    if not path or (label is None and split != "test"):
        raise DataError("data.table_gap", line=where)
    return Entry(f"{folder}/{path}" if folder else path, split, label)


def _header(content: bytes) -> list[str]:
    first = content[:4096].decode("utf-8-sig", errors="replace").partition("\n")[0]
    return [column.strip().strip('"').lower() for column in first.split(",")]
