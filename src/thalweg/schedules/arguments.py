"""The kinds of a schedule's arguments: a number, a length, one of several words.

A schedule declares its arguments in `takes`; the constructor checks them, and the language reads them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Percent:
    """A share of the whole training.

    Args:
        value: in percent, 0 to 100.

    Example:
        >>> str(Percent(5)), in_steps(Percent(5), total=2000)
        ('5%', 100.0)
    """

    value: float

    def __str__(self) -> str:
        return f"{written(self.value)}%"


Length: TypeAlias = Percent | float
"""How long something lasts: a `Percent` of the whole training, or a number of steps."""


def in_steps(length: Length, total: float) -> float:
    """A length as a number of steps, not rounded, in a training of `total` steps."""
    return length.value * total / 100 if isinstance(length, Percent) else float(length)


def written(value: Percent | float | str) -> str:
    """A value as the language writes it: the shortest text that reads back to the same value."""
    if isinstance(value, Percent | str):
        return str(value)
    return repr(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))


@dataclass(frozen=True, slots=True)
class Number:
    """A number from `low` to `high`, both included unless `above_low` or `below_high`."""

    low: float = -math.inf
    high: float = math.inf
    above_low: bool = False
    below_high: bool = False
    whole: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether `value` is one."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            return False
        inside = self.low <= value <= self.high
        open_end = (self.above_low and value == self.low) or (self.below_high and value == self.high)
        return inside and not open_end and (not self.whole or float(value).is_integer())

    def expected(self) -> str:
        """A description of valid input."""
        left = "(" if self.above_low or math.isinf(self.low) else "["
        right = ")" if self.below_high or math.isinf(self.high) else "]"
        low, high = (_bound(bound) for bound in (self.low, self.high))
        return t("schedules.whole_number" if self.whole else "schedules.number", interval=f"{left}{low}, {high}{right}")


@dataclass(frozen=True, slots=True)
class Span:
    """A length: steps, or percent of the whole training; `above_zero` where 0 is invalid."""

    above_zero: bool = False

    def accepts(self, value: Any) -> bool:
        """Whether `value` is one."""
        percent = isinstance(value, Percent)
        return Number(0, 100 if percent else math.inf, above_low=self.above_zero).accepts(
            value.value if percent else value
        )

    def expected(self) -> str:
        """A description of valid input."""
        return t("schedules.length_above_zero" if self.above_zero else "schedules.length")


@dataclass(frozen=True, slots=True)
class Spans:
    """One length or more, each greater than the one before where both are of one unit."""

    def accepts(self, value: Any) -> bool:
        """Whether `value` is a tuple of them."""
        return (
            isinstance(value, tuple)
            and bool(value)
            and all(Span().accepts(item) for item in value)
            and _increasing([item.value for item in value if isinstance(item, Percent)])
            and _increasing([item for item in value if not isinstance(item, Percent)])
        )

    def expected(self) -> str:
        """A description of valid input."""
        return t("schedules.lengths")


@dataclass(frozen=True, slots=True)
class Word:
    """One of several words."""

    choices: tuple[str, ...]

    def accepts(self, value: Any) -> bool:
        """Whether `value` is one of them."""
        return value in self.choices

    def expected(self) -> str:
        """A description of valid input."""
        return t("schedules.one_of", choices=joined(self.choices))


Kind: TypeAlias = Number | Span | Spans | Word


def _bound(value: float) -> str:
    return written(value) if math.isfinite(value) else "∞" if value > 0 else "−∞"


def _increasing(values: Sequence[float]) -> bool:
    return all(before < after for before, after in pairwise(values))
