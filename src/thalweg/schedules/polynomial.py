"""A power of what remains."""

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
class Polynomial(Schedule):
    """Fall from 1 to `end` as a power of the share that remains.

    f(t) = e + (1 − e) (1 − t / T)^p

    Args:
        power: p, above 0.
        end: e, 0 to 1.

    Example:
        >>> Polynomial(power=2)(50, 100)
        0.25

    Source:
        `torch.optim.lr_scheduler.PolynomialLR` (which ends at 0).
    """

    name: ClassVar[str] = "polynomial"
    takes: ClassVar[Mapping[str, Kind]] = {"power": Number(0, above_low=True), "end": Number(0, 1)}

    power: float = 1.0
    end: float = 0.0

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.end + (1 - self.end) * at.remaining**self.power
