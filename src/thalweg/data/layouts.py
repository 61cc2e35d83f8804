"""The layout of a set of photos, recognized from the names of its files.

- flat: `<split>/<class>_<n>.<ext>`, the class a number, as in the Food-11 homework
- class folders: `<split>/<class>/…`
- names: `<split>/<class>.<n>.<ext>`, the class a word, as in Dogs vs. Cats
- any of them without splits

`groups` finds the splits, `class_levels` the folders that are classes; both decide by the evidence of all names and
refuse where two readings are about equally likely. A `LayoutChoice` decides instead of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from thalweg.data.class_levels import classes_like, classes_of, parts_of, unwrapped
from thalweg.data.folders import Folder, number_of, prefix_of, tree_of
from thalweg.data.groups import groups_of
from thalweg.data.label_sets import Labels
from thalweg.data.sources import Note, is_picture
from thalweg.data.words import SPLIT_NAMES, split_word
from thalweg.errors import DataError, UsageError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from thalweg.data.photos import Split

__all__ = ["SPLIT_NAMES", "Entry", "Found", "LayoutChoice", "recognize", "to_classify"]

KINDS = ("auto", "flat", "class-folders", "names", "csv")
# A reading wins if it explains this many times as many photos as the next.
CLEARLY = 4


class Entry(NamedTuple):
    """One photo as named: the class is still a text, `None` if the name has none; several labels have `names`."""

    path: str
    split: Split
    class_name: str | None
    names: tuple[str, ...] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the photo, whether it may have several or not."""
        if self.names is not None:
            return self.names
        return () if self.class_name is None else (self.class_name,)


@dataclass(frozen=True)
class Found:
    """The layout and the photos of a set, from the names of its files or from a table.

    Attributes:
        layout: how classes and splits are laid out.
        entries: the photos.
        root: the folder inside the source where the layout begins: empty, or ending in a slash.
        notes: messages for the user.
        classes: the names of the classes, in the order of their labels, where the set states them itself.
    """

    layout: Literal["flat", "class_folders", "names", "csv", "webdataset", "parquet"]
    entries: tuple[Entry, ...]
    root: str = ""
    notes: tuple[Note, ...] = ()
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class LayoutChoice:
    """How the user says a set is to be read; by default by its evidence.

    Attributes:
        layout: `auto`, `flat`, `class-folders`, `names`, `csv`, or `class-folders:N`: the class is the N-th folder of
            a path, counted from 1 for the outermost.
        table: the table that lists the photos, relative to them or to the working directory.
        path_column: the table's column of paths.
        label_column: the table's column of labels.
        encoding: of the names in an archive, such as `cp932`.
        labels: whether a photo has `one` label or `several`, `cat;dog` in one field or a column of 0 and 1 for each
            class; `auto`: by the table's own rows.

    Raises:
        UsageError: there is no such layout, or several labels are to be read without a table.

    Example:
        >>> LayoutChoice("class-folders:2").level
        2
    """

    layout: str = "auto"
    table: str | None = None
    path_column: str | None = None
    label_column: str | None = None
    encoding: str | None = None
    labels: Labels = "auto"

    def __post_init__(self) -> None:
        if self.labels not in get_args(Labels):
            raise UsageError("data.bad_labels", value=str(self.labels)[:80], known=joined(get_args(Labels)))
        kind, colon, level = self.layout.partition(":")
        leveled = kind == "class-folders" and level.isascii() and level.isdecimal() and int(level) > 0
        if kind not in KINDS or (colon and not leveled):
            raise UsageError("data.bad_layout", value=self.layout[:80], known=joined([*KINDS, "class-folders:N"]))

    @property
    def kind(self) -> str:
        """The layout without its level."""
        return self.layout.partition(":")[0]

    @property
    def level(self) -> int | None:
        """The folder that is the class, from 1; `None` if the evidence decides."""
        level = self.layout.partition(":")[2]
        return int(level) if level else None


AUTO = LayoutChoice()


def recognize(names: Sequence[str], path: Path, choice: LayoutChoice = AUTO) -> Found:
    """Recognize the layout from the names of the files.

    Args:
        names: all files of the source.
        path: name of the source in an error.
        choice: what the user says about it.

    Raises:
        DataError: there are no pictures, no training split, or no class in a name, or two readings are about equally
            likely.

    Example:
        >>> from pathlib import Path
        >>> recognize(["training/0_1.jpg", "training/10_1.jpg", "testing/0001.jpg"], Path("food")).entries[1]
        Entry(path='training/10_1.jpg', split='train', class_name='10', names=None)
    """
    pictures = [name for name in names if is_picture(name)]
    if not pictures:
        raise DataError("data.no_images", path=path)
    if choice.level is not None:
        return _by_level(pictures, choice.level, path)
    if choice.kind in ("flat", "names"):
        return _by_names(pictures, choice.kind, path)
    groups = groups_of(tree_of(pictures), path)
    if "train" not in groups.splits:
        raise DataError("data.no_training_split", path=path, found=joined(sorted(groups.splits)))
    tables = [name for name in names if name.lower().endswith((".csv", ".tsv"))]
    reader = _Reader(path, tables, only_folders=choice.kind == "class-folders")
    reader.train(groups.splits["train"])
    for split in ("valid", "test"):
        for folder in groups.splits.get(split, []):
            reader.labeled(folder, split)
    taken = {entry.path for entry in reader.entries}
    strays = [picture for picture in pictures if picture not in taken]
    if len(strays) - len(groups.aside) > len(taken):
        aside = set(groups.aside)
        example = next(stray for stray in strays if stray not in aside)
        raise DataError("data.mostly_strays", path=path, count=len(strays), total=len(pictures), example=example)
    notes = [*reader.notes, *_stray_notes(strays)]
    return Found(reader.layout, tuple(reader.entries), groups.root.path, tuple(notes))


def to_classify(names: Iterable[str], path: Path) -> tuple[list[str], int]:
    """The pictures to classify: those of the test split in a set with splits, else all.

    Returns:
        The paths, and how many pictures of the set's other splits are left out.
    """
    pictures = [name for name in names if is_picture(name)]
    try:
        groups = groups_of(tree_of(pictures), path)
    except DataError:
        return pictures, 0
    if not groups.stated or "test" not in groups.splits or "train" not in groups.splits:
        return pictures, 0
    chosen = [name for folder in groups.splits["test"] for name in folder.pictures()]
    return chosen, len(pictures) - len(chosen)


class _Reader:
    """Reads the training split first: its layout and its classes hold for the others."""

    def __init__(self, path: Path, tables: Sequence[str], *, only_folders: bool) -> None:
        self.path = path
        self.tables = tables
        self.only_folders = only_folders
        self.layout: Literal["flat", "class_folders", "names"] = "class_folders"
        self.entries: list[Entry] = []
        self.notes: list[Note] = []
        self.known: set[str | None] = set()

    def train(self, folders: Sequence[Folder]) -> None:
        """Read the training split and settle the layout."""
        loose = [_loose(folder) for folder in folders]
        classes = [classes_of(folder, self.path) for folder in folders]
        in_classes = sum(one.count for found in classes for members in found.values() for one in members)
        named = {name for found in classes for name in found}
        files = Folder(paths=[name for paths in loose for path in paths for name in [path.rpartition("/")[2]]])
        by_name: Literal["flat", "names"] = "flat" if files.numbered or not _are_words(files) else "names"
        count = files.numbered if by_name == "flat" else files.prefixes.total()
        if named and (self.only_folders or count * CLEARLY <= in_classes):
            self.layout = "class_folders"
        elif not named or count >= in_classes * CLEARLY or (len(named) == 1 and count > in_classes):
            self.layout = by_name
        else:
            raise self._folders_or_names(by_name, count, named, in_classes, folders[0])
        if self.layout == "flat" and files.many_numbers:
            raise DataError(
                "data.many_numbers", path=self.path, example=next(path for paths in loose for path in paths)
            )
        for found, paths in zip(classes, loose, strict=True):
            if self.layout == "class_folders":
                self._take_classes(found, "train")
            else:
                self._take_names(paths, "train", needed=True)
        self.known = {entry.class_name for entry in self.entries}

    def labeled(self, folder: Folder, split: Split) -> None:
        """Read the validation split, whose photos need classes, or the test split, whose photos may lack them."""
        if split == "test":
            self._test(folder)
        elif self.layout == "class_folders" or (folder.below and not _loose(folder)):
            found = classes_like(folder, self._names) or unwrapped(folder).folders
            if len(found) < 2 and not self._names & found.keys():
                example = next(iter(folder.pictures()))
                raise DataError("data.unsorted_split", path=self.path, folder=folder.path[:-1], example=example)
            self._take_classes({name: _listed(one) for name, one in found.items()}, "valid")
        else:
            self._take_names(_loose(folder), "valid", needed=True)

    @property
    def _names(self) -> set[str]:
        return {name for name in self.known if name is not None}

    def _test(self, folder: Folder) -> None:
        found = classes_like(folder, self._names)
        inside = sum(one.count for members in found.values() for one in members)
        if (len(found) > 1 or (found and len(self.known) == 1)) and inside * CLEARLY >= folder.count * (CLEARLY - 1):
            self._take_classes(found, "test")
            return
        if len(found) == 1 and next(iter(found)) in self.known:
            self.notes.append(Note("data.note_test_in_one_folder", {"folder": folder.path + next(iter(found))}))
        elif not found and len(unwrapped(folder).folders) > 1 and self.layout == "class_folders":
            inside = joined(list(unwrapped(folder).folders)[:3])
            self.notes.append(Note("data.note_test_unknown", {"folder": folder.path, "folders": inside}))
        paths = list(folder.pictures())
        pick = number_of if self.layout == "flat" else prefix_of
        named = [pick(path.rpartition("/")[2]) for path in paths]
        labeled = self.layout != "class_folders" and not found and self.known.issuperset(named)
        self.entries += [
            Entry(path, "test", name if labeled else None) for path, name in zip(paths, named, strict=True)
        ]

    def _take_classes(self, found: dict[str, list[Folder]], split: Split) -> None:
        for name, members in found.items():
            self.entries += [Entry(path, split, name) for one in members for path in one.pictures()]

    def _take_names(self, paths: Sequence[str], split: Split, *, needed: bool) -> None:
        pick = number_of if self.layout == "flat" else prefix_of
        named = [(path, pick(path.rpartition("/")[2])) for path in paths]
        silent = [path for path, name in named if name is None]
        if silent and needed:
            values = {"example": silent[0], "count": len(silent), "total": len(paths)}
            if len(silent) == len(paths) and self.tables:
                raise DataError("data.label_in_a_table", path=self.path, tables=joined(self.tables[:3]), **values)
            raise DataError("data.label_not_a_number", path=self.path, **values)
        self.entries += [Entry(path, split, name) for path, name in named]

    def _folders_or_names(
        self, by_name: str, count: int, named: set[str], in_classes: int, folder: Folder
    ) -> DataError:
        level = unwrapped(folder).path.count("/") + 1
        return DataError(
            "data.folders_or_names",
            path=self.path,
            named=count,
            flag=f"--photo-layout {by_name}",
            classes=joined(sorted(named)[:4]),
            count=in_classes,
            second_flag=f"--photo-layout class-folders:{level}",
        )


def _listed(one: Folder | list[Folder]) -> list[Folder]:
    return one if isinstance(one, list) else [one]


def _loose(folder: Folder) -> list[str]:
    """The pictures that lie in no class folder: directly in the folder, or in the parts of it."""
    inner = unwrapped(folder)
    return [path for one in [inner, *parts_of(inner)] for path in one.paths]


def _are_words(files: Folder) -> bool:
    """Whether the words before the numbers of the names are classes: each has several photos, and all have one."""
    words = files.prefixes
    return len(words) > 1 and words.total() >= 0.95 * len(files.paths) and words.total() >= 3 * len(words)


def _stray_notes(strays: Sequence[str]) -> list[Note]:
    return [Note("data.note_strays", {"count": len(strays), "example": strays[0]})] if strays else []


def _split_in(folders: Sequence[str]) -> Split:
    """The split that the folders of a path state: the innermost that says nothing else, else the innermost of all."""
    words = [word for name in reversed(folders) if (word := split_word(name))]
    plain = [word for word in words if not word.rest]
    return plain[0].split if plain else words[0].split if words else "train"


def _by_level(pictures: Sequence[str], level: int, path: Path) -> Found:
    """Read as the user says: the class is the folder at a level, a folder above it may state the split."""
    entries: list[Entry] = []
    strays: list[str] = []
    for picture in pictures:
        folders = picture.split("/")[:-1]
        if len(folders) >= level:
            entries.append(Entry(picture, _split_in(folders[: level - 1]), folders[level - 1]))
        elif _split_in(folders) == "test":
            entries.append(Entry(picture, "test", None))
        else:
            strays.append(picture)
    return _settled("class_folders", entries, strays, path)


def _by_names(pictures: Sequence[str], kind: str, path: Path) -> Found:
    """Read as the user says: the class is in the name of the file, a folder may state the split."""
    pick: Callable[[str], str | None] = number_of if kind == "flat" else prefix_of
    entries = []
    for picture in pictures:
        folder, _, name = picture.rpartition("/")
        entries.append(Entry(picture, _split_in(folder.split("/")), pick(name)))
    silent = [entry.path for entry in entries if entry.split != "test" and entry.class_name is None]
    if silent:
        values = {"example": silent[0], "count": len(silent), "total": len(entries)}
        raise DataError("data.label_not_a_number", path=path, **values)
    return _settled("flat" if kind == "flat" else "names", entries, [], path)


def _settled(
    layout: Literal["flat", "class_folders", "names"], entries: list[Entry], strays: list[str], path: Path
) -> Found:
    known = {entry.class_name for entry in entries if entry.split == "train"}
    if not known:
        raise DataError("data.no_training_split", path=path, found=joined(sorted({entry.split for entry in entries})))
    in_test = {entry.class_name for entry in entries if entry.split == "test"}
    if None in in_test or not in_test & known:
        entries = [entry._replace(class_name=None) if entry.split == "test" else entry for entry in entries]
    return Found(layout, tuple(entries), "", tuple(_stray_notes(strays)))
