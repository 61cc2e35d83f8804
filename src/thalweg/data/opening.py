"""Open a set of photos: find its source, layout, classes and splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.data.archives import TarSource, ZipSource, is_tar
from thalweg.data.builtin import ARCHIVE
from thalweg.data.classes import given_names, number_classes
from thalweg.data.layouts import Found, recognize, split_pictures
from thalweg.data.photos import ImageSet, Photo, by_split
from thalweg.data.sources import FileSource, FolderSource, Note, Source, is_picture
from thalweg.data.spelling import composed
from thalweg.data.splits import choose_valid
from thalweg.data.tables import Tables, find_table, is_table, read_table, unlisted
from thalweg.errors import DataError


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

BUILTIN = "builtin"


def open_images(
    path: Path | str,
    *,
    classes: Path | str | Sequence[str] | None = None,
    seed: int = 0,
    valid_fraction: float = 0.2,
) -> ImageSet:
    """Open a set of photos for training, whatever its layout.

    Args:
        path: a folder, a `.csv`, a `.zip`, a `.tar` (also compressed), or the word `builtin` for the set that comes
            with the package.
        classes: `food11` for the homework's eleven names, or a file with one class name per line; by default the names
            come from `classes.txt` beside the photos, or else from folders or numbers. A sequence of names is
            believed: those of a run, in the order of its labels.
        seed: determines the validation split of a set that has none.
        valid_fraction: share of every class in that split, in (0, 1).

    Returns:
        The set; `describe()` states its layout, `notes` what else the user should know.

    Raises:
        DataError: there are no photos, the layout is unknown, there is only one class, or a class is missing from the
            training split.
        UsageError: `classes` or `valid_fraction` is invalid.

    Example:
        >>> images = open_images("builtin")
        >>> images.layout, len(images.split("train")), images.classes[0]
        ('flat', 6000, 'T-shirt/top')
    """
    path = ARCHIVE if path == BUILTIN else Path(path)
    source, found = _find(path)
    entries = found.entries
    notes = [*source.notes, *found.notes]
    train = {entry.class_name for entry in entries if entry.split == "train" and entry.class_name}
    if not train:
        raise DataError("data.no_training_split", path=path, found=", ".join(sorted({e.split for e in entries})))
    if len(train) == 1:
        raise DataError("data.one_class", path=path, name=train.pop())
    for entry in entries:
        if entry.class_name and entry.class_name not in train:
            raise DataError("data.class_not_in_training", path=path, photo=entry.path, name=entry.class_name)
    if not any(entry.split == "valid" for entry in entries):
        chosen = choose_valid(
            ((entry.path, entry.class_name) for entry in entries if entry.split == "train"),
            seed=seed,
            fraction=valid_fraction,
        )
        entries = [entry._replace(split="valid") if entry.path in chosen else entry for entry in entries]
        notes.append(Note("data.note_split_made", {"count": len(chosen), "share": valid_fraction, "seed": seed}))
    numbered = found.layout == "flat" or _are_numbers(train, may_be_far=found.layout == "csv")
    given = given_names(classes, source, found.root)
    believed = classes is not None and not isinstance(classes, str | Path)
    names, label_of = number_classes(train, given, path=path, numbered=numbered, believed=believed)
    missing = sorted(set(range(len(names))) - set(label_of.values()))
    if missing:
        notes.append(Note("data.note_empty_classes", {"names": ", ".join(names[label] for label in missing)}))
    photos = (Photo(e.path, e.split, label_of[e.class_name] if e.class_name else None) for e in entries)
    return ImageSet(path, found.layout, names, tuple(sorted(photos, key=by_split)), source, tuple(notes))


def open_photos(path: Path | str) -> ImageSet:
    """Open photos for prediction; labels are ignored.

    Args:
        path: a folder, an archive, a table, or a single photo. If there is a test split, only its photos are
            opened.

    Returns:
        The photos in natural order, all unlabeled and in the split `test`.

    Raises:
        DataError: there are no photos.
    """
    path = ARCHIVE if path == BUILTIN else Path(path)
    source, names, tables = _look(path)
    if tables.files:
        entries = read_table(source, tables, names, labeled=False)
        paths = [entry.path for entry in entries if entry.split == "test"] or [entry.path for entry in entries]
    else:
        _, splits, strays = split_pictures(names)
        everything = [*strays, *(picture for pictures in splits.values() for picture in pictures)]
        paths = [picture.path for picture in splits.get("test", everything)]
    if not paths:
        raise DataError("data.no_images", path=path)
    photos = sorted((Photo(name, "test", None) for name in paths), key=by_split)
    return ImageSet(path, "unlabeled", (), tuple(photos), source, source.notes)


def _find(path: Path) -> tuple[Source, Found]:
    source, names, tables = _look(path)
    if tables.files:
        entries = read_table(source, tables, names)
        return source, Found("csv", tuple(entries), tables.root, (*tables.notes, *unlisted(entries, names)))
    found = recognize(names, path)
    entries = (one._replace(class_name=one.class_name and composed(one.class_name)) for one in found.entries)
    return source, replace(found, entries=tuple(entries), notes=(*tables.notes, *found.notes))


def _look(path: Path) -> tuple[Source, Sequence[str], Tables]:
    """The source, its files, and its tables: the path itself, or those beside the photos."""
    if is_table(path.name) and path.is_file():
        return FolderSource(path.parent), (), Tables((path.name,))
    source = _open_source(path)
    names = source.names()
    return source, names, find_table(source, names)


def _open_source(path: Path) -> Source:
    if path.is_dir():
        return FolderSource(path)
    if not path.exists():
        raise DataError("data.not_there", path=path)
    if path.suffix.lower() == ".zip":
        return ZipSource(path)
    if is_tar(path):
        return TarSource(path)
    if is_picture(path.name):
        return FileSource(path)
    raise DataError("data.unknown_kind", path=path)


def _are_numbers(names: Iterable[str], *, may_be_far: bool) -> bool:
    """Whether classes are numbers, such as 1, 2 and 10; folders named by dates are none, nor are 1 and 01."""
    names = list(names)
    if not all(name.isascii() and name.isdecimal() for name in names):
        return False
    numbers = {int(name) for name in names}
    return may_be_far or (len(numbers) == len(names) and max(numbers) < 100 + 10 * len(numbers))
