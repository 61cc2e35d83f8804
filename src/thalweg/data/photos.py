"""A set of photos as found: the split and class of each photo, and where its bytes are."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Literal

from thalweg._notebook import shown_as
from thalweg.data.addresses import address_of, without_password
from thalweg.data.builtin import name_of
from thalweg.data.label_sets import written
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from thalweg.data.leftovers import Leftover
    from thalweg.data.sources import Note, Source

Split = Literal["train", "valid", "test"]
Layout = Literal["flat", "class_folders", "names", "csv", "webdataset", "parquet", "unlabeled"]

SPLITS: tuple[Split, ...] = ("train", "valid", "test")

_EXAMPLES = 2
_OUTLINED = 3
_DIGITS = re.compile(r"\d+")
_MARKS = re.compile("[\0-\2]")  # what keys end names with, and begin numbers with
_LONGEST_NUMBER = 4000  # digits; Python reads no more than 4300


@dataclass(frozen=True, slots=True)
class Photo:
    """One photo of a set.

    Attributes:
        path: within the set's root, with forward slashes.
        split: which split it belongs to.
        label: the class, an index into `ImageSet.classes`; `None` if unknown, or if photos may have several.
        labels: the classes of a photo that may have several, in rising order, perhaps none; `None` if unknown, or if
            photos have one class.
    """

    path: str
    split: Split
    label: int | None
    labels: tuple[int, ...] | None = None

    @property
    def all_labels(self) -> tuple[int, ...]:
        """The known classes, whether photos may have several or not."""
        if self.labels is not None:
            return self.labels
        return () if self.label is None else (self.label,)

    @property
    def is_labeled(self) -> bool:
        """Whether the classes are known, even if they are none."""
        return self.label is not None or self.labels is not None

    def written(self, classes: Sequence[str]) -> str | None:
        """The classes as a table writes them; `None` if unknown.

        Args:
            classes: the names, in the order of the labels.

        Example:
            >>> Photo("a.jpg", "train", None, (0, 2)).written(["cat", "dog", "horse"])
            'cat;horse'
        """
        return written(classes[label] for label in self.all_labels) if self.is_labeled else None


@dataclass(frozen=True)
class Corrections:
    """A table of corrections that was applied to a set.

    Attributes:
        content: of the table.
        relabeled: photos whose label it changed.
        kept: photos whose label it confirmed.
        dropped: photos of no class, which left the set.
    """

    content: bytes = field(repr=False)
    relabeled: int
    kept: int
    dropped: int

    def facts(self) -> dict[str, int | str]:
        """Its counts and its digest."""
        counts = {"relabeled": self.relabeled, "kept": self.kept, "dropped": self.dropped}
        return {"digest": blake2b(self.content, digest_size=16).hexdigest(), **counts}


@dataclass(frozen=True)
class ImageSet:
    """The photos of a folder, a table or an archive, recognized but not yet decoded.

    Attributes:
        root: the folder, the table or the archive.
        layout: how classes and splits are laid out.
        classes: the names of the classes; a label is an index into them.
        photos: by split (train, valid, test), in natural order within a split.
        source: reads the bytes.
        notes: what the user should know about how the set was read.
        leftovers: the files beside them that are no photos, by ending.
        corrections: the table that changed labels, if there was one.
        several: whether a photo may have several classes, or none.
        url: the address that the set was copied from; `root` is the copy.
    """

    root: Path
    layout: Layout
    classes: tuple[str, ...]
    photos: tuple[Photo, ...]
    source: Source
    notes: tuple[Note, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    corrections: Corrections | None = None
    several: bool = False
    url: str | None = None

    _repr_html_ = shown_as("images")

    def __repr__(self) -> str:
        return f"ImageSet({self.name!r}, {len(self.photos)} photos, {len(self.classes)} classes)"

    @property
    def name(self) -> str:
        """What people call the set: its path or its address without a password, or `builtin`."""
        return without_password(self.url) if self.url else name_of(self.root)

    @property
    def address(self) -> str:
        """What opens the set again: its address, or its absolute path."""
        return self.url or address_of(self.root)

    @cached_property
    def _by_split(self) -> dict[Split, tuple[Photo, ...]]:
        return {name: tuple(photo for photo in self.photos if photo.split == name) for name in SPLITS}

    def split(self, name: Split) -> tuple[Photo, ...]:
        """The photos of one split, in natural order."""
        return self._by_split[name]

    def read(self, photo: Photo) -> bytes:
        """The file's content, still encoded.

        Raises:
            BadImageError: the file does not exist or cannot be read.
        """
        return self.source.read(photo.path)

    @cached_property
    def examples(self) -> dict[str, tuple[str, ...]]:
        """Two files of each class, by its name: of the training split where it has them."""
        found: dict[int, list[str]] = {}
        for photo in self.photos:
            for label in photo.all_labels:
                if len(paths := found.setdefault(label, [])) < _EXAMPLES:
                    paths.append(photo.path)
        return {name: tuple(found.get(label, ())) for label, name in enumerate(self.classes)}

    def homes(self, name: Split) -> str:
        """The folder that holds all photos of a split, ending in a slash; empty if it is the root itself."""
        paths = [photo.path for photo in self.split(name)]
        if not paths:
            return ""
        first, last = min(paths), max(paths)  # what the ends of the order share, all share
        place = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))
        return first[: first.rfind("/", 0, place) + 1]

    def outline(self) -> str | None:
        """One sentence: the first classes, each with a photo; `None` for photos without classes."""
        home = self.homes("train")
        shown = [f"{name} ({paths[0].removeprefix(home)})" for name, paths in self.examples.items() if paths]
        if not shown:
            return None
        return joined([*shown[:_OUTLINED], *["…"] * (len(shown) > _OUTLINED)])

    def describe(self) -> str:
        """One sentence: the layout, and how many photos each split has."""
        if self.layout == "unlabeled":
            return t("data.describe_unlabeled", root=self.name, count=len(self.photos))
        known = [photo.labels for photo in self.photos if photo.labels is not None]
        many = t("data.describe_several", mean=sum(map(len, known)) / len(known), bare=known.count(())) if known else ""
        said = t(
            "data.describe",
            root=self.name,
            layout=t(f"data.layout_{self.layout}"),
            classes=len(self.classes),
            train=len(self.split("train")),
            valid=len(self.split("valid")),
            test=len(self.split("test")),
        )
        return f"{said}{many}"


def ends(names: Sequence[str], most: int = 40) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    """Cut a long list of classes for a table: what to show, what to leave out, what to show below it.

    Args:
        names: of the classes.
        most: the longest list that is shown whole.

    Example:
        >>> ends(["ant", "bee", "cat", "dog", "eel"], most=4)
        (['ant', 'bee'], ['cat'], ['dog', 'eel'])
    """
    if len(names) <= most:
        return names, names[:0], names[:0]
    half = most // 2
    return names[:half], names[half:-half], names[-half:]


def natural_key(name: str) -> str:
    """Sort key that reads digits as numbers, so that 10 follows 9, and a name comes before those that it begins.

    The key is a text, of which a million take 200 MB and sort in a second: casefolded, with a number written as its
    length and its digits, and the name itself at the end, which gives names that differ only in case or leading zeros a
    fixed order.

    Example:
        >>> sorted(["cat10", "cat2", "cat"], key=natural_key)
        ['cat', 'cat2', 'cat10']
        >>> sorted(["10.jpg", "9.jpg", "b.jpg", "009.jpg"], key=natural_key)
        ['009.jpg', '9.jpg', '10.jpg', 'b.jpg']
    """
    folder, slash, base = name.rpartition("/")
    return f"{_folder_in_order(folder + slash)}{_in_order(base)}\0{name}"


def _in_order(text: str) -> str:
    """A text that sorts in natural order."""
    folded = text.casefold()
    if not folded.isprintable():
        folded = _MARKS.sub(lambda mark: f"\2{mark[0]}", folded)
    return _DIGITS.sub(_number, folded)


_folder_in_order = lru_cache(maxsize=1024)(_in_order)  # the files of a folder share it


def _number(digits: re.Match[str]) -> str:
    """A number as a text that sorts as it: before every letter, a shorter one before a longer one."""
    number = digits[0]
    if len(number) > _LONGEST_NUMBER:  # a word like others, after all numbers
        return f"\1{chr(_LONGEST_NUMBER + 1)}{number}\1"
    number = (number if number.isascii() else str(int(number))).lstrip("0") or "0"
    return f"\1{chr(len(number))}{number}"


def in_natural_order(photos: Iterable[Photo]) -> tuple[Photo, ...]:
    """Photos as a set has them: train, valid, test; natural order within a split."""
    of_split: dict[Split, list[Photo]] = {split: [] for split in SPLITS}
    for photo in photos:
        of_split[photo.split].append(photo)
    for members in of_split.values():
        members.sort(key=lambda photo: natural_key(photo.path))
    return tuple(photo for members in of_split.values() for photo in members)
