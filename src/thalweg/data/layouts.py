"""Which layout a set has, recognised from the names of its files alone.

- flat: `<split>/<class>_<n>.<ext>`, the class a number, as in the Food-11 homework
- class folders: `<split>/<class>/…`
- either of them without splits
- a table, `path,label[,split]` (see `tables`)

A folder around all of it, as archives like to have, is stepped into.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from thalweg.data.photos import Note, Split
from thalweg.data.sources import UNREAD_SUFFIXES, is_picture
from thalweg.errors import DataError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

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
    """One photo as its name tells it: the class is still a text, `None` where the name tells none."""

    path: str
    split: Split
    class_name: str | None


@dataclass(frozen=True)
class Found:
    """What names of files, or a table, say about a set.

    Attributes:
        layout: which one.
        entries: the photos.
        root: the folder inside the source where the layout begins: empty, or with a slash at its end.
        notes: what the user should be told.
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
        """The first folder of the rest: the class, if the layout is one of folders."""
        first, slash, _ = self.rest.partition("/")
        return first if slash else None

    @property
    def number(self) -> str | None:
        """The number that the file's name begins with, if it is followed by `_`."""
        match = _NUMBER_IN_NAME.match(self.rest)
        return str(int(match[1])) if match else None


def recognise(names: Sequence[str], path: Path) -> Found:
    """Find out which layout the files have.

    Args:
        names: all files of the source.
        path: what to call the source in an error.

    Raises:
        DataError: no pictures, no training split, or names that tell no class.

    Example:
        >>> from pathlib import Path
        >>> recognise(["training/0_1.jpg", "training/10_1.jpg", "testing/0001.jpg"], Path("food")).entries[1]
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
    entries = _labelled("train", splits["train"], strays, path)
    known = {entry.class_name for entry in entries}
    flat = not _in_folders(splits["train"])
    if "valid" in splits:
        entries += _labelled("valid", splits["valid"], strays, path)
    if "test" in splits:
        entries += _test(splits["test"], known, flat=flat)
    notes = [Note("data.note_strays", {"count": len(strays), "example": strays[0].path})] if strays else []
    unread = [name for name in names if PurePosixPath(name).suffix.lower() in UNREAD_SUFFIXES]
    if unread:
        notes.append(Note("data.note_unread", {"count": len(unread), "example": unread[0]}))
    return Found("flat" if flat else "class_folders", tuple(entries), root, tuple(notes))


def split_pictures(names: Iterable[str]) -> tuple[str, dict[Split, list[_Picture]], list[_Picture]]:
    """Sort pictures by the split folders they lie in.

    Returns:
        The folder where the layout begins, the pictures of each split, and the pictures in none.
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


def _wrapper(pictures: Sequence[str]) -> str:
    """The folders around the layout: each the only one, not a split, and not a class full of pictures."""
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
    """Whether the one split is a class that is called like one, as trains are, beside folders of other classes."""
    if len(splits) != 1 or not _in_folders(strays):
        return False
    (pictures,) = splits.values()
    return not _in_folders(pictures) and not any(picture.number for picture in pictures)


def _in_folders(pictures: Iterable[_Picture]) -> bool:
    return any(picture.folder for picture in pictures)


def _labelled(split: Split, pictures: list[_Picture], strays: list[_Picture], path: Path) -> list[Entry]:
    """The photos of a split whose classes must be told; a picture beside class folders is a stray."""
    if _in_folders(pictures):
        strays += [picture for picture in pictures if not picture.folder]
        return [Entry(picture.path, split, picture.folder) for picture in pictures if picture.folder]
    silent = [picture.path for picture in pictures if not picture.number]
    if silent:
        raise DataError("data.label_not_a_number", path=path, example=silent[0], count=len(silent), total=len(pictures))
    return [Entry(picture.path, split, picture.number) for picture in pictures]


def _test(pictures: list[_Picture], known: set[str | None], *, flat: bool) -> list[Entry]:
    """The photos of the test split: labelled if every name tells a class, else none of them is."""
    if _in_folders(pictures):
        told = [picture.folder for picture in pictures]
        labelled = None not in told and (len(set(told)) > 1 or told[0] in known)
    else:
        told = [picture.number for picture in pictures]
        labelled = flat and known.issuperset(told)
    return [
        Entry(picture.path, "test", name if labelled else None) for picture, name in zip(pictures, told, strict=True)
    ]
