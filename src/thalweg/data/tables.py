"""Tables that list photos: one line per photo, with its path or id, its label, and perhaps its split.

Several tables may be one set: `train.csv`, `val.csv` and `test.csv`, or one in each folder.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final, NamedTuple

from thalweg.data.columns import (
    LABEL_WORDS,
    PATH_WORDS,
    Chosen,
    Columns,
    choose_columns,
    class_in,
    classes_in,
    is_plain,
    word_of,
)
from thalweg.data.findings import Finding
from thalweg.data.label_sets import separator_of
from thalweg.data.layouts import SPLIT_NAMES, Entry
from thalweg.data.places import Places, split_in, tidy
from thalweg.data.rows import Row, Sheet, read_header, read_sheet
from thalweg.data.sources import Note, is_picture
from thalweg.data.spelling import composed
from thalweg.data.walking import RUN_SPLIT
from thalweg.errors import BadImageError, DataError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from thalweg.data.photos import Split
    from thalweg.data.sources import Source

__all__ = ["Columns", "Tables", "find_table", "is_table", "read_table"]

_ENDINGS = (".csv", ".tsv")
# What this package writes itself; photos are never taken from it unless the user says so.
_OWN_SPLIT: Final = ["path", "split", "label"]
_OWN_FOLDS: Final = ["path", "fold", "label", "predicted"]
_OWN_SUBMISSION: Final = ["Id", "Category"]
_OWN_CORRECTIONS: Final = ["path", "given", "decision", "label"]
_OWN_REVIEW: Final = ["rank", "path", "given", "suggested"]
_OWN_FINDINGS: Final = [*Finding._fields[:4]]
_TRIED = 20  # rows
_DEEPEST = 2
_WHOLE = re.compile(r"\d+\.0+")


@dataclass(frozen=True)
class Tables:
    """The tables that list the photos of a set.

    Attributes:
        files: their names in the source; none if no table lists the photos.
        notes: tables that were not taken, and why.
        places: the photos of the set, if they are known.
    """

    files: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    places: Places | None = field(default=None, repr=False, compare=False)

    @property
    def root(self) -> str:
        """The folder of the first: empty, or ending in a slash."""
        return _folder(self.files[0]) if self.files else ""


def is_table(name: str) -> bool:
    """Whether the name has a table's extension.

    Example:
        >>> is_table("train/Labels.CSV"), is_table("labels.txt")
        (True, False)
    """
    return name.lower().endswith(_ENDINGS)


def find_table(source: Source, names: Sequence[str], columns: Columns | None = None) -> Tables:
    """Find the table or the tables of a set, at most two folders deep.

    A table with the columns `path` and `label` lists the photos. Any other does if most of its rows are photos of the
    set, each once, with a label.

    Args:
        source: the set.
        names: its files.
        columns: those that the user says.

    Raises:
        DataError: two tables list photos, or a table cannot be read.
    """
    columns = columns or Columns()
    candidates = [name for name in names if is_table(name) and name.count("/") <= _DEEPEST]
    if not candidates:
        return Tables()
    places = Places(names)
    notes: list[Note] = []
    by_verdict: defaultdict[str, list[str]] = defaultdict(list)
    for name in candidates:
        verdict, reasons = _judge(source, name, columns, places)
        by_verdict[verdict].append(name)
        notes += reasons
    listing = by_verdict["plain"] or by_verdict["labeled"]
    taken = _as_one_set(source, listing)
    if taken and not any(split_in(name) == "test" for name in taken):
        silent = [name for name in by_verdict["unlabeled"] if split_in(name) == "test"]
        taken += silent
        notes = [note for note in notes if note.values.get("table") not in silent]
    return Tables(tuple(taken), tuple(notes), places)


def read_table(
    source: Source,
    tables: Tables | str,
    names: Sequence[str] = (),
    columns: Columns | None = None,
    *,
    labeled: bool = True,
) -> list[Entry]:
    """The photos listed in a table or in the tables of a set.

    A photo may be named by a path relative to the table or to the set, by the end of its path, or without its ending.
    In the test split an empty label means unknown; where photos may have several labels, it means none if any photo of
    that split has one, and in the other splits always. A photo that is listed but missing keeps its path.

    Args:
        source: the set.
        tables: from `find_table`, or the name of one.
        names: the files of the set; listed if there are none and the paths do not speak for themselves.
        columns: those that the user says.
        labeled: whether photos of the training and validation split need a label.

    Raises:
        DataError: a table cannot be read, a column is missing, a split is unknown, a photo is listed twice, or a label
            is missing.
    """
    columns = columns or Columns()
    files = (tables,) if isinstance(tables, str) else tables.files
    known = None if isinstance(tables, str) else tables.places
    if known is None and names:
        known = Places(names)
    listed: list[_Listed] = []
    for name in files:
        sheet = read_sheet(_content(source, name), _shown(source, name))
        if known is None:
            known = Places(() if _speak_for_themselves(sheet, source, name, columns) else source.names())
        chosen = _chosen(sheet, source, name, columns, known, labeled=labeled, several=len(files) > 1)
        listed.append(_Listed(name, sheet, chosen))
    separator = _separator(listed, columns) if labeled else None
    entries: dict[str, Entry] = {}
    for one in listed:
        found = _entries(one, source, known or Places(()), separator, labeled=labeled, several=len(files) > 1)
        for row, entry in found:
            if entry.path in entries:
                where = f"{_shown(source, one.name)}:{row.line}"
                raise DataError("data.table_twice", line=where, photo=entry.path)
            entries[entry.path] = entry
    if not entries:
        raise DataError("data.no_images", path=joined(str(_shown(source, name)) for name in files))
    found = _with_unknown_tests(_with_whole_numbers(list(entries.values())))
    if known and not any(entry.split == "test" for entry in found):
        found += [Entry(name, "test", None) for name in _unlisted_tests(names, entries)]
    return found


def _with_whole_numbers(entries: list[Entry]) -> list[Entry]:
    """Classes that a spreadsheet has written as `3.0` are `3`."""
    if not all(_WHOLE.fullmatch(name) for entry in entries for name in entry.classes):
        return entries

    def whole(name: str) -> str:
        return name.partition(".")[0]

    return [
        entry._replace(
            class_name=entry.class_name and whole(entry.class_name),
            names=None if entry.names is None else tuple(dict.fromkeys(map(whole, entry.names))),
        )
        for entry in entries
    ]


def _with_unknown_tests(entries: list[Entry]) -> list[Entry]:
    """Several labels: if no photo of the test split has one, they are unknown rather than none."""
    if any(entry.names for entry in entries if entry.split == "test"):
        return entries
    return [entry._replace(names=None) if entry.split == "test" else entry for entry in entries]


def unlisted(entries: Sequence[Entry], names: Sequence[str]) -> list[Note]:
    """A note of the pictures that no table lists."""
    listed = {entry.path for entry in entries}
    left = [name for name in names if name not in listed and is_picture(name)]
    return [Note("data.note_unlisted", {"count": len(left), "example": left[0]})] if left else []


class _Listed(NamedTuple):
    """A table of a set, and its columns."""

    name: str
    sheet: Sheet
    chosen: Chosen


def _chosen(
    sheet: Sheet, source: Source, name: str, columns: Columns, places: Places, *, labeled: bool, several: bool
) -> Chosen:
    table, folder, of_table = _shown(source, name), _folder(name), split_in(name)
    chosen = choose_columns(sheet, columns, lambda field: bool(places.find(field, folder, of_table)), table)
    needed = labeled and not (several and of_table == "test")
    if chosen is None or (needed and not chosen.labeled):
        raise DataError("data.table_header", table=table, found=joined(sheet.header))
    return chosen


def _separator(listed: Sequence[_Listed], columns: Columns) -> str | None:
    """The sign between labels; None: photos have one label. Columns of 0 and 1 need it for writing only."""
    fields = {
        composed(row.fields[one.chosen.label].strip())
        for one in listed
        for row in one.sheet.rows
        if one.chosen.label is not None and one.chosen.label < len(row.fields)
    }
    return separator_of(fields, columns.labels)


def _entries(
    listed: _Listed, source: Source, places: Places, separator: str | None, *, labeled: bool, several: bool
) -> list[tuple[Row, Entry]]:
    name, sheet, chosen = listed
    table, folder, of_table = _shown(source, name), _folder(name), split_in(name)
    of_row = _splits(sheet, chosen, several=several, of_table=of_table)
    found: list[tuple[Row, Entry]] = []
    for row in sheet.rows:
        where = f"{table}:{row.line}"
        field = row.fields[chosen.path].strip() if chosen.path < len(row.fields) else ""
        label = class_in(row.fields, chosen) if separator is None else None
        names = None if separator is None or not chosen.labeled else classes_in(row.fields, chosen, separator)
        split = of_row(row.fields)
        if split is None:
            said = row.fields[chosen.split or 0].strip()
            raise DataError("data.table_split", line=where, split=said, known=joined(SPLIT_NAMES))
        if not field or (label is None and names is None and labeled and split != "test"):
            raise DataError("data.table_gap", line=where)
        if any("\n" in text for text in (field, label or "", *(names or ()))):
            raise DataError("data.table_quotes", line=where)
        fitting = places.find(field, folder, of_table)
        if len(fitting) > 1:
            values = {"photo": field, "first": fitting[0], "second": fitting[1]}
            raise DataError("data.table_ambiguous", line=where, **values)
        found.append((row, Entry(fitting[0] if fitting else _as_given(field, folder), split, label, names)))
    return found


def _splits(
    sheet: Sheet, chosen: Chosen, *, several: bool, of_table: Split | None
) -> Callable[[list[str]], Split | None]:
    """How to tell the split of a row: its column, if that says splits, else the table, if it is one of several."""
    column = chosen.split
    if column is not None:
        said = {row.fields[column].strip().casefold() for row in sheet.rows if column < len(row.fields)} - {""}
        if word_of(sheet.header[column]) == "split" or said <= SPLIT_NAMES.keys():

            def by_column(fields: list[str]) -> Split | None:
                word = fields[column].strip().casefold() if column < len(fields) else ""
                return SPLIT_NAMES.get(word or "train")

            return by_column
    split: Split = (of_table if several else None) or "train"
    return lambda _: split


def _judge(source: Source, name: str, columns: Columns, places: Places) -> tuple[str, list[Note]]:
    """What a table is: `plain`, `labeled`, `unlabeled`, or `other`, and what the user should know about it."""
    content = _content(source, name)
    header = read_header(content)
    if _is_own(name, header):
        return "other", [Note("data.note_own_table", {"table": name})]
    if is_plain(header) and not columns.path and not columns.label:
        return "plain", []
    fewest = 1 if columns.path or split_in(name) == "test" else 2  # photos to predict need no label
    if not len(places) or len(header) < fewest:
        return "other", []
    try:
        verdict, key = _weigh(read_sheet(content, name), name, columns, places)
    except DataError as error:  # a table about anything may be damaged
        return "other", [Note("data.note_table_unread", {"reason": error})] if _looks_like_a_list(header) else []
    return verdict, [Note(key, {"table": name, "columns": joined(header)})] if key else []


def _weigh(sheet: Sheet, name: str, columns: Columns, places: Places) -> tuple[str, str | None]:
    """Whether most rows are photos of the set, each once; and the key of a note."""
    folder, split = _folder(name), split_in(name)
    chosen = choose_columns(sheet, columns, lambda field: bool(places.find(field, folder, split)), name)
    if chosen is None:
        return "other", None
    rows, found = 0, set[str]()
    for row in sheet.rows:
        field = row.fields[chosen.path] if chosen.path < len(row.fields) else ""
        fitting = places.find(field, folder, split)[:1]
        rows += len(fitting)
        found.update(fitting)
    if 2 * rows <= len(sheet.rows):
        return "other", "data.note_table_no_match" if _looks_like_a_list(sheet.header) else None
    if rows > len(found):
        return "other", "data.note_table_repeats"
    return ("labeled", None) if chosen.labeled else ("unlabeled", "data.note_table_no_labels")


def _looks_like_a_list(header: Sequence[str]) -> bool:
    words = {word_of(name) for name in header}
    return not words.isdisjoint(PATH_WORDS) and not words.isdisjoint(LABEL_WORDS)


def _as_one_set(source: Source, tables: Sequence[str]) -> list[str]:
    """The tables, if they are one: each of another split, or each in a folder of its own.

    Raises:
        DataError: two of them may each be the table of the set.
    """
    seen: dict[tuple[str, Split | None], str] = {}
    for name in tables:
        first = seen.setdefault((_folder(name), split_in(PurePosixPath(name).name)), name)
        if first != name or (len(tables) > 1 and not name.count("/") and split_in(name) is None):
            other = first if first != name else next(one for one in tables if one != name)
            raise DataError("data.two_tables", path=source.path, first=other, second=name)
    return list(tables)


def _is_own(name: str, header: Sequence[str]) -> bool:
    file = PurePosixPath(name)
    if list(header) == _OWN_SPLIT:
        return file.name == RUN_SPLIT
    if list(header[:4]) in (_OWN_FOLDS, _OWN_CORRECTIONS, _OWN_REVIEW, _OWN_FINDINGS):
        return True
    return list(header[:2]) == _OWN_SUBMISSION or "submission" in file.stem.casefold()


def _speak_for_themselves(sheet: Sheet, source: Source, name: str, columns: Columns) -> bool:
    """Whether the first paths are files, so that the folder need not be listed."""
    if not source.path.is_dir():
        return False
    home = source.path / _folder(name)
    chosen = choose_columns(sheet, columns, lambda field: _is_file(home, field), name)
    some = sheet.rows[:_TRIED]
    return bool(chosen and some) and all(
        chosen.path < len(row.fields) and _is_file(home, row.fields[chosen.path]) for row in some if chosen
    )


def _is_file(home: Path, field: str) -> bool:
    try:
        return bool(field.strip()) and (home / tidy(field)).is_file()
    except (OSError, ValueError):  # too long for a name
        return False


def _unlisted_tests(names: Sequence[str], listed: dict[str, Entry]) -> list[str]:
    """The pictures in folders of a test split, of which no table says anything."""
    return [
        name
        for name in names
        if is_picture(name) and name not in listed and split_in(name.rpartition("/")[0]) == "test"
    ]


def _as_given(field: str, folder: str) -> str:
    return folder + tidy(field)


def _content(source: Source, name: str) -> bytes:
    try:
        return source.read(name)
    except BadImageError as error:
        raise DataError("data.unreadable_table", table=_shown(source, name), reason=error) from error


def _shown(source: Source, name: str) -> str:
    return str(source.path / name) if source.path.is_dir() else f"{source.path}: {name}"


def _folder(name: str) -> str:
    return name[: name.rfind("/") + 1]
