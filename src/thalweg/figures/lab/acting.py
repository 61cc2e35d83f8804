"""What a formula's symbols are at the kept steps of a trace, and which of its terms act there.

Legend: K kept steps, I those of them that an update led to.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.formulas.evaluation import Scope, evaluate
from thalweg.formulas.symbols import GRADIENT, RATE, RECORDED, SCALE, STEP, WEIGHT
from thalweg.formulas.tree import Call, Cases, Fraction, Node, Sum, Symbol, Term


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thalweg.formulas import Formula
    from thalweg.paths import Trace

NOTHING: Final = 255
"""Where no term acts, or none is known."""

_STILL: Final = 1e-9  # a factor whose logarithm changes by less does not change
_AXES: Final = ("x", "y")


class _Numbers:
    """Numbers by index; steps before the first have the number of the start."""

    def __init__(self, at: Callable[[NDArray[np.int64]], NDArray[np.float64]], start: float) -> None:
        self.at, self.start = at, start
        self.known: dict[bytes, NDArray[np.float64]] = {}

    def __getitem__(self, index: Any) -> Any:
        index = np.asarray(index).astype(np.int64)
        key = index.tobytes()
        if key not in self.known:  # a formula asks for the same steps again and again
            self.known[key] = np.where(index < 1, self.start, self.at(np.maximum(index, 1)))
        return self.known[key]


def scope_of(trace: Trace, formula: Formula, axis: int, steps_K: NDArray[np.int64]) -> Scope:
    """The symbols of an optimizer's formula along a trace, by index, for one coordinate.

    Args:
        trace: what has run.
        formula: of its optimizer.
        axis: 0 for x, 1 for y.
        steps_K: steps from 1 on.
    """
    values: dict[str, Any] = {
        **formula.settings,
        STEP.key: steps_K,
        RECORDED.key: _Numbers(lambda index: trace.direction_S2[index - 1, axis], 0.0),
        SCALE.key: _Numbers(lambda index: trace.scale_S2[index - 1, axis], formula.start.get(SCALE.key, 0.0)),
        RATE.key: _Numbers(lambda index: trace.lr_S[index - 1], trace.lr),
        WEIGHT.key: _Numbers(lambda index: trace.positions_S2[index, axis], trace.positions_S2[0, axis]),
        GRADIENT.key: _Numbers(lambda index: trace.gradients_at(index)[:, axis], 0.0),
    }
    scope = Scope(values, formula.lines)
    for key, part in formula.recovered.items():
        values[key] = _recovered(part, scope, formula.start.get(key, 0.0))
    return scope


def _recovered(part: Node, scope: Scope, start: float) -> _Numbers:
    return _Numbers(lambda index: evaluate(part, scope.having(STEP.key, index)), start)


def along(
    trace: Trace, formula: Formula, steps_K: NDArray[np.int64]
) -> dict[str, NDArray[np.float64] | NDArray[np.uint8]]:
    """The numbers of the symbols that follow from what a trace records, and the term that acts, at each kept step.

    In a sum, the larger term acts; of `max` and `min`, the one that it takes; of cases, the one that holds; and of the
    factors of the update, the one that has changed by the greatest factor since the step before.

    Args:
        trace: what has run.
        formula: of its optimizer.
        steps_K: the steps, from 0 on.

    Returns:
        For each axis: `of_v_x` for the symbol v and `of_g_x` for the gradient, NaN at step 0 and after the trace's end;
        `act_mean_x` for the group `mean`, the number of its term, or `NOTHING`. Groups with terms that a trace does not
        tell are left out.
    """
    inside_K = (steps_K >= 1) & (steps_K <= trace.last)
    steps_I = steps_K[inside_K]
    found: dict[str, NDArray[np.float64] | NDArray[np.uint8]] = {}
    for axis, name in enumerate(_AXES):
        scope = scope_of(trace, formula, axis, steps_I)
        with np.errstate(all="ignore"):
            for key in (GRADIENT.key, *formula.recovered):
                column_K = found[f"of_{key}_{name}"] = np.full(len(steps_K), np.nan)
                column_K[inside_K] = scope[key][steps_I]
            for group in parents_of(formula):
                acts_I = _acts(group, formula, scope)
                if acts_I is not None:
                    column_K = found[f"act_{group}_{name}"] = np.full(len(steps_K), NOTHING, dtype=np.uint8)
                    column_K[inside_K] = acts_I
    return found


def acting_parts(formula: Formula, steps_K: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
    """The number of the part of a schedule that runs at each kept step, by group; see `along`."""
    inside_K = steps_K >= 1
    first = formula.lines[:1]
    scope = Scope({**formula.settings, "t": steps_K[inside_K] - 1.0}, formula.lines)
    found: dict[str, NDArray[np.uint8]] = {}
    for group, parent in parents_of(formula).items():
        terms = formula.terms[group]
        if not any(terms[0] is part for line in first for part in line.right.walk()):
            continue
        with np.errstate(all="ignore"):
            acts_K = _choice(parent, terms, scope)
        column_K = found[f"act_{group}"] = np.full(len(steps_K), NOTHING, dtype=np.uint8)
        column_K[inside_K] = acts_K
    return found


@lru_cache(maxsize=64)
def parents_of(formula: Formula) -> dict[str, Node]:
    """The part that directly holds the terms of each group: a sum, a call of max or min, cases, or a product."""
    found: dict[str, Node] = {}
    for line in formula.lines:
        for part in line.right.walk():
            for child in part.children():
                if isinstance(child, Term) and not isinstance(part, Fraction):
                    found.setdefault(child.group, part)
    return {group: part for group, part in found.items() if len(formula.terms[group]) > 1}


@lru_cache(maxsize=64)
def known_symbols(formula: Formula) -> set[str]:
    """The symbols whose numbers a trace tells, directly or by lines of the formula."""
    known = {STEP.key, RECORDED.key, SCALE.key, RATE.key, WEIGHT.key, GRADIENT.key}
    known |= formula.settings.keys() | formula.recovered.keys()
    while True:
        more = {line.key for line in formula.lines if line.key not in known and _keys(line.right) <= known}
        if not more:
            return known
        known |= more


def _acts(group: str, formula: Formula, scope: Scope) -> NDArray[np.int64] | None:
    """The number of the term that acts at each step; None where its numbers are not known."""
    parent, terms, known = parents_of(formula)[group], formula.terms[group], known_symbols(formula)
    if group == "change":
        return _most_changed(terms, scope, known)
    told = [condition for _, condition in parent.branches] if isinstance(parent, Cases) else terms
    return _choice(parent, terms, scope) if all(_keys(part) <= known for part in told) else None


def _choice(parent: Node, terms: list[Term], scope: Scope) -> NDArray[np.int64]:
    """Which term of a sum is the largest, which one max or min takes, or which case holds."""
    steps_K = np.asarray(scope["t"])
    if isinstance(parent, Cases):
        holds = [np.broadcast_to(evaluate(condition, scope), steps_K.shape) for _, condition in parent.branches[:-1]]
        return np.argmax([*holds, np.ones(steps_K.shape, dtype=bool)], axis=0)
    values = [np.broadcast_to(evaluate(term, scope), steps_K.shape) for term in terms]
    if isinstance(parent, Call) and parent.name == "min":
        return np.argmin(values, axis=0)
    return np.argmax(np.abs(values) if isinstance(parent, Sum) else values, axis=0)


def _most_changed(terms: list[Term], scope: Scope, known: set[str]) -> NDArray[np.int64] | None:
    """Which factor of the update has changed most; the direction is always known, as what a trace records."""
    scaled = any(term.name == "scale" for term in terms)
    direction = RECORDED[STEP] if scaled else RECORDED[STEP] / SCALE[STEP]
    bodies = [direction if term.name == "direction" else term.body for term in terms]
    if not all(_keys(body) <= known for body in bodies):
        return None
    steps_K = np.asarray(scope["t"])
    now, before = scope, scope.having("t", np.maximum(steps_K - 1, 1))
    changes = [
        np.nan_to_num(np.abs(np.log(np.abs(evaluate(body, now) / evaluate(body, before)))), nan=0.0, posinf=1e9)
        for body in bodies
    ]
    most_K = np.argmax(changes, axis=0)
    return np.where(np.max(changes, axis=0) < _STILL, NOTHING, most_K)


@lru_cache(maxsize=1024)
def _keys(part: Node) -> set[str]:
    return {one.key for one in part.walk() if isinstance(one, Symbol)}
