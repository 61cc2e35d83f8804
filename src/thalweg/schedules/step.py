"""A drop at regular intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Length, Number, Span, in_steps
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Step(Schedule):
    """Multiply by γ every so many steps.

    f(t) = γ^⌊t / s⌋

    Args:
        every: s, steps or a share of the training, above 0.
        gamma: γ, above 0, at most 1.

    Example:
        >>> from thalweg.schedules import Percent
        >>> [Step(Percent(30), 0.5)(step, 100) for step in (0, 29, 30, 60)]
        [1.0, 1.0, 0.5, 0.25]

    Source:
        `torch.optim.lr_scheduler.StepLR`.
    """

    name: ClassVar[str] = "step"
    takes: ClassVar[Mapping[str, Kind]] = {
        "every": Span(above_zero=True),
        "gamma": Number(0, 1, above_low=True),
    }

    every: Length
    gamma: float = 0.1

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.gamma ** np.floor(at.step / in_steps(self.every, at.total))
