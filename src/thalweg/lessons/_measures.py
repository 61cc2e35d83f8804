"""Measures of the lessons: steps across the course's valley, distances from its goal, and softmax."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.paths.momentum_map import direction_errors


if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thalweg.paths import Trace

UNSTABLE = 2.0
"""Above this η·curvature/σ, a step lands higher on the other wall than it began: |1 − 2| = 1."""


def steepness(trace: Trace) -> NDArray[np.float64]:
    """η·curvature/σ of each step across the valley, shape (S,): the steep coordinate's σ, the largest curvature."""
    curvatures_2, _ = np.linalg.eigh(trace.surface.hessian(np.zeros(2)))
    return curvatures_2[-1] * trace.rates_S2[:, 1]


def across(trace: Trace) -> NDArray[np.float64]:
    """The distance from the valley's floor at every position, shape (S + 1,)."""
    return direction_errors(trace)[1][:, -1]


def crossings(steepness_S: NDArray[np.float64]) -> NDArray[np.int64]:
    """The steps at which η·curvature/σ passes 2 from below."""
    return np.flatnonzero((steepness_S[:-1] <= UNSTABLE) & (steepness_S[1:] > UNSTABLE)) + 1


def distance(trace: Trace) -> NDArray[np.float64]:
    """The distance from the goal at the origin, at every position, shape (S + 1,)."""
    return np.hypot(*trace.positions_S2.T)


def first_below(values_S: NDArray[np.float64], bound: float) -> float:
    """The first step at which a value is below a bound; NaN if none is."""
    below_N = np.flatnonzero(values_S < bound)
    return float(below_N[0]) if len(below_N) else np.nan


def softmax(logits_NC: ArrayLike) -> NDArray[np.float64]:
    """exp(y_c) / Σ exp(y) over the last axis, each row shifted by its highest, so that nothing overflows.

    Example:
        >>> softmax([3.0, 1.0, -3.0]).round(2).tolist()
        [0.88, 0.12, 0.0]
    """
    logits_NC = np.asarray(logits_NC, dtype=np.float64)
    powers_NC = np.exp(logits_NC - logits_NC.max(axis=-1, keepdims=True))
    return powers_NC / powers_NC.sum(axis=-1, keepdims=True)
