"""A CSV file as rows: any usual separator and encoding, and the line on which each row begins."""

from __future__ import annotations

import csv
import re
from io import StringIO
from typing import TYPE_CHECKING, Final, NamedTuple

from thalweg.data.spelling import decoded
from thalweg.errors import DataError


if TYPE_CHECKING:
    from pathlib import Path

SEPARATORS: Final = ",;\t|"
_START = 4096
_UNCLOSED = "end of data"  # as the csv module says it
_SAID = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # a first line that spreadsheets write


class Row(NamedTuple):
    """The line on which a row begins, from 1, and its fields."""

    line: int
    fields: list[str]


class Sheet(NamedTuple):
    """The names of the columns, and the rows that are not empty."""

    header: list[str]
    rows: list[Row]


class _Broken(NamedTuple):
    line: int
    reason: csv.Error | str


def read_sheet(content: bytes, table: Path | str) -> Sheet:
    r"""Read a CSV file.

    Args:
        content: UTF-8, or UTF-16 with a byte order mark; separated by commas, semicolons, tabs or bars.
        table: its name in an error.

    Raises:
        DataError: another encoding, a zero byte, quotes that do not match, or a row with more fields than columns.

    Example:
        >>> read_sheet(b"path;label\na.jpg;cat\n", "labels.csv").rows
        [Row(line=2, fields=['a.jpg', 'cat'])]
    """
    try:
        text = decoded(content)
    except UnicodeDecodeError as error:
        raise DataError("data.table_not_utf8", table=table) from error
    if "\0" in text:
        line = len(StringIO(text[: text.index("\0") + 1], newline="").readlines())
        raise DataError("data.table_zero_byte", line=f"{table}:{line}")
    rows = _rows(text, table)
    if not rows:
        return Sheet([], [])
    header = [name.strip() for name in rows[0].fields]
    for row in rows[1:]:
        if len(row.fields) > len(header) and any(field.strip() for field in row.fields[len(header) :]):
            where = f"{table}:{row.line}"
            raise DataError("data.table_ragged", line=where, found=len(row.fields), columns=len(header))
    return Sheet(header, rows[1:])


def read_header(content: bytes) -> list[str]:
    """The names of the columns, from the start of a file; nothing is checked."""
    start = content[:_START]
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = start.decode(encoding, errors="replace")
    said = _SAID.match(text)
    lines = text[said.end() if said else 0 :].splitlines() or [""]
    try:
        fields = next(csv.reader(lines[:1], delimiter=said[1] if said else _separator(lines[0])), [])
    except csv.Error:
        return []
    return [name.strip() for name in fields]


def _rows(text: str, table: Path | str) -> list[Row]:
    said = _SAID.match(text)
    first = StringIO(text[said.end() if said else 0 :], newline="").readline()
    separator = said[1] if said else _separator(first)
    if separator in '"\r\n':
        separator = ","
    rows, broken = _parsed(text, separator, strict=True)
    if broken and _UNCLOSED not in str(broken.reason):  # what is unusual but clear, such as a space after a quote
        rows, worse = _parsed(text, separator, strict=False)
        broken = broken if worse else None
    if broken:
        raise DataError("data.table_quotes", line=f"{table}:{broken.line}")
    return rows[1:] if said else rows


def _parsed(text: str, separator: str, *, strict: bool) -> tuple[list[Row], _Broken | None]:
    """The rows, and which cannot be read; if not strict, that is each of several lines."""
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict)
    rows: list[Row] = []
    begins = 1
    try:
        for fields in reader:
            if not strict and reader.line_num > begins:
                return rows, _Broken(begins, "")
            if any(fields):
                rows.append(Row(begins, fields))
            begins = reader.line_num + 1
    except csv.Error as error:
        return rows, _Broken(begins, error)
    return rows, None


def _separator(line: str) -> str:
    outside = re.sub(r'"[^"]*"', "", line)
    return max(SEPARATORS, key=outside.count)  # a comma where all are equal
