"""A table that lists photos, `path,label[,split]`: one line per photo, UTF-8, paths relative to the table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING

from thalweg.data.layouts import SPLIT_NAMES, Entry
from thalweg.errors import BadImageError, DataError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.data.sources import Source


@dataclass(frozen=True)
class Columns:
    """The columns of a table, as said by the user; `None`: by their usual names."""

    path: str | None = None
    label: str | None = None
    split: str | None = None

    def usual(self, header: Sequence[str]) -> list[str]:
        """The header with the usual names, in lower case."""
        said = {name.casefold(): usual for usual, name in vars(self).items() if name}
        return [said.get(column.strip().casefold(), column.strip().lower()) for column in header]


def find_table(source: Source, names: Sequence[str], columns: Columns = Columns()) -> str | None:
    """The one `.csv`, at most one folder deep, whose first line has `path` and `label`; `None` if there is none.

    Raises:
        DataError: two tables list photos.
    """
    candidates = [name for name in names if name.lower().endswith(".csv") and name.count("/") <= 1]
    tables = [name for name in candidates if {"path", "label"} <= set(columns.usual(_header(source.read(name))))]
    if len(tables) > 1:
        raise DataError("data.two_tables", path=source.path, first=tables[0], second=tables[1])
    return tables[0] if tables else None


def read_table(
    source: Source,
    name: str,
    names: Sequence[str] = (),  # noqa: ARG001 - the paths are taken as they are
    columns: Columns = Columns(),
) -> list[Entry]:
    """The photos listed in a table; their paths are relative to the table.

    In the test split an empty label means unknown.

    Raises:
        DataError: the header is wrong, a split is unknown, a photo is listed twice, a label is missing, or the file is
            not UTF-8.
    """
    table = source.path / name if source.path.is_dir() else f"{source.path}: {name}"
    try:
        text = source.read(name).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError("data.table_not_utf8", table=table) from error
    except BadImageError as error:
        raise DataError("data.unreadable_table", table=table, reason=error) from error
    lines = csv.DictReader(StringIO(text, newline=""), skipinitialspace=True)
    lines.fieldnames = columns.usual(lines.fieldnames or ())
    if not {"path", "label"} <= set(lines.fieldnames):
        raise DataError("data.table_header", table=table, found=",".join(lines.fieldnames))
    folder = name.rpartition("/")[0]
    entries: dict[str, Entry] = {}
    for line in lines:
        entry = _entry(line, folder, f"{table}:{lines.line_num}")
        if entry.path in entries:
            raise DataError("data.table_twice", line=f"{table}:{lines.line_num}", photo=entry.path)
        entries[entry.path] = entry
    if not entries:
        raise DataError("data.no_images", path=table)
    return list(entries.values())


def _entry(line: dict[str, str | None], folder: str, where: str) -> Entry:
    path = (line["path"] or "").strip().replace("\\", "/").removeprefix("./")
    label = (line["label"] or "").strip() or None
    split_name = (line.get("split") or "train").strip()
    split = SPLIT_NAMES.get(split_name.casefold())
    if split is None:
        raise DataError("data.table_split", line=where, split=split_name, known=", ".join(SPLIT_NAMES))
    if not path or (label is None and split != "test"):
        raise DataError("data.table_gap", line=where)
    return Entry(f"{folder}/{path}" if folder else path, split, label)


def _header(content: bytes) -> list[str]:
    first = content[:4096].decode("utf-8-sig", errors="replace").partition("\n")[0]
    return [column.strip().strip('"').lower() for column in first.split(",")]
