"""Open a set of photos: find its source, layout, classes and splits."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from thalweg.data.addresses import is_url
from thalweg.data.archives import open_archive
from thalweg.data.builtin import ARCHIVE, BUILTIN
from thalweg.data.classes import given_names, number_classes
from thalweg.data.layouts import AUTO, Entry, Found, LayoutChoice, recognize, to_classify
from thalweg.data.leftovers import leftover_notes, leftovers_of
from thalweg.data.parquet import ParquetSource
from thalweg.data.photos import SPLITS, ImageSet, Photo, in_natural_order
from thalweg.data.samples import read_samples
from thalweg.data.shards import TarShards, find_shards, is_parquet
from thalweg.data.sources import BesideSource, FileSource, FolderSource, Note, Source, is_picture
from thalweg.data.spelling import composed
from thalweg.data.splits import choose_valid, copies_in
from thalweg.data.stratified import valid_of_several
from thalweg.data.tables import Columns, Tables, find_table, is_table, read_table, unlisted
from thalweg.data.walking import readable
from thalweg.errors import DataError, UsageError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thalweg.data.walking import Progress

_SHOWN = 5


def open_images(
    path: Path | str,
    *,
    classes: Path | str | Sequence[str] | None = None,
    seed: int = 0,
    valid_fraction: float = 0.2,
    choice: LayoutChoice = AUTO,
    progress: Progress | None = None,
) -> ImageSet:
    """Open a set of photos for training, whatever its layout.

    Args:
        path: a folder, a `.csv`, a `.zip`, a `.tar` (also compressed), a `.parquet`, a pattern of tars or Parquet
            files such as `train-{000..012}.tar`, the URL of any of these, or the word `builtin` for the set that comes
            with the package.
        classes: `food11` for the homework's eleven names, or a file with one class name per line; by default the names
            come from `classes.txt` beside the photos, or else from folders or numbers. A sequence of names is
            believed: those of a run, in the order of its labels.
        seed: determines the validation split of a set that has none.
        valid_fraction: share of every class in that split, in (0, 1).
        choice: the layout, the table or the encoding of names, where the evidence should not decide.
        progress: called with (files found so far, 0) while a folder is listed, then, for a set without a validation
            split, with (files read, files to read) while files of equal size are compared.

    Returns:
        The set; `describe()` states its layout, `notes` what else the user should know.

    Raises:
        DataError: there are no photos, the layout is unknown or may be two, there is only one class, or a class is
            missing from the training split.
        UsageError: `classes`, `valid_fraction` or `choice` is invalid.

    Example:
        >>> images = open_images("builtin")
        >>> images.layout, len(images.split("train")), images.classes[0]
        ('flat', 6000, 'T-shirt/top')
    """
    path, url, fetched = _local(path)
    source, found = _find(path, choice, progress)
    entries, links = _each_once(found.entries, source)
    leftovers = leftovers_of(source.names())
    notes = [*fetched, *source.notes, *found.notes, *links, *leftover_notes(leftovers)]
    several = any(entry.names is not None for entry in entries)
    if choice.labels == "several" and not several:
        raise UsageError("data.several_need_table", path=path)
    train = Counter(name for entry in entries if entry.split == "train" for name in entry.classes)
    if not train:
        raise DataError("data.no_training_split", path=path, found=joined(sorted({e.split for e in entries})))
    if len(train) == 1:
        raise DataError("data.one_class", path=path, name=next(iter(train)))
    if unknown := {name for entry in entries for name in entry.classes} - train.keys():
        photo, name = next((one.path, name) for one in entries for name in one.classes if name in unknown)
        raise DataError("data.class_not_in_training", path=path, photo=photo, name=name)
    listed = found.layout in ("csv", "webdataset", "parquet")
    numbered = found.layout == "flat" or _are_numbers(train, may_be_far=listed)
    given = given_names(classes, source, found.root) or found.classes
    believed = classes is not None and not isinstance(classes, str | Path)
    if believed and found.layout == "class_folders" and set(given or ()) == set(train):
        numbered = False  # version 0.1.0 did not take folders 1, 2, 10 for numbers
    names, label_of = number_classes(set(train), given, path=path, numbered=numbered, believed=believed)
    if not any(entry.split == "valid" for entry in entries):
        copies = copies_in(source, _to_divide(entries, path), progress=progress)
        entries, made = _with_validation(entries, copies, seed=seed, fraction=valid_fraction)
        notes += made
    elif unknown := sorted(
        train.keys() - {name for entry in entries if entry.split == "valid" for name in entry.classes}
    ):
        notes.append(Note("data.note_no_validation", {"count": len(unknown), "names": _few(unknown)}))
    notes += _empty_folders(source, found, set(train))
    missing = sorted(set(range(len(names))) - set(label_of.values()))
    if missing:
        notes.append(Note("data.note_empty_classes", {"names": _few([names[label] for label in missing])}))
    photos = in_natural_order(_photo(entry, label_of) for entry in entries)
    return ImageSet(path, found.layout, names, photos, source, tuple(notes), leftovers, several=several, url=url)


def _photo(entry: Entry, label_of: Mapping[str, int]) -> Photo:
    """The photo of an entry, with numbers for classes."""
    labels = None if entry.names is None else tuple(sorted(label_of[name] for name in entry.names))
    return Photo(entry.path, entry.split, label_of[entry.class_name] if entry.class_name else None, labels)


def open_photos(path: Path | str | Sequence[Path | str], *, progress: Progress | None = None) -> ImageSet:
    """Open photos for prediction; labels are ignored.

    Args:
        path: whatever `open_images` opens, a single photo, or several photos. In a set with a training and a test
            split, only the photos of the test split are opened, with a note.
        progress: called with (files found so far, 0) while a folder is listed.

    Returns:
        The photos in natural order, all unlabeled and in the split `test`; several photos in the order given.

    Raises:
        DataError: there are no photos.
    """
    if not isinstance(path, str | os.PathLike):
        if len(path) != 1:
            return _open_several([Path(one) for one in path])
        (path,) = path
    path, url, fetched = _local(path)
    source, names, tables = _look(path, AUTO, progress)
    others = 0
    if tables.files:
        entries = read_table(source, tables, names, labeled=False)
        paths = [entry.path for entry in entries if entry.split == "test"] or [entry.path for entry in entries]
        others = len(entries) - len(paths)
    else:
        paths, others = to_classify(names, path)
    if not paths:
        raise DataError("data.no_images", path=path)
    chosen = [Entry(name, "test", None) for name in paths]
    entries, links = _each_once(chosen, source) if names else (chosen, [])  # what surrounds a table is not looked at
    leftovers = leftovers_of(names)
    left = [Note("data.note_test_only", {"count": len(entries), "others": others})] if others else []
    photos = in_natural_order(Photo(entry.path, "test", None) for entry in entries)
    notes = (*fetched, *(source.notes if names else ()), *left, *links, *leftover_notes(leftovers))
    return ImageSet(path, "unlabeled", (), photos, source, notes, leftovers, url=url)


def _local(photos: Path | str | os.PathLike[str]) -> tuple[Path, str | None, tuple[Note, ...]]:
    """Where a set lies on this machine, copied from its address if it has one; the address; and notes."""
    if photos == BUILTIN:
        return ARCHIVE, None, ()
    if isinstance(photos, str) and is_url(photos):
        from thalweg.data.remote import local_copy

        copy = local_copy(photos)
        return copy.path, photos, copy.notes
    return Path(photos), None, ()


def _open_several(paths: Sequence[Path]) -> ImageSet:
    """Single photos, wherever they lie, in the order given."""
    for one in paths:
        if not one.exists():
            raise DataError("data.not_there", path=one)
        if not (one.is_file() and is_picture(one.name)):
            raise DataError("data.not_one_photo", path=one)
    if not paths:
        raise DataError("data.no_images", path=Path())
    photos = tuple(Photo(str(one), "test", None) for one in dict.fromkeys(paths))
    return ImageSet(paths[0].parent, "unlabeled", (), photos, FolderSource(Path()))


def _find(path: Path, choice: LayoutChoice, progress: Progress | None) -> tuple[Source, Found]:
    source, names, tables = _look(path, choice, progress)
    if tables.files:
        entries = read_table(source, tables, names, _columns(choice))
        return source, Found("csv", tuple(entries), tables.root, (*tables.notes, *unlisted(entries, names)))
    found = source.found(choice) if isinstance(source, ParquetSource) else None
    if found is None and choice.kind == "auto":
        found = read_samples(source)
    found = found or recognize(names, path, choice)
    entries = tuple(map(_composed, found.entries))
    return source, replace(found, entries=entries, notes=(*tables.notes, *found.notes))


def _composed(entry: Entry) -> Entry:
    """The entry with the name of its class in NFC."""
    name = entry.class_name
    return entry if name is None or name.isascii() else entry._replace(class_name=composed(name))


def _look(path: Path, choice: LayoutChoice, progress: Progress | None) -> tuple[Source, Sequence[str], Tables]:
    """The source, its files, and its tables: the path itself, the one named, or those beside the photos."""
    list(readable([str(path.resolve())], path))  # runs and caches store the path
    if is_table(path.name) and path.is_file():
        return FolderSource(path.parent), (), Tables((path.name,))
    source = _open_source(path, choice, progress)
    names = source.names()
    if choice.table is not None:
        return _with_table(source, path, choice.table)
    if choice.kind not in ("auto", "csv"):
        return source, names, Tables()
    tables = find_table(source, names, _columns(choice))
    if not tables.files and choice.kind == "csv":
        raise DataError("data.no_table", path=path)
    return source, names, tables


def _columns(choice: LayoutChoice) -> Columns:
    return Columns(path=choice.path_column, label=choice.label_column, labels=choice.labels)


def _with_table(source: Source, path: Path, table: str) -> tuple[Source, Sequence[str], Tables]:
    """The table that the user names: a file of the set, or one that lies elsewhere."""
    name = table.replace("\\", "/").removeprefix("./")
    if name in source.names():
        return source, source.names(), Tables((name,))
    file = Path(table)
    if not file.is_file():
        raise DataError("data.no_such_table", path=path, table=table)
    if path.is_dir() and file.resolve().is_relative_to(path.resolve()):
        return source, source.names(), Tables((file.resolve().relative_to(path.resolve()).as_posix(),))
    beside = BesideSource(source, file)
    return beside, beside.names(), Tables((file.name,))


def _open_source(path: Path, choice: LayoutChoice, progress: Progress | None) -> Source:
    folder = FolderSource(path, progress=progress) if path.is_dir() else None
    shards = find_shards(path, folder.names() if folder else ())
    if shards:
        kind = ParquetSource if is_parquet(shards.taken[0].file.name) else TarShards
        return kind(path, shards, choice)
    if folder:
        return folder
    if not path.exists():
        raise DataError("data.not_there", path=path)
    if is_picture(path.name):
        return FileSource(path)
    archive = open_archive(path, encoding=choice.encoding)
    if archive is None:
        raise DataError("data.unknown_kind", path=path)
    return archive


def _each_once(entries: Sequence[Entry], source: Source) -> tuple[list[Entry], list[Note]]:
    """Keep one name of each file that has several through links: in training rather than elsewhere, the file's own."""
    if not isinstance(source, FolderSource) or not source.tree.links:
        return list(entries), []
    kept: dict[str, Entry] = {}
    dropped: list[tuple[str, str]] = []
    own = f"{source.tree.path}/"
    for entry in sorted(entries, key=lambda one: (SPLITS.index(one.split), source.origin(one.path) != own + one.path)):
        first = kept.setdefault(source.origin(entry.path), entry)
        if first is not entry:
            dropped.append((entry.path, first.path))
    if not dropped:
        return list(entries), []
    chosen = {entry.path for entry in kept.values()}
    values = {"count": len(dropped), "example": dropped[0][0], "kept": dropped[0][1]}
    return [entry for entry in entries if entry.path in chosen], [Note("data.note_links", values)]


def _to_divide(entries: Sequence[Entry], path: Path) -> list[str]:
    """The photos of a training split of which a part is to be set aside.

    Raises:
        DataError: no class has two photos.
    """
    train = [entry for entry in entries if entry.split == "train"]
    counts = Counter(name for entry in train for name in entry.classes)
    if max(counts.values()) == 1:
        raise DataError("data.one_photo_each", path=path, count=len(counts), example=train[0].path)
    return [entry.path for entry in train]


def _with_validation(
    entries: Sequence[Entry], copies: Mapping[str, str], *, seed: int, fraction: float
) -> tuple[list[Entry], list[Note]]:
    """Set aside a part of the training split; copies of a photo stay on one side."""
    train = [entry for entry in entries if entry.split == "train"]
    counts = Counter(name for entry in train for name in entry.classes)
    if any(entry.names is not None for entry in train):
        labeled = ((entry.path, entry.classes) for entry in train)
        chosen = valid_of_several(labeled, seed=seed, fraction=fraction, copies=copies)
    else:
        named = ((entry.path, entry.class_name) for entry in train)
        chosen = choose_valid(named, seed=seed, fraction=fraction, copies=copies)
    moved = [entry._replace(split="valid") if entry.path in chosen else entry for entry in entries]
    notes = [Note("data.note_split_made", {"count": len(chosen), "share": fraction, "seed": seed})]
    validated = {name for entry in moved if entry.split == "valid" for name in entry.classes}
    alone = sorted(str(name) for name in counts.keys() - validated)
    if alone:
        notes.append(Note("data.note_not_validated", {"count": len(alone), "names": _few(alone)}))
    return moved, notes


def _empty_folders(source: Source, found: Found, classes: set[str]) -> list[Note]:
    """Class folders without a photo: empty ones, and those with files of other kinds only."""
    if found.layout != "class_folders":
        return []
    homes = {entry.path.rpartition("/")[0].rpartition("/")[0] for entry in found.entries if entry.class_name}
    with_photos = {entry.path.rpartition("/")[0] for entry in found.entries}
    others = {name.rpartition("/")[0] for name in source.names() if not is_picture(name)}
    others |= set(source.tree.empty) if isinstance(source, FolderSource) else set()
    empty = sorted(one for one in others - with_photos if "/" in f"/{one}" and one.rpartition("/")[0] in homes and one)
    empty = [one for one in empty if not any(folder.startswith(f"{one}/") for folder in with_photos)]
    if not empty:
        return []
    lacking = [one for one in empty if one.rpartition("/")[2] not in classes]
    values = {"count": len(empty), "names": _few(lacking or empty)}
    return [Note("data.note_empty_folders", values)]


def _are_numbers(names: Iterable[str], *, may_be_far: bool) -> bool:
    """Whether classes are numbers, such as 1, 2 and 10; folders named by dates are none, nor are 1 and 01."""
    names = list(names)
    if not all(name.isascii() and name.isdecimal() for name in names):
        return False
    numbers = {int(name) for name in names}
    return may_be_far or (len(numbers) == len(names) and max(numbers) < 100 + 10 * len(numbers))


def _few(names: Sequence[str]) -> str:
    return joined([*names[:_SHOWN], *["…"] * (len(names) > _SHOWN)])
