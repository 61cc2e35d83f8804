"""A straight line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from thalweg.schedules.arguments import Kind, Number
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Linear(Schedule):
    """Go from `start` to `end` in a straight line.

    f(t) = s + (e − s) t / T

    Args:
        start: s, at least 0.
        end: e, at least 0.

    Example:
        >>> Linear(end=0.5)(50, 100)
        0.75

    Source:
        `torch.optim.lr_scheduler.LinearLR`.
    """

    name: ClassVar[str] = "linear"
    takes: ClassVar[Mapping[str, Kind]] = {"start": Number(0), "end": Number(0)}

    start: float = 1.0
    end: float = 0.0

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.start * at.remaining + self.end * at.progress
