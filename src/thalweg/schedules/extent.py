"""How far a schedule goes: its highest, lowest and last factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray


class Point(NamedTuple):
    """The factor of one update; updates are counted from 0."""

    step: int
    factor: float


class Extent(NamedTuple):
    """The updates that sum a schedule up; of several that are equal, the first."""

    highest: Point
    lowest: Point
    last: Point


def extent_of(factors_N: NDArray[np.float64]) -> Extent:
    """The highest, the lowest and the last factor of a training.

    Args:
        factors_N: shape (steps,), as `factors` gives them.

    Example:
        >>> from thalweg.schedules import factors, parse
        >>> extent_of(factors(parse("warmup(2, start=0.5) > linear"), 6))
        Extent(highest=Point(step=2, factor=1.0), lowest=Point(step=5, factor=0.25), last=Point(step=5, factor=0.25))
    """
    steps = int(np.argmax(factors_N)), int(np.argmin(factors_N)), len(factors_N) - 1
    return Extent(*(Point(step, float(factors_N[step])) for step in steps))
