"""The formulas of a trace for a page: of its optimizer and of its schedule, with each symbol's meaning and numbers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from thalweg.figures.lab.acting import acting_parts, along
from thalweg.formulas import Formula, formula_of_optimizer, formula_of_schedule
from thalweg.formulas.mathml import math_element, symbol_element
from thalweg.formulas.symbols import FIRST_RATE, RATE, SCALE, STEP, WEIGHT
from thalweg.formulas.tree import Line, call
from thalweg.i18n import get_language, t
from thalweg.schedules import Constant


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thalweg.formulas.tree import Symbol
    from thalweg.optimizers import Optimizer
    from thalweg.paths import Trace

    Columns = dict[str, NDArray[Any]]

_OWN: Final = {STEP.key: ("steps",), RATE.key: ("lr",), SCALE.key: ("sigma_x", "sigma_y"), WEIGHT.key: ("x", "y")}
"""Symbols whose numbers every page has, and the columns with them: one, or one for each weight."""


def block_of(formula: Formula) -> dict[str, Any]:
    """What a page shows of a formula that nothing moves: a lesson's, a loss.

    Example:
        >>> from thalweg.formulas import get
        >>> block_of(get("softmax"))["title"]
        'softmax'
    """
    lines = [math_element(line.left, line.right) for line in formula.lines]
    return {"title": formula.title, "lines": lines, "symbols": [], "groups": []}


def blocks_of(trace: Trace) -> list[dict[str, Any]]:
    """What a page shows of a trace's formulas, without numbers of the steps."""
    blocks = [_block_of_optimizer(trace.optimizer, get_language())]
    if trace.schedule != Constant():
        schedule = _driven(trace)
        blocks.append(_block(schedule, t("formulas.schedule", name=schedule.name)))
    return blocks


@lru_cache(maxsize=64)
def _block_of_optimizer(optimizer: Optimizer, _language: str) -> dict[str, Any]:
    formula = formula_of_optimizer(optimizer)
    return _block(formula, formula.title)


def columns_for(trace: Trace, steps_K: NDArray[np.int64]) -> Columns:
    """The numbers at the kept steps that the formulas need and the table has not, and the terms that act there."""
    formula = formula_of_optimizer(trace.optimizer)
    columns: Columns = dict(along(trace, formula, steps_K))
    if trace.schedule != Constant():
        columns |= acting_parts(formula_of_schedule(trace.schedule, trace.steps), steps_K)
    return columns


def _driven(trace: Trace) -> Formula:
    """The schedule's formula below what it does to the learning rate."""
    schedule = formula_of_schedule(trace.schedule, trace.steps)
    if schedule.clock != STEP.letter:  # of plateau, which counts values
        return schedule
    first = Line(RATE[STEP], FIRST_RATE * call("f", STEP - 1))  # t is the optimizer's step; that of f counts from 0
    settings = {**schedule.settings, FIRST_RATE.key: trace.lr}
    return Formula(schedule.name, (first, *schedule.lines), settings)


def _block(formula: Formula, title: str) -> dict[str, Any]:
    return {
        **block_of(formula),
        "title": title,
        "symbols": [_symbol(symbol, formula) for symbol in formula.symbols()],
        "groups": [
            {"name": group, "terms": [f"{group}.{term.name}" for term in terms], "columns": _sides(f"act_{group}")}
            for group, terms in formula.terms.items()
            if len(terms) > 1
        ],
    }


def _symbol(symbol: Symbol, formula: Formula) -> dict[str, Any]:
    """A symbol with its meaning, and its number if it has one, or the columns where its numbers may be."""
    number = formula.settings.get(symbol.key)
    return {
        "key": symbol.key,
        "math": symbol_element(symbol),
        "meaning": t(f"formulas.symbol_{symbol.meaning}"),
        "number": float(number) if isinstance(number, int | float) else None,
        "columns": _OWN.get(symbol.key) or _sides(f"of_{symbol.key}"),
    }


def _sides(name: str) -> tuple[str, ...]:
    return f"{name}_x", f"{name}_y", name
