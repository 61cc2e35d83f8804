"""The rules of the schedules: what the factor f(t) is, and the settings that it needs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.formulas.symbols import ANY, PI
from thalweg.formulas.tree import (
    Cases,
    Condition,
    Count,
    Fence,
    Line,
    Node,
    Number,
    Symbol,
    Term,
    call,
    cases,
    root,
    series,
    when,
)
from thalweg.schedules.arguments import Percent, in_steps


if TYPE_CHECKING:
    from thalweg.schedules.arguments import Length
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

t = Symbol("t", meaning="schedule_step")
T = Symbol("T", meaning="length")
SEEN = Symbol("n", meaning="seen")


@dataclass
class Place:
    """Where a schedule runs, and the settings found so far.

    Args:
        total: steps of the whole training, to which percentages refer; NaN while unknown.
        steps: steps that this schedule runs over; NaN while unknown.
        began: steps before it.
        settings: symbol key to number; of those that are known.
        start: symbol key to its number before the first value.
    """

    total: float = np.nan
    steps: float = np.nan
    began: float = 0.0
    settings: dict[str, Any] = field(default_factory=dict)
    start: dict[str, float] = field(default_factory=dict)

    def setting(self, letter: str, value: Length, meaning: str, label: str = "") -> Symbol:
        """A symbol for a setting; a length that is a share counts once the total is known."""
        symbol = Symbol(letter, label, meaning=meaning)
        number = self.known(value)
        if number is not None:
            self.settings[symbol.key] = number
        return symbol

    def known(self, length: Length) -> float | None:
        """A length in steps, or None while the total is unknown."""
        unknown = isinstance(length, Percent) and np.isnan(self.total)
        return None if unknown else in_steps(length, self.total)


Factor = tuple[Node, tuple[Line, ...]]
"""f(t), and the lines of what it needs."""


def constant(schedule: Constant, place: Place) -> Factor:
    """C."""
    return place.setting("c", schedule.value, "constant"), ()


def linear(schedule: Linear, place: Place) -> Factor:
    """A straight line."""
    start, end = place.setting("s", schedule.start, "first_factor"), place.setting("e", schedule.end, "last_factor")
    return start + (end - start) * t / T, ()


def cosine(schedule: Cosine, place: Place) -> Factor:
    """Half a wave."""
    end = place.setting("e", schedule.end, "last_factor")
    return end + (1 - end) * (1 + call("cos", PI * t / T)) / 2, ()


def polynomial(schedule: Polynomial, place: Place) -> Factor:
    """A power of what remains."""
    end, power = place.setting("e", schedule.end, "last_factor"), place.setting("p", schedule.power, "power")
    return end + (1 - end) * (1 - t / T) ** power, ()


def exponential(schedule: Exponential, place: Place) -> Factor:
    """A power that grows with time."""
    gamma, every = place.setting("γ", schedule.gamma, "gamma"), place.setting("s", schedule.every, "every")
    return gamma ** (t / every), ()


def step(schedule: Step, place: Place) -> Factor:
    """A drop at intervals."""
    gamma, every = place.setting("γ", schedule.gamma, "gamma"), place.setting("s", schedule.every, "every")
    return gamma ** Fence(t / every, "⌊⌋"), ()


def multi_step(schedule: MultiStep, place: Place) -> Factor:
    """A drop at each milestone."""
    gamma, milestone = place.setting("γ", schedule.gamma, "gamma"), Symbol("s", meaning="milestone")
    found = [place.known(one) for one in schedule.milestones]
    if None not in found:
        place.settings[milestone.key] = (np.nan, *sorted(number for number in found if number is not None), np.inf)
    return gamma ** Count(ANY, Number(1), when(milestone[ANY], "≤", t)), ()


def inverse_time(schedule: InverseTime, place: Place) -> Factor:
    """One over the time."""
    return 1 / (1 + t / place.setting("s", schedule.timescale, "timescale")), ()


def inverse_sqrt(schedule: InverseSqrt, place: Place) -> Factor:
    """One over the root of the time."""
    timescale = schedule.timescale or max(place.began, 1.0)
    return 1 / root(1 + t / place.setting("s", timescale, "timescale")), ()


def warmup(schedule: Warmup, place: Place) -> Factor:
    """A rise, then 1."""
    start, length = place.setting("s", schedule.start, "first_factor"), place.setting("w", schedule.length, "warmup")
    rise, stay = Term(start + (1 - start) * t / length, "warmup", "rise"), Term(Number(1), "warmup", "stay")
    return cases((rise, when(t, "<", length)), (stay, when(t, "≥", length))), ()


def cosine_restarts(schedule: CosineRestarts, place: Place) -> Factor:
    """Half waves, each longer than the one before."""
    end, first = place.setting("e", schedule.end, "last_factor"), place.setting("T", schedule.period, "period", "0")
    times = Symbol("i", meaning="restarts")
    if schedule.mult == 1:
        done = (t - times * first) / first
        lines = (Line(times, Fence(t / first, "⌊⌋")),)
    else:
        growth, began = place.setting("q", schedule.mult, "growth"), Symbol("a", meaning="last_restart")
        j = Symbol("j")
        done = (t - began) / (first * growth**times)
        before = (first * series("∑", j, 0, last, growth**j) for last in (ANY - 1, times - 1))
        lines = (Line(times, Count(ANY, Number(1), when(next(before), "≤", t))), Line(began, next(before)))
    return end + (1 - end) * (1 + call("cos", PI * done)) / 2, lines


def one_cycle(schedule: OneCycle, place: Place) -> Factor:
    """Up, down, and down once more."""
    up, down = place.setting("u", schedule.up, "rise"), place.setting("d", schedule.div_factor, "division")
    more = place.setting("D", schedule.final_div_factor, "last_division")
    done = Symbol("r")
    first, last = 1 / down, 1 / (down * more)
    rise = place.known(schedule.up)
    top, end = np.nan if rise is None else rise - 1, place.steps - 1
    phases: list[tuple[Node, Node, Node, Node, float]] = [(first, Number(1), t / (up - 1), up - 1, top)]
    if schedule.phases == 3:
        phases.append((Number(1), first, (t - up + 1) / (up - 1), 2 * up - 2, 2 * top))
        phases.append((first, last, (t - 2 * up + 2) / (T - 2 * up + 1), T - 1, end))
    else:
        phases.append((Number(1), last, (t - up + 1) / (T - up), T - 1, end))
    branches: list[tuple[Node, Condition]] = []
    begins = 0.0
    for number, (before, after, share, close, ends) in enumerate(phases, 1):
        if not ends <= begins:  # a phase has a length
            value = after + (before - after) * call("h", share)
            branches.append((Term(value, "phase", f"{number}"), when(t, "≤", close)))
        begins = ends
    branches.append((Term(last, "phase", "end"), when(t, ">", T - 1)))
    wave = (1 + call("cos", PI * done)) / 2 if schedule.anneal == "cos" else 1 - done
    return Cases(tuple(branches)), (Line(call("h", done), wave),)


def wsd(schedule: WarmupStableDecay, place: Place) -> Factor:
    """The lower of a rise and a fall."""
    start, end = place.setting("s", schedule.start, "first_factor"), place.setting("e", schedule.end, "last_factor")
    up, down = place.setting("w", schedule.warmup, "warmup"), place.setting("d", schedule.decay, "cooldown_length")
    done = call("u", t)
    rise = Term(start + (1 - start) * call("min", t / up, 1), "lower", "rise")
    fall = Term(end + (1 - end) * (1 - (root(done) if schedule.shape == "sqrt" else done)), "lower", "fall")
    lines = (Line(done, call("max", t - T + down, 0) / down),)
    if place.known(schedule.warmup) == 0:
        return (fall, lines) if place.known(schedule.decay) != 0 else (Number(1), ())
    if place.known(schedule.decay) == 0:
        return rise, ()
    return call("min", rise, fall), lines


def plateau(schedule: Plateau, place: Place) -> Factor:
    """A drop after too many values without improvement."""
    n = SEEN
    factor, value = Symbol("F", meaning="factor"), Symbol("v", meaning="metric")
    best, waited, kept, cooling = (
        Symbol(letter, meaning=meaning)
        for letter, meaning in (("b", "best"), ("a", "waited"), ("w", "waiting"), ("c", "cooling"))
    )
    gamma, lowest = place.setting("γ", schedule.gamma, "gamma"), place.setting("ℓ", schedule.lowest, "lowest")
    patience, rest = (
        place.setting("p", schedule.patience, "patience"),
        place.setting("C", schedule.cooldown, "cooldown"),
    )
    by = place.setting("h", schedule.threshold, "threshold")
    falls, relative = schedule.mode == "min", schedule.threshold_mode == "rel"
    margin = (1 - by if falls else 1 + by) if relative else by
    bound = margin * best[n - 1] if relative else best[n - 1] - by if falls else best[n - 1] + by
    better, worse = (when(value[n], sign, bound) for sign in ("<≥" if falls else ">≤"))
    drop, hold = when(waited[n], ">", patience), when(waited[n], "≤", patience)
    longer = (kept[n - 1] + 1, when(cooling[n - 1], "=", 0))
    lines = (
        Line(waited[n], cases((0, better), (0, when(cooling[n - 1], ">", 0)), longer)),
        Line(factor[n], cases((call("max", gamma * factor[n - 1], lowest), drop), (factor[n - 1], hold))),
        Line(kept[n], cases((0, drop), (waited[n], hold))),
        Line(cooling[n], cases((rest, drop), (call("max", cooling[n - 1] - 1, 0), hold))),
        Line(best[n], cases((value[n], better), (best[n - 1], worse))),
    )
    start = {factor.key: 1.0, kept.key: 0.0, cooling.key: 0.0, best.key: np.inf if falls else -np.inf}
    place.start.update(start)
    return factor[n], lines
