"""The choice between rates, by the losses of photos that none of their trainings saw. No torch here.

Shape suffix: N photos.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

Verdict = Literal["better", "kept", "cannot_tell"]

SURE = 1.0  # standard errors by which another rate must win against the given one
LEARNED = 2.0  # standard errors by which a training must win against guessing
HOPELESS = 2.0  # standard errors behind the best at which a rate is given up


class Gain(NamedTuple):
    """By how much losses are below others, in nats per photo, and the standard error of that mean."""

    mean: float
    error: float


class Choice(NamedTuple):
    """The chosen rung, and why: it is `better` than the given one, no other is (`kept`), or none beats guessing."""

    rung: int
    verdict: Verdict


def gain(losses_N: NDArray[np.float64], reference_N: NDArray[np.float64]) -> Gain:
    """Compare the losses of the same photos, one by one: what makes a photo hard for both does not count.

    Example:
        >>> gain(np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0, 5.0]))
        Gain(mean=1.0, error=0.0)
    """
    falls_N = reference_N - losses_N
    if not np.isfinite(falls_N).all():
        return Gain(-math.inf, 0.0)
    spread = float(falls_N.std(ddof=1)) if len(falls_N) > 1 else math.inf
    return Gain(float(falls_N.mean()), spread / math.sqrt(len(falls_N)))


def choose(losses: Mapping[int, NDArray[np.float64]], guessing_N: NDArray[np.float64], given: int = 0) -> Choice:
    """Choose a rung; the given one wins unless another is better by more than `SURE` standard errors.

    Args:
        losses: by rung; the losses of the same photos, infinite where the training blew up.
        guessing_N: the losses of the same photos without a network: from the frequencies of the classes.
        given: the rung that needs no reason.

    Example:
        >>> guessing = np.array([1.0, 1.0, 1.0])
        >>> choose({0: np.array([0.5, 0.4, 0.6]), 1: np.array([0.4, 0.5, 0.6])}, guessing)
        Choice(rung=0, verdict='kept')
        >>> choose({0: np.array([1.0, 1.1, 0.9]), 1: np.array([0.4, 0.5, 0.6])}, guessing)
        Choice(rung=1, verdict='better')
    """
    best = min(losses, key=lambda rung: (losses[rung].mean(), abs(rung - given)))
    learned = gain(losses[best], guessing_N)
    if not learned.mean > LEARNED * learned.error:
        return Choice(given, "cannot_tell")
    if best == given:
        return Choice(given, "kept")
    # A training that blew up counts as one that learned nothing.
    reference_N = np.minimum(losses[given], guessing_N) if np.isinf(losses[given]).any() else losses[given]
    better = gain(losses[best], reference_N)
    return Choice(best, "better") if better.mean > SURE * better.error else Choice(given, "kept")


def still_in(losses: Mapping[int, NDArray[np.float64]], given: int = 0) -> list[int]:
    """Return the rungs that are not clearly worse than the best, best first; the given one is always among them.

    Args:
        losses: by rung; the losses of the same photos, infinite where the training blew up.
        given: the rung that stays.

    Example:
        >>> still_in({0: np.array([1.0, 1.1, 1.2]), 1: np.array([1.1, 1.0, 1.0]), 2: np.array([9.0, 9.1, 9.3])})
        [1, 0]
    """
    ranked = sorted(losses, key=lambda rung: (losses[rung].mean(), abs(rung - given)))
    behind = {rung: gain(losses[ranked[0]], losses[rung]) for rung in ranked}
    return [
        rung
        for rung in ranked
        if rung == given or (np.isfinite(losses[rung]).all() and behind[rung].mean <= HOPELESS * behind[rung].error)
    ]
