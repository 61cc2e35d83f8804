"""The layout of a set of photos, recognized from the names of its files.

- flat: `<split>/<class>_<n>.<ext>`, the class a number, as in the Food-11 homework
- class folders: `<split>/<class>/…`
- either of them without splits

A folder around everything, common in archives, is skipped.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from thalweg.data.sources import UNREAD_SUFFIXES, Note, is_picture
from thalweg.errors import DataError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from thalweg.data.photos import Split

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
