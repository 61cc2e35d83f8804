"""A flat loss at the level of a constant answer: ln C for C classes, or the variance of the usual targets.

A network that predicts the same for every sample has a loss that no batch changes, so the loss is flat within 1 %; one
that tells samples apart scatters by several percent from batch to batch. Noise in the outputs can only raise the
loss above ln C, and unequal classes lower it: the window reaches from 0.1 % below to 0.3 % above. For a flat loss at a
random level between ln 2 and ln 1000, one window or another holds it in one of twenty cases; that is rare enough for a
hint, and too often for a verdict.

Shape suffixes: S steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.diagnosis.measures.trends import FEW, trends


if TYPE_CHECKING:
    from numpy.typing import NDArray

CLASSES = (*range(2, 11), 20, 26, 37, 43, 47, 62, 100, 101, 102, 196, 200, 257, 365, 1000, 10_000, 50_257)
"""Usual numbers of classes; with all numbers, any level above 3 would lie beside one."""

VARIANCES = (1.0, 0.25, 0.09)
"""Of standardized targets, of 0/1 targets that are balanced, and of one-hot targets of ten classes."""

FLAT, BELOW, ABOVE = 0.01, 0.001, 0.003
_COARSEST = 0.01  # a log with fewer decimals tells no constant


def constant_measures(loss_S: NDArray[np.float64], accuracy_S: NDArray[np.float64] = np.array([])) -> dict[str, float]:  # noqa: B008
    """Recognize the constant that a flat loss lies at.

    Args:
        loss_S: (S,) losses.
        accuracy_S: accuracies in [0, 1], if they are known; a network that is right far more often than by chance does
            not predict a constant.

    Returns:
        `guessed_classes`, or `guessed_variance`; nothing for a loss that is not flat, or flat elsewhere.

    Example:
        >>> constant_measures(np.full(100, 2.3026))
        {'guessed_classes': 10.0}
        >>> constant_measures(np.full(100, 2.4))
        {}
    """
    if len(loss_S) < FEW or not np.isfinite(loss_S).all():
        return {}
    late_S = loss_S[len(loss_S) // 2 :]
    level = float(late_S.mean())
    if level <= 0 or late_S.std() > FLAT * level or abs(trends({"loss": loss_S})["falling"]) > BELOW:
        return {}
    half = _resolution(late_S) / 2
    late_accuracy = float(np.nanmean(accuracy_S[len(accuracy_S) // 2 :])) if np.isfinite(accuracy_S).any() else 0.0
    for name, values, levels in (
        ("guessed_classes", np.array(CLASSES, dtype=np.float64), np.log(CLASSES)),
        ("guessed_variance", np.array(VARIANCES), np.array(VARIANCES)),
    ):
        near = int(np.argmin(np.abs(levels - level)))
        inside = -max(BELOW * levels[near], half) <= level - levels[near] <= max(ABOVE * levels[near], half)
        chance = 1 / values[near] if name == "guessed_classes" else 1.0
        if inside and late_accuracy <= min(1.0, 1.5 * chance):
            return {name: float(values[near])}
    return {}


def _resolution(values: NDArray[np.float64]) -> float:
    """The last decimal that is written; 0 for one that matters for nothing."""
    for decimals in (0, 1, 2, 3):
        step = 10.0**-decimals
        if np.allclose(values, np.round(values, decimals), rtol=0, atol=1e-9):
            return step if step <= _COARSEST else 0.0
    return 0.0
