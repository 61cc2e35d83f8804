"""Corrections of labels: a table that says of some photos which class they are, or that they are of none.

The review writes it, and training takes it: one row for each photo that somebody has looked at.

```
path,given,decision,label
training/3_17.jpg,dog,relabel,cat
training/3_18.jpg,dog,keep,dog
training/3_19.jpg,dog,drop,
```

`given` is the label in the set, so that corrections of other data are noticed. A table with the columns `path` and
`label` alone will do: such rows relabel.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, get_args

from thalweg._files import write_text
from thalweg.data.columns import Columns, choose_columns, class_in, word_of
from thalweg.data.photos import Corrections
from thalweg.data.places import Places
from thalweg.data.rows import read_sheet
from thalweg.data.sources import Note
from thalweg.data.spelling import composed
from thalweg.errors import DataError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from thalweg.data.photos import ImageSet, Photo

Decision = Literal["relabel", "keep", "drop"]

DECISIONS: Final[tuple[Decision, ...]] = get_args(Decision)
HEADER: Final = ["path", "given", "decision", "label"]
_SHOWN = 10


class Correction(NamedTuple):
    """What somebody has decided about one photo.

    Attributes:
        path: of the photo in its set.
        given: its label in the set; None: the table does not say.
        decision: `relabel`, `keep`, or `drop`: a photo of no class.
        label: the right label; None if the photo is dropped.
        line: on which the row begins in its table, from 1; 0: not from a table.
    """

    path: str
    given: str | None
    decision: Decision
    label: str | None
    line: int = 0


def read_corrections(content: bytes, table: Path | str, photos: Iterable[str] | None = None) -> list[Correction]:
    r"""Read a table of corrections.

    Args:
        content: of the table.
        table: its name in an error.
        photos: the paths of the set; a row may also name a photo by the end of its path, or without its ending. None:
            rows have whole paths, which are not checked.

    Raises:
        DataError: the table cannot be read, or a row is unclear; the message names its line.

    Example:
        >>> read_corrections(b"path,label\ndog/1.jpg,cat\n", "fixes.csv", ["dog/1.jpg"])
        [Correction(path='dog/1.jpg', given=None, decision='relabel', label='cat', line=2)]
    """
    sheet = read_sheet(content, table)
    places = None if photos is None else Places(photos)
    chosen = choose_columns(sheet, Columns(), lambda field: places is None or bool(places.find(field)), table)
    if chosen is None or not chosen.labeled:
        raise DataError("data.correction_header", table=table, found=joined(sheet.header), wanted=joined(HEADER))
    words = [word_of(name) for name in sheet.header]
    found: dict[str, Correction] = {}
    for line, fields in sheet.rows:
        where = f"{table}:{line}"
        word, given = (_cell(fields, words, column) for column in ("decision", "given"))
        field = fields[chosen.path] if chosen.path < len(fields) else ""
        fitting = [field] if places is None and field else places.find(field) if places else []
        if not fitting:
            raise DataError("data.correction_gone", line=where, photo=field)
        if len(fitting) > 1:
            raise DataError("data.table_ambiguous", line=where, photo=field, first=fitting[0], second=fitting[1])
        decision, label = _decided(word, class_in(fields, chosen), where)
        if fitting[0] in found:
            raise DataError("data.table_twice", line=where, photo=fitting[0])
        found[fitting[0]] = Correction(fitting[0], given, decision, label, line)
    return list(found.values())


def _cell(fields: Sequence[str], words: Sequence[str], column: str) -> str | None:
    """What a row says in a column; None: nothing, or there is no such column."""
    at = words.index(column) if column in words else len(fields)
    return composed(fields[at].strip()) or None if at < len(fields) else None


def _decided(word: str | None, label: str | None, where: str) -> tuple[Decision, str | None]:
    """The decision of a row, and its label; a row without a decision relabels."""
    decision: Decision | None = next((one for one in DECISIONS if one == (word or "relabel").casefold()), None)
    if decision is None:
        raise DataError("data.correction_word", line=where, word=word, known=joined(DECISIONS))
    if label is None and decision != "drop":
        raise DataError("data.correction_gap", line=where)
    return decision, None if decision == "drop" else label


def write_corrections(corrections: Iterable[Correction], path: Path | str) -> None:
    """Write a table of corrections, whole or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    write_text(path, _table_of(corrections))


def _table_of(corrections: Iterable[Correction]) -> str:
    """A table of corrections; all fields are quoted, so that any name of a file is read as it was written."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    writer.writerows([one.path, one.given or "", one.decision, one.label or ""] for one in corrections)
    return lines.getvalue()


def corrected(images: ImageSet, table: Path | str) -> ImageSet:
    """Apply a table of corrections to a set; splits stay as they are.

    Args:
        images: the set.
        table: the file.

    Returns:
        The set without the dropped photos, the others with their right labels; `corrections` says what was applied,
        with whole paths and the labels of the set, also where the table has neither.

    Raises:
        DataError: the table cannot be read, or a row does not fit the set: no such photo, no such class, another
            label, or a photo twice; or a class would lose its last training photo.
    """
    if images.several:
        raise DataError("data.corrections_several", table=table)
    try:
        content = Path(table).read_bytes()
    except OSError as error:
        raise DataError("data.no_corrections", path=table, reason=error.strerror or error) from error
    of_path = {photo.path: photo for photo in images.photos}
    label_of = _labels(images)
    changed: dict[str, Photo | None] = {}
    rows: list[Correction] = []
    for row in read_corrections(content, table, of_path):
        photo = of_path[row.path]
        _check_given(row, photo, images.classes, label_of, table)
        if row.label is not None and row.label not in label_of:
            where = f"{table}:{row.line}"
            raise DataError("data.correction_class", line=where, name=row.label, known=_few(images.classes))
        changed[row.path] = None if row.label is None else replace(photo, label=label_of[row.label])
        given, label = (
            None if one is None else images.classes[one] for one in (photo.label, label_of.get(row.label or ""))
        )
        rows.append(row._replace(given=given, label=label))
    kept = (changed.get(photo.path, photo) for photo in images.photos)
    photos = tuple(photo for photo in kept if photo is not None)
    _check_classes(images, photos, table)
    dropped = sum(photo is None for photo in changed.values())
    relabeled = sum(photo is not None and photo != of_path[photo.path] for photo in changed.values())
    whole = _table_of(rows).encode()
    applied = Corrections(whole, relabeled=relabeled, kept=len(changed) - relabeled - dropped, dropped=dropped)
    counts = {"relabeled": applied.relabeled, "kept": applied.kept, "dropped": applied.dropped}
    note = Note("data.note_corrections", {"table": str(table), **counts})
    return replace(images, photos=photos, notes=(*images.notes, note), corrections=applied)


def _labels(images: ImageSet) -> dict[str, int]:
    """The label of each class by its name, and in the flat layout, whose files have numbers, by its number."""
    numbers = {str(label): label for label in range(len(images.classes))} if images.layout == "flat" else {}
    return numbers | {composed(name): label for label, name in enumerate(images.classes)}


def _check_given(
    row: Correction, photo: Photo, classes: Sequence[str], label_of: dict[str, int], table: Path | str
) -> None:
    """Refuse a correction of another label than the set has."""
    where = f"{table}:{row.line}"
    if photo.label is None:
        raise DataError("data.correction_unlabeled", line=where, photo=row.path)
    if row.given is not None and label_of.get(row.given) != photo.label:
        name = classes[photo.label]
        raise DataError("data.correction_given", line=where, photo=row.path, given=row.given, name=name)


def _check_classes(images: ImageSet, photos: Sequence[Photo], table: Path | str) -> None:
    """Refuse corrections that leave a class without a photo to train on."""
    before, after = (
        Counter(photo.label for photo in some if photo.split == "train") for some in (images.photos, photos)
    )
    lost = [name for label, name in enumerate(images.classes) if before[label] and not after[label]]
    if lost:
        raise DataError("data.correction_empties", table=table, names=_few(lost))


def _few(names: Sequence[str]) -> str:
    return joined([*names[:_SHOWN], *["…"] * (len(names) > _SHOWN)])
