"""As one over the square root of the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Length, Span, in_steps
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class InverseSqrt(Schedule):
    """Fall as one over the square root of the time.

    f(t) = 1 / √(1 + t / s)

    Args:
        timescale: s, steps or a share of the training; 0 means what came before in the composition, at least
            one step. So `inverse_sqrt` alone is the course's η / √(t + 1), and `warmup(4000) > inverse_sqrt`
            is the Transformer's.

    Example:
        >>> InverseSqrt()(3, 1000)
        0.5

    Source:
        Vaswani et al., Attention Is All You Need, 2017, section 5.3, https://arxiv.org/abs/1706.03762.
    """

    name: ClassVar[str] = "inverse_sqrt"
    takes: ClassVar[Mapping[str, Kind]] = {"timescale": Span()}

    timescale: Length = 0

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        timescale = in_steps(self.timescale, at.total) or max(at.began, 1.0)
        return 1 / np.sqrt(1 + at.step / timescale)
