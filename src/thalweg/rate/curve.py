"""The sweep's curve: smoothed, and checked for an explosion.

No torch here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np


WINDOW = 5  # steps of the running mean; centered, or the curve would lag behind its rates
QUIET_STEPS = 8  # at the lowest rates nothing is learned: changes of the loss there are batch noise
EXPLODED = 2.0  # times the fall of the loss, above its start


@dataclass(slots=True)
class Curve:
    """The losses of a sweep, added step by step.

    Attributes:
        rates: so far.
        losses: so far, each before its step.
    """

    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)

    def add(self, rate: float, loss: float) -> None:
        """Add the loss of one step."""
        self.rates.append(rate)
        self.losses.append(loss)

    @property
    def exploded(self) -> bool:
        """Whether to stop: the loss is not a number, or two losses in a row are far above the start."""
        if not math.isfinite(self.losses[-1]):
            return True
        if len(self.losses) < QUIET_STEPS + 2:
            return False
        return min(self.losses[-2:]) > self.start + EXPLODED * max(
            self.start - float(self.smoothed.min()), 3 * self.noise, 0.1 * abs(self.start)
        )

    @property
    def start(self) -> float:
        """Mean loss of the quiet steps."""
        return float(np.mean(self.losses[:QUIET_STEPS]))

    @property
    def noise(self) -> float:
        """The standard deviation of the loss between batches at the lowest rates."""
        return float(np.std(self.losses[:QUIET_STEPS]))

    @property
    def smoothed(self) -> np.ndarray:
        """Return the centered running mean of the finite losses, over fewer of them at the ends.

        Example:
            >>> Curve([1, 2, 3], [3.0, 6.0, math.nan]).smoothed.tolist()
            [4.5, 4.5, 4.5]
        """
        losses_N = np.array(self.losses, dtype=float)
        if not len(losses_N):
            return losses_N
        finite_N = np.isfinite(losses_N)
        kernel = np.ones(WINDOW)
        half = WINDOW // 2
        sums_N = np.convolve(np.where(finite_N, losses_N, 0.0), kernel)[half : half + len(losses_N)]
        counts_N = np.convolve(finite_N.astype(float), kernel)[half : half + len(losses_N)]
        return np.divide(sums_N, counts_N, out=np.full(len(losses_N), math.nan), where=counts_N > 0)


def sweep_rates(lowest: float, highest: float, steps: int) -> list[float]:
    """Return rates that rise by the same factor at every step.

    Example:
        >>> [round(rate, 6) for rate in sweep_rates(1e-4, 1.0, 3)]
        [0.0001, 0.01, 1.0]
    """
    return np.geomspace(lowest, highest, steps).tolist()
