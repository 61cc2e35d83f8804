"""Up, and down far below where it began."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Length, Number, Percent, Span, Word, in_steps
from thalweg.schedules.cosine import half_wave
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Rise from 1 / `div_factor` to 1, then fall to 1 / (`div_factor` · `final_div_factor`).

    f(t) = {1 + (1 / d − 1) h(t / (u − 1)), t ≤ u − 1;
    1 / (d D) + (1 − 1 / (d D)) h((t − u + 1) / (T − u)), t ≤ T − 1; 1 / (d D), t > T − 1};
    h(r) = (1 + cos(π r)) / 2. With `anneal=linear`, h(r) = 1 − r.

    With three phases it comes down as it went up, to 1 / `div_factor`, and only then falls to the end.
    As in torch, the top is one step before `up` is over and the end is reached at the last step, `steps` − 1.

    Args:
        up: u, length of the rise, steps or a share of the training.
        div_factor: d, 1 or more.
        final_div_factor: D, 1 or more.
        anneal: `cos` or `linear`, the shape of each phase.
        phases: 2 or 3.

    Example:
        >>> [round(OneCycle()(step, 100), 6) for step in (0, 29, 99)]
        [0.04, 1.0, 4e-06]

    Source:
        Smith and Topin, Super-Convergence, 2018, https://arxiv.org/abs/1708.07120;
        `torch.optim.lr_scheduler.OneCycleLR`.
    """

    name: ClassVar[str] = "one_cycle"
    takes: ClassVar[Mapping[str, Kind]] = {
        "up": Span(),
        "div_factor": Number(1),
        "final_div_factor": Number(1),
        "anneal": Word(("cos", "linear")),
        "phases": Number(2, 3, whole=True),
    }

    up: Length = Percent(30)  # noqa: RUF009 - a Percent is immutable
    div_factor: float = 25.0
    final_div_factor: float = 1e4
    anneal: str = "cos"
    phases: float = 2

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        first = 1 / self.div_factor
        last = first / self.final_div_factor
        up = in_steps(self.up, at.total)
        corners = [(0.0, first), (up - 1, 1.0), (at.steps - 1, last)]
        if self.phases == 3:
            corners.insert(2, (2 * up - 2, first))
        value = np.full_like(at.step, last)
        for (begin, before), (end, after) in reversed(list(pairwise(corners))):
            if end > begin:
                remaining = self._shape(np.clip((end - at.step) / (end - begin), 0.0, 1.0))
                value = np.where(at.step <= end, after + (before - after) * remaining, value)
        return value

    def _shape(self, remaining: NDArray[np.float64]) -> NDArray[np.float64]:
        return half_wave(remaining) if self.anneal == "cos" else remaining
