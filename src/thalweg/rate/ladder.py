"""Rates at equal factors, and a search for the lowest loss among them. No torch here.

A rung is an integer, so the same rung always gives bit-identically the same rate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SPACING = 0.5  # decades from rung to rung, unless a ladder says otherwise
CANDIDATES = 7  # three decades below the rate at which the sweep exploded
TOLERANCE = 1e-9  # decades: rungs are rounded


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rates `top · 10^(k·spacing)` of integer rungs k, within a range.

    Attributes:
        top: the rate of rung 0.
        lowest: lower end of the range.
        highest: upper end of the range.
        spacing: decades from rung to rung.
    """

    top: float
    lowest: float
    highest: float
    spacing: float = SPACING

    def rate(self, rung: float) -> float:
        """Return the rate of a rung, or of a place between two.

        Example:
            >>> Ladder(1.0, 1e-7, 10.0).rate(-4)
            0.01
        """
        return self.top * 10 ** (self.spacing * rung)

    def has(self, rung: int) -> bool:
        """Whether a rung lies within the range."""
        at = math.log10(self.rate(rung))
        return math.log10(self.lowest) - TOLERANCE <= at <= math.log10(self.highest) + TOLERANCE

    def first(self) -> list[int]:
        """Return the rungs to try first: the top and those below it.

        Example:
            >>> Ladder(1.0, 0.05, 10.0).first()
            [0, -1, -2]
        """
        return [rung for rung in range(0, -CANDIDATES, -1) if self.has(rung)]

    def lowest_point(self, loss: Callable[[int], float], rungs: Sequence[int]) -> int:
        """Find the rung of the lowest loss; if it is the last one on a side, the next one is tried too.

        If all losses are infinite, the search goes down.

        Args:
            loss: maps a rung to its loss; infinity if it blows up.
            rungs: the rungs to start with.

        Returns:
            A rung with no lower loss at its neighbors in the range, both of which were tried.

        Example:
            >>> ladder = Ladder(1.0, 1e-7, 10.0)
            >>> ladder.lowest_point(lambda rung: abs(rung + 9), ladder.first())
            -9
        """
        losses = {rung: loss(rung) for rung in rungs if self.has(rung)}
        while True:
            best = min(losses, key=lambda rung: (losses[rung], rung))
            outward = [best - 1, best + 1] if math.isfinite(losses[best]) else [best - 1]
            missing = [rung for rung in outward if rung not in losses and self.has(rung)]
            if not missing:
                return best
            losses.update((rung, loss(rung)) for rung in missing)


def lowest_of_parabola(losses: Sequence[float]) -> float:
    """Return where the parabola through three losses at -1, 0 and 1 is lowest, if the middle one is lowest; else 0.

    The parabola goes through the logarithms if all losses are positive: a loss that falls by powers of ten fits none.

    Returns:
        In -0.5 to 0.5.

    Example:
        >>> lowest_of_parabola([2.0, 1.0, 2.0]), lowest_of_parabola([-1.0, -3.0, -3.0])
        (0.0, 0.5)
    """
    below, middle, above = (math.log(loss) for loss in losses) if min(losses) > 0 else losses
    bend = below - 2 * middle + above
    return 0.5 * (below - above) / bend if bend > 0 else 0.0
