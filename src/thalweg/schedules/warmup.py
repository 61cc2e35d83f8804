"""A gentle start, before any other schedule."""

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
class Warmup(Schedule):
    """Rise from `start` to 1 in a straight line; what follows in a composition begins when it is over.

    f(t) = {s + (1 − s) t / w, t < w; 1, t ≥ w}

    Adaptive rules divide by an average of few gradients at first, and that average is not to be trusted yet.

    Args:
        length: w, steps or a share of the training.
        start: s, 0 to 1. Not 0, or the first update would be wasted.

    Example:
        >>> from thalweg.schedules import Percent
        >>> Warmup(Percent(10), start=0.5)(5, 100)
        0.75

    Source:
        Goyal et al., Accurate, Large Minibatch SGD, 2017, https://arxiv.org/abs/1706.02677;
        Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265;
        `torch.optim.lr_scheduler.LinearLR`.
    """

    name: ClassVar[str] = "warmup"
    takes: ClassVar[Mapping[str, Kind]] = {"length": Span(), "start": Number(0, 1)}

    length: Length
    start: float = 0.01

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.start + (1 - self.start) * at.part(0.0, in_steps(self.length, at.total)).progress
