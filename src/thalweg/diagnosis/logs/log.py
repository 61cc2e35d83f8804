"""A log as its reader gives it: named columns, before anybody asks what they mean."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.diagnosis.logs.names import TRAINING, VALIDATION, words_of


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

BETWEEN: Final = " - "  # stands between the name of a run and that of its column
_INFINITE: Final = {"inf": math.inf, "infinity": math.inf, "∞": math.inf, "1.#inf": math.inf}
_NAN: Final = {"nan", "1.#qnan", "1.#ind"}
_DECIMAL_COMMA = re.compile(r"[-+]?[\d.]*,\d+(?:[eE][-+]?\d+)?")
_WRAPPED = re.compile(r"(?:[\w.]*[Tt]ensor|array|np\.float\d*)?[(\[]+\s*([-+]?[\w.]+(?:[eE][-+]?\d+)?)\s*[,)\]].*")
_PARTS: Final = frozenset({"mode", "split", "phase", "stage", "subset", "set", "dataset", "partition"})
_SERIES: Final = frozenset({"name", "tag", "metric", "key", "metric_name", "variable"})


@dataclass(frozen=True, slots=True)
class Column:
    """The values of a column, in the order of the file.

    Attributes:
        keys: (N,) the row of each value, or its step.
        values: (N,) the numbers; NaN and inf are findings, empty cells are left out.
    """

    keys: NDArray[np.float64]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Log:
    """A log.

    Attributes:
        kind: of the file; `log_kind_<kind>` in the catalogue names it.
        columns: name, as the log has it, to values. A name may begin with the run's and ` - `.
        by_step: whether the keys of columns are steps; else rows.
        notes: what was left out, by names whose texts are `log_note_<name>`; `NAME:WHAT` has a placeholder's value.
    """

    kind: str
    columns: Mapping[str, Column]
    by_step: bool = False
    notes: tuple[str, ...] = ()


def number(cell: Any, *, comma: bool = False) -> float | None:
    """The number of a cell; None if it has none.

    Args:
        cell: a text, or a number.
        comma: a comma is the sign before decimals.

    Example:
        >>> number("2,5", comma=True), number("85 %"), number("tensor(2.5, device='cuda:0')"), number("-inf")
        (2.5, 0.85, 2.5, -inf)
    """
    if isinstance(cell, bool) or not isinstance(cell, (int, float, str)):
        return None
    found = _float(cell)
    return _of_text(cell, comma=comma) if found is None and isinstance(cell, str) else found


def _of_text(cell: str, *, comma: bool) -> float | None:
    """The number of a text that Python does not take for one."""
    text = cell.strip().strip("\"'").strip().replace("\u2212", "-")
    if text.endswith("%"):
        share = number(text[:-1], comma=comma)
        return None if share is None else share / 100
    if comma and _DECIMAL_COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if (wrapped := _WRAPPED.fullmatch(text)) is not None:
        text = wrapped[1]
    bare = text.lower().lstrip("+-")
    if bare in _NAN:
        return math.nan
    if bare in _INFINITE:
        return -math.inf if text.startswith("-") else math.inf
    return _float(text)


def of_series(kind: str, series: Mapping[str, Sequence[tuple[float, float]]], notes: Iterable[str] = ()) -> Log:
    """A log of columns that have steps of their own.

    Args:
        kind: of the file.
        series: name to pairs of step and value.
        notes: what was left out.
    """
    columns = {name: _paired(pairs) for name, pairs in series.items()}
    return Log(kind, columns, by_step=True, notes=tuple(notes))


def of_rows(kind: str, rows: Sequence[Mapping[str, Any]], *, comma: bool = False, notes: Iterable[str] = ()) -> Log:
    """A log of rows: each has cells by the names of their columns.

    A row that says which part of the data it is of (`phase` is `val`) has its cells under `val_…`; a row that names its
    column (`metric` and `value`) has one cell, under that name.

    Args:
        kind: of the file.
        rows: the rows.
        comma: a comma is the sign before decimals.
        notes: what was left out.
    """
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    names = dict.fromkeys(name for row in rows for name in row)
    part = next((name for name in names if name.strip().lower() in _PARTS), None)
    series = next((name for name in names if name.strip().lower() in _SERIES), None)
    value = next((name for name in names if name.strip().lower() == "value"), None)
    run = next((name for name in names if "".join(words_of(name)) in {"run", "runid", "runname"}), None)
    if not part and not (series and value):
        columns = {name.strip(): _column([row.get(name) for row in rows], comma=comma) for name in names}
        return Log(kind, {name: column for name, column in columns.items() if len(column.keys)}, notes=tuple(notes))
    for at, row in enumerate(rows):
        prefix = _part(row.get(part)) if part else ""
        for name, cell in row.items():
            if (got := number(cell, comma=comma)) is None:
                continue
            if series and value and name == value and isinstance(row.get(series), str):
                name = f"{row[run]}{BETWEEN}{row[series]}" if run and row.get(run) else row[series]  # noqa: PLW2901
            elif prefix and not set(words_of(name)) & {*TRAINING, *VALIDATION, "step", "epoch", "iter", "lr"}:
                name = f"{prefix}_{name}"  # noqa: PLW2901
            found[name].append((at, got))
    log = of_series(kind, {name.strip(): pairs for name, pairs in found.items()}, notes)
    return Log(kind, log.columns, by_step=False, notes=log.notes)


def _column(cells: list[Any], *, comma: bool) -> Column:
    try:
        return Column(np.arange(len(cells), dtype=np.float64), np.array(list(map(float, cells)), dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        pairs = [(at, got) for at, cell in enumerate(cells) if (got := number(cell, comma=comma)) is not None]
        return _paired(pairs)


def _paired(pairs: Sequence[tuple[float, float]]) -> Column:
    array_N2 = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return Column(array_N2[:, 0], array_N2[:, 1])


def _part(cell: Any) -> str:
    """Empty, unless the row is of validation data."""
    words = words_of(cell) if isinstance(cell, str) else ()
    return next((word for word in words if word in VALIDATION), "")


def _float(value: float | str) -> float | None:
    if isinstance(value, str) and "_" in value:
        return None  # 1_000 is a name here
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
