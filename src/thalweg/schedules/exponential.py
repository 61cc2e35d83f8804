"""The same factor at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from thalweg.schedules.arguments import Kind, Length, Number, Span, in_steps
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiply by γ over every so many steps, smoothly.

    f(t) = γ^(t / s)

    Args:
        gamma: γ, above 0, at most 1.
        every: s, steps or a share of the training, above 0. torch always uses one step.

    Example:
        >>> from thalweg.schedules import Percent
        >>> Exponential(0.5, every=Percent(50))(100, 100)
        0.25

    Source:
        `torch.optim.lr_scheduler.ExponentialLR`.
    """

    name: ClassVar[str] = "exponential"
    takes: ClassVar[Mapping[str, Kind]] = {
        "gamma": Number(0, 1, above_low=True),
        "every": Span(above_zero=True),
    }

    gamma: float
    every: Length = 1

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.gamma ** (at.step / in_steps(self.every, at.total))
