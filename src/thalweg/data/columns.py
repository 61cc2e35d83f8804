"""Which columns of a table hold paths, labels and splits: by what their names say and what lies in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from thalweg.data.label_sets import parts_of
from thalweg.data.spelling import composed
from thalweg.errors import DataError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thalweg.data.label_sets import Labels
    from thalweg.data.rows import Sheet

# In order: where several columns fit equally well, the first word decides.
PATH_WORDS: Final = (
    *("path", "filepath", "file_path", "file_name", "filename", "file", "image_path", "img_path", "image_name"),
    *("img_name", "imagename", "image_file", "image_id", "imageid", "image", "images", "img", "photo", "photo_id"),
    *("picture", "id", "name", "路径", "文件名", "文件", "图片", "照片"),
)
LABEL_WORDS: Final = (
    *("label", "labels", "label_name", "labelname", "class", "class_name", "classname", "category", "category_name"),
    *(
        "target",
        "species",
        "diagnosis",
        "dx",
        "breed",
        "label_id",
        "class_id",
        "classid",
        "category_id",
        "标签",
        "类别",
    ),
)
SPLIT_WORDS: Final = ("split", "subset", "partition", "set", "usage", "划分")
_GAPS = re.compile(r"[\s\-]+")
_NUMBER = re.compile(r"[-+]?[\d.,]+")
_CHECKED = 1000  # rows
_YES = ("1", "1.0", "true", "True")
_NO = ("0", "0.0", "false", "False")


@dataclass(frozen=True)
class Columns:
    """The columns of a table, as said by the user; `None`: found by their names and contents.

    `labels` says whether photos have one label or several.
    """

    path: str | None = None
    label: str | None = None
    split: str | None = None
    labels: Labels = "auto"


class Chosen(NamedTuple):
    """The positions of the columns.

    Attributes:
        path: of the paths.
        label: of the labels; `None` if there are none, or each class has a column.
        split: of the splits; `None` if there are none.
        classes: position and name of each class that has a column of its own, with a 1 for each of its photos.
    """

    path: int
    label: int | None
    split: int | None
    classes: tuple[tuple[int, str], ...] = ()

    @property
    def labeled(self) -> bool:
        """Whether the table says the classes."""
        return self.label is not None or bool(self.classes)


def word_of(column: str) -> str:
    """The name of a column as it is compared.

    Example:
        >>> word_of(" File Name")
        'file_name'
    """
    return _GAPS.sub("_", composed(column).strip().casefold())


def is_plain(header: Sequence[str]) -> bool:
    """Whether the columns are called `path` and `label`: such a table lists photos, whatever lies beside it."""
    return {"path", "label"} <= {word_of(name) for name in header}


def choose_columns(sheet: Sheet, columns: Columns, matches: Callable[[str], bool], table: object) -> Chosen | None:
    """Find the columns.

    Args:
        sheet: the table.
        columns: those that the user says.
        matches: whether a field is the path of a photo.
        table: its name in an error.

    Returns:
        The columns; `None` if no column holds paths.

    Raises:
        DataError: a column that the user says is not there, a name occurs twice, or two columns may be the label.
    """
    words = [word_of(name) for name in sheet.header]
    path = _said(columns.path, words, sheet, table)
    label = _said(columns.label, words, sheet, table)
    split = _said(columns.split, words, sheet, table)
    if path is None:
        path = _path(words, sheet, matches)
    if path is None:
        return None
    if split is None:
        split = next((words.index(word) for word in SPLIT_WORDS if word in words and words.index(word) != path), None)
    if label is not None:
        return Chosen(path, label, split)
    classes = ()
    found = [words.index(word) for word in LABEL_WORDS if word in words and words.index(word) != path]
    if len(found) > 1 and not (words[path] == "path" and words[found[0]] == "label"):
        found = [_of_several(found, sheet, table)]
    if found:
        label = found[0]
    else:
        several = columns.labels == "several"
        classes = _class_columns(sheet, {path, split}, table) if several else _one_hot(sheet, {path, split})
        label = None if classes else _only_text(sheet, {path, split})
    for position in (path, label, split):
        if position is not None and words.count(words[position]) > 1:
            raise DataError("data.table_column_twice", table=table, column=sheet.header[position])
    return Chosen(path, label, split, classes)


def _only_text(sheet: Sheet, taken: set[int | None]) -> int | None:
    """The only column beside the path, if its texts are words that repeat: captions do not, and numbers say nothing."""
    left = [position for position in range(len(sheet.header)) if position not in taken]
    if len(left) != 1:
        return None
    texts = [row.fields[left[0]].strip() for row in sheet.rows[:_CHECKED] if left[0] < len(row.fields)]
    kinds = set(texts)
    repeat = 1 < len(kinds) <= len(texts) / 2
    return left[0] if repeat and not any(_NUMBER.fullmatch(text) for text in kinds) else None


def _said(column: str | None, words: list[str], sheet: Sheet, table: object) -> int | None:
    if column is None:
        return None
    if word_of(column) not in words:
        raise DataError("data.table_no_column", table=table, column=column, found=joined(sheet.header))
    return words.index(word_of(column))


def _path(words: list[str], sheet: Sheet, matches: Callable[[str], bool]) -> int | None:
    """The column of which most fields are photos, else the first that is called so."""
    named = [words.index(word) for word in PATH_WORDS if word in words]
    step = max(1, len(sheet.rows) // _CHECKED)
    some = [row.fields for row in sheet.rows[::step]]

    def share(position: int) -> float:
        return sum(len(fields) > position and matches(fields[position]) for fields in some) / max(1, len(some))

    shares = {position: share(position) for position in named}
    best = max(named, key=lambda position: shares[position], default=None)
    if best is not None and shares[best] > 0:
        return best
    others = {position: share(position) for position in range(len(words)) if position not in shares}
    other = max(others, key=lambda position: others[position], default=None)
    return other if other is not None and others[other] > 1 / 2 else best


def _of_several(found: list[int], sheet: Sheet, table: object) -> int:
    """Of columns that say the same classes, the one with their names rather than numbers."""
    rows = [row.fields for row in sheet.rows if len(row.fields) > max(found)]
    first = found[0]
    for other in found[1:]:
        pairs = {(fields[first].strip(), fields[other].strip()) for fields in rows}
        if not len(pairs) == len({one for one, _ in pairs}) == len({two for _, two in pairs}):
            one, two = sheet.header[first], sheet.header[other]
            raise DataError("data.table_two_labels", table=table, first=one, second=two)
    return next((position for position in found if not all(_is_number(fields[position]) for fields in rows)), first)


def _is_number(field: str) -> bool:
    return field.strip().lstrip("-").isdecimal()


def _one_hot(sheet: Sheet, taken: set[int | None]) -> tuple[tuple[int, str], ...]:
    """The columns of which each row has a 1 in exactly one, and a 0 in the others."""
    places = [position for position in range(len(sheet.header)) if position not in taken and sheet.header[position]]
    fewest = 2
    if len(places) < fewest or not sheet.rows:
        return ()
    for row in sheet.rows:
        fields = [row.fields[position].strip() for position in places if position < len(row.fields)]
        ones = sum(field in _YES for field in fields)
        if ones != 1 or len(fields) != len(places) or ones + sum(field in _NO for field in fields) != len(fields):
            return ()
    return tuple((position, composed(sheet.header[position])) for position in places)


def _class_columns(sheet: Sheet, taken: set[int | None], table: object) -> tuple[tuple[int, str], ...]:
    """All other columns, each a class with 0 or 1 for each photo; none if no field of them is 0 or 1.

    Raises:
        DataError: a field is neither.
    """
    places = [position for position in range(len(sheet.header)) if position not in taken and sheet.header[position]]
    texts = {row.fields[position].strip() for row in sheet.rows for position in places if position < len(row.fields)}
    if not texts & {*_YES, *_NO}:
        return ()
    for row in sheet.rows:
        for position in places:
            text = row.fields[position].strip() if position < len(row.fields) else ""
            if text not in {*_YES, *_NO}:
                values = {"column": sheet.header[position], "value": text[:80]}
                raise DataError("data.table_not_01", line=f"{table}:{row.line}", **values)
    return tuple((position, composed(sheet.header[position])) for position in places)


def classes_in(fields: list[str], chosen: Chosen, separator: str) -> tuple[str, ...] | None:
    """The classes that a row says of a photo that may have several, composed; `None` if the row is too short."""
    if chosen.label is None:
        return tuple(name for position, name in chosen.classes if fields[position].strip() in _YES)
    if chosen.label >= len(fields):
        return None
    return parts_of(composed(fields[chosen.label]), separator)


def class_in(fields: list[str], chosen: Chosen) -> str | None:
    """The class that a row says, composed; `None` if it says none."""
    if chosen.label is not None:
        return composed(fields[chosen.label].strip()) or None if chosen.label < len(fields) else None
    return next((name for position, name in chosen.classes if fields[position].strip() in _YES), None)
