"""The course's valley, and the moment at which a step across it becomes unstable."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.paths import Path

UNSTABLE = 2.0
"""η·curvature/σ above which a step lands higher on the other wall than it began: |1 − 2| = 1."""


def steepness(path: Path) -> NDArray[np.float64]:
    """η·curvature/σ of each step across the valley, shape (S,): the steep coordinate's σ, the largest curvature."""
    curvatures_2, _ = np.linalg.eigh(path.surface.hessian(np.zeros(2)))
    return curvatures_2[-1] * path.rates_S2[:, 1]


def across(path: Path) -> NDArray[np.float64]:
    """The distance from the valley's floor at every position, shape (S + 1,)."""
    _, directions_22 = np.linalg.eigh(path.surface.hessian(np.zeros(2)))
    return np.abs(path.positions_S2 @ directions_22[:, -1])


def crossings(steepness_S: NDArray[np.float64]) -> NDArray[np.int64]:
    """The steps at which the steepness passes 2 from below."""
    return np.flatnonzero((steepness_S[:-1] <= UNSTABLE) & (steepness_S[1:] > UNSTABLE)) + 1


def distance(path: Path) -> NDArray[np.float64]:
    """From the goal at the origin, at every position, shape (S + 1,)."""
    return np.hypot(*path.positions_S2.T)


def first_below(values_S: NDArray[np.float64], bound: float) -> float:
    """The first step at which a value is below a bound; NaN when none is."""
    below_N = np.flatnonzero(values_S < bound)
    return float(below_N[0]) if len(below_N) else np.nan
