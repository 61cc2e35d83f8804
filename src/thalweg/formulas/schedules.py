"""The formula of a schedule's factor f(t): t counts the steps from 0, and T is the schedule's length.

A composition has a case for each part; a part counts from its own start, and its letters have its number.
"""

from __future__ import annotations

from functools import lru_cache
from math import isnan
from typing import TYPE_CHECKING, Any, Final

from thalweg.formulas import factor_rules as rules
from thalweg.formulas.factor_rules import Place, T, t
from thalweg.formulas.formula import Formula
from thalweg.formulas.tree import Call, Cases, Condition, Line, Node, Symbol, Term, call, changed, when
from thalweg.schedules.chain import Chain, Over, length_of
from thalweg.schedules.constant import Constant
from thalweg.schedules.cosine import Cosine
from thalweg.schedules.cosine_restarts import CosineRestarts
from thalweg.schedules.exponential import Exponential
from thalweg.schedules.inverse_sqrt import InverseSqrt
from thalweg.schedules.inverse_time import InverseTime
from thalweg.schedules.linear import Linear
from thalweg.schedules.multi_step import MultiStep
from thalweg.schedules.one_cycle import OneCycle
from thalweg.schedules.plateau import Plateau
from thalweg.schedules.polynomial import Polynomial
from thalweg.schedules.step import Step
from thalweg.schedules.warmup import Warmup
from thalweg.schedules.wsd import WarmupStableDecay


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.schedules.schedule import Schedule

_RULES: Final[dict[type, Callable[[Any, Place], rules.Factor]]] = {
    Constant: rules.constant,
    Cosine: rules.cosine,
    CosineRestarts: rules.cosine_restarts,
    Exponential: rules.exponential,
    InverseSqrt: rules.inverse_sqrt,
    InverseTime: rules.inverse_time,
    Linear: rules.linear,
    MultiStep: rules.multi_step,
    OneCycle: rules.one_cycle,
    Plateau: rules.plateau,
    Polynomial: rules.polynomial,
    Step: rules.step,
    Warmup: rules.warmup,
    WarmupStableDecay: rules.wsd,
}
_LOWERED: Final = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
_BOUND: Final = "tπjkrn"  # letters that count or run, in every part alike
_HELPERS: Final = {"h", "u"}  # functions of a part


@lru_cache(maxsize=64)
def formula_of_schedule(schedule: Schedule, steps: int | None = None) -> Formula:
    """The formula of a schedule with its settings.

    Args:
        schedule: from `schedules.parse`.
        steps: the length of the training, at least 1; while it is unknown, lengths in percent have no number.

    Example:
        >>> from thalweg.schedules import parse
        >>> formula = formula_of_schedule(parse("warmup(10%) > cosine"), 100)
        >>> print(formula.texts[0])
        f(t) = {f₁(t), t < b₁; f₂(t − b₁), t ≥ b₁}
        >>> float(formula.value(t=55))
        0.5
    """
    total = float("nan") if steps is None else float(steps)
    if isinstance(schedule, Chain):
        return _composed(schedule, total)
    if isinstance(schedule, Over):
        place = Place(total)
        length = place.setting("L", schedule.length, "own_length")
        lines, settings = _part(1, schedule.schedule, Place(total, place.known(schedule.length) or total))
        held = Line(call("f", t), call("f₁", call("min", t, length)))
        return Formula(str(schedule), (held, *lines), {**place.settings, **settings})
    place = Place(total, total)
    factor, lines = _RULES[type(schedule)](schedule, place)
    settings = {**place.settings, **({} if steps is None else {T.key: total})}
    if isinstance(schedule, Plateau):
        return Formula(str(schedule), lines, settings, place.start, clock=rules.SEEN.letter)
    return Formula(str(schedule), (Line(call("f", t), factor), *lines), settings)


def _composed(chain: Chain, total: float) -> Formula:
    """A case for each part that is reached, and the lines of each."""
    known = not isnan(total)
    spans = chain.spans(total) if known else [(part, 0.0, total) for part in chain.parts]
    reached = [span for span in spans if span[2] or not known]
    settings: dict[str, Any] = {}
    lines: list[Line] = []
    branches: list[tuple[Node, Condition]] = []
    border = t
    for number, (part, began, steps) in enumerate(reached, 1):
        since: Node = t - border if number > 1 else t
        length = length_of(part)
        own = Place(total, steps, began)
        last = number == len(reached)
        if last and isinstance(part, Over):
            since = call("min", since, own.setting("L", part.length, "own_length"))
            settings |= own.settings
        inner = Place(total, steps if length is None else own.known(length) or total, began)
        own_lines, own_settings = _part(number, part.schedule if isinstance(part, Over) else part, inner)
        lines += own_lines
        settings |= own_settings
        before, border = border, Symbol("b", str(number), meaning="border")
        if known and not last:
            settings[border.key] = began + steps
        condition = when(t, "≥", before) if last else when(t, "<", border)
        branches.append((Term(call(_function(number), since), "part", f"{number}"), condition))
    first = Cases(tuple(branches)) if len(branches) > 1 else branches[0][0]
    return Formula(str(chain), (Line(call("f", t), first), *lines), settings)


def _part(number: int, schedule: Schedule, place: Place) -> tuple[list[Line], dict[str, Any]]:
    """The lines of one part and its settings, its letters with its number."""
    factor, lines = _RULES[type(schedule)](schedule, place)
    settings = {**place.settings, **({} if isnan(place.steps) else {T.key: place.steps})}

    def renamed(part: Node) -> Node:
        if isinstance(part, Symbol) and part.letter not in _BOUND:
            return Symbol(part.letter, f"{part.label}{number}", part.mark, part.meaning, part.index)
        if isinstance(part, Call) and part.name in _HELPERS:
            return Call(part.name + _function(number)[1:], part.arguments)
        return part

    named = [Line(changed(line.left, renamed), changed(line.right, renamed)) for line in lines]
    main = Line(call(_function(number), t), changed(factor, renamed))
    return [main, *named], {f"{key}{number}": value for key, value in settings.items()}


def _function(number: int) -> str:
    return f"f{number}".translate(_LOWERED)
