"""Logs of text: tables with a header, whoever wrote them, and lines of names and numbers."""

from __future__ import annotations

import codecs
import csv
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from thalweg.data.spelling import decoded
from thalweg.diagnosis.logs.log import BETWEEN, Column, Log, number, of_rows
from thalweg.diagnosis.logs.names import chosen, meaning_of, words_of


if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)\b"
_PAIR = re.compile(rf"([A-Za-z\u4e00-\u9fff][\w./-]*(?: [A-Za-z]\w*)?)[\"']?\s*[:=\s：]\s*({_NUMBER})", re.IGNORECASE)
_DECIMALS = re.compile(r"[-+]?\d+,\d+(?:[eE][-+]?\d+)?")
_CONTROL = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]")
_PLAIN = re.compile(r"[\n -~]")  # no log is without a sign of ASCII
_TAG = re.compile(r"(?:.*-)?tag-(?P<tag>.+)")
_SEPARATORS: Final = ",;\t|"


def text_of(content: bytes) -> str | None:
    r"""The text of a file: UTF-8, UTF-16 with or without its mark, or GBK; None if it is no text.

    Example:
        >>> text_of("损失\n2.3".encode("gbk")), text_of("loss".encode("utf-16-le")), text_of(b"\x89PNG\r\n\x1a\n\0")
        ('损失\n2.3', 'loss', None)
    """
    head = content[:512]
    if b"\0" in head and not head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        little = head[1::2].count(0) >= head[::2].count(0)
        readings = ["utf-16-le" if little else "utf-16-be"]
    else:
        readings = ["", "gb18030", "cp1252"]
    for reading in readings:
        try:
            text = content.decode(reading) if reading else decoded(content)
        except UnicodeDecodeError:
            continue
        return None if _CONTROL.search(text[:4096]) or not (_PLAIN.search(text) or not text.strip()) else text
    return None


def read_table(text: str, name: str) -> Log:
    """Read a text with a header, in which comma, semicolon, tab, bar or blanks separate the columns.

    Args:
        text: the file.
        name: of the file, without its ending: TensorBoard's tables have the name of their column there.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if lines and lines[0].lower().startswith("sep="):
        lines = lines[1:]
    while len(lines) > 1 and lines[0].startswith("#") and not lines[1].lstrip()[:1].isdigit():
        lines = lines[1:]  # a remark; just before the numbers it is the header
    lines[:1] = [line.removeprefix("#").strip() for line in lines[:1]]
    separator, cells = _cells(lines) if lines and lines[0] else (",", [])
    if not cells:
        return Log("table", {})
    header, rows = [cell.strip() for cell in cells[0]], cells[1:]
    if all(number(cell) is not None for cell in header if cell):
        return Log("table", {})  # numbers without names
    comma = separator != "," and any(_DECIMALS.fullmatch(cell.strip()) for row in rows[:100] for cell in row)
    kind = _kind(header)
    if kind == "tensorboard_csv":
        tag = _TAG.fullmatch(name)
        told = tag["tag"] if tag else name
        header[2] = told if meaning_of(told) is not None else "loss"
    named = [dict(zip(header, row, strict=False)) for row in rows if [cell.strip() for cell in row] != header]
    log = of_rows(kind, [{name: cell for name, cell in row.items() if name} for row in named], comma=comma)
    return _of_fastai(log) if kind == "fastai" else log


def read_lines(text: str) -> Log:
    """Read the pairs of a name and a number in lines such as `Epoch 3/20, train loss: 0.41`; or one number a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and all(number(line) is not None for line in lines):
        return of_rows("numbers", [{"loss": line} for line in lines])
    rows: list[dict[str, Any]] = [dict(_PAIR.findall(line)) for line in lines]
    return of_rows("lines", [row for row in rows if set(chosen(dict.fromkeys(row, 1))) - {"step"}])


def header_of(text: str) -> list[str]:
    """The names in the first line, to say what was found."""
    lines = [line for line in text.splitlines() if line.strip()]
    return [cell.strip() for row in _cells(lines[:2])[1][:1] for cell in row if cell.strip()] if lines else []


def _cells(lines: Sequence[str]) -> tuple[str, list[list[str]]]:
    """The sign that separates, and the cells of each line."""
    head = re.sub(r'"[^"]*"', "", lines[0])
    separator = max(_SEPARATORS, key=head.count)
    if separator in head or len(lines) < 2 or len(lines[0].split()) < 2:
        with suppress(csv.Error):
            return separator, [row for row in csv.reader(lines, delimiter=separator) if row]
        return separator, [line.split(separator) for line in lines]  # not as CSV is quoted
    if len(lines[1].split()) == len(lines[0].split()) and number(lines[1].split()[-1], comma=True) is not None:
        return " ", [line.split() for line in lines]
    return separator, [[line] for line in lines]


def _kind(header: list[str]) -> str:
    """Whose table it is; `table` if that is not known."""
    names = set(header)
    signs = {
        "tensorboard_csv": [" ".join(words_of(name)) for name in header] == ["wall time", "step", "value"],
        "wandb_panel": any(BETWEEN in name for name in names),
        "wandb_csv": bool(names & {"_step", "_runtime", "_timestamp"}),
        "ultralytics": "train/box_loss" in names or any(name.startswith("lr/pg") for name in names),
        "fastai": {"epoch", "train_loss", "valid_loss"} <= names and header[-1] == "time",
        "lightning": {"epoch", "step"} <= names,
        "keras": header[0] == "epoch" and "loss" in names,
    }
    return next((kind for kind, holds in signs.items() if holds), "table")


def _of_fastai(log: Log) -> Log:
    """Its metrics have no prefix, and are all of validation data."""
    columns = dict(log.columns)
    for name in ("accuracy", "top_k_accuracy"):
        if name in columns:
            columns["accuracy (valid)"] = columns.pop(name)
            break
    else:
        if "error_rate" in columns:
            error = columns.pop("error_rate")
            columns["accuracy (valid)"] = Column(error.keys, 1 - error.values)
    return Log(log.kind, columns)
