"""`split.csv`: path, split and label of every photo that a run used."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, NamedTuple

from thalweg.errors import RunError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from thalweg.data import Photo


class Listed(NamedTuple):
    """A row of the table; several labels are written as `cat;dog`, none as nothing."""

    path: str
    split: str
    label: str


def split_text(photos: Iterable[Photo], classes: Sequence[str]) -> str:
    """The table as text.

    Args:
        photos: in the order of the cache.
        classes: their names.
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(Listed._fields)
    writer.writerows([photo.path, photo.split, photo.written(classes) or ""] for photo in photos)
    return lines.getvalue()


def read_split_table(file: Path) -> list[Listed]:
    """The rows of the table.

    Raises:
        RunError: the file is missing or damaged.
    """
    try:
        rows = csv.DictReader(io.StringIO(file.read_text(encoding="utf-8")), strict=True)
        return [Listed(*(row[name] for name in Listed._fields)) for row in rows]
    except KeyError as error:
        raise RunError("runs.not_readable", path=file, reason=t("runs.no_column", name=error.args[0])) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise RunError("runs.not_readable", path=file, reason=getattr(error, "strerror", None) or error) from error
