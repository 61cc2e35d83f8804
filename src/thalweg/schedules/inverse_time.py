"""As one over the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from thalweg.schedules.arguments import Kind, Length, Percent, Span, in_steps
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class InverseTime(Schedule):
    """Fall as one over the time: to a half after `timescale`, to a third after two, ...

    f(t) = 1 / (1 + t / s)

    Its sum over all steps is infinite and the sum of its squares is finite, which is what noisy gradients
    need to converge to a point.

    Args:
        timescale: s, steps or a share of the training, above 0.

    Example:
        >>> InverseTime(100)(300, 1000)
        0.25

    Source:
        Robbins and Monro, A Stochastic Approximation Method, 1951, https://doi.org/10.1214/aoms/1177729586.
    """

    name: ClassVar[str] = "inverse_time"
    takes: ClassVar[Mapping[str, Kind]] = {"timescale": Span(above_zero=True)}

    timescale: Length = Percent(10)  # noqa: RUF009 - a Percent is immutable

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return 1 / (1 + at.step / in_steps(self.timescale, at.total))
