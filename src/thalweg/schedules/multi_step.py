"""A drop at each milestone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Length, Number, Spans, in_steps
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class MultiStep(Schedule):
    """Multiply by γ at each milestone.

    f(t) = γ^#{k ≥ 1: s_k ≤ t}, in words: γ to the number of milestones so far

    Args:
        milestones: s_k, increasing; steps or shares of the training.
        gamma: γ, above 0, at most 1.

    Example:
        >>> from thalweg.schedules import parse
        >>> [parse("multi_step(50%, 75%, gamma=0.5)")(step, 100) for step in (49, 50, 75)]
        [1.0, 0.5, 0.25]

    Source:
        `torch.optim.lr_scheduler.MultiStepLR`.
    """

    name: ClassVar[str] = "multi_step"
    takes: ClassVar[Mapping[str, Kind]] = {"milestones": Spans(), "gamma": Number(0, 1, above_low=True)}

    milestones: tuple[Length, ...]
    gamma: float = 0.1

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        milestones_M = np.sort([in_steps(milestone, at.total) for milestone in self.milestones])
        return self.gamma ** np.searchsorted(milestones_M, at.step, side="right").astype(np.float64)
