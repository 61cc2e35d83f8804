"""Half a cosine wave, from 1 down to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Number
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Cosine(Schedule):
    """Fall from 1 to `end` along half a cosine wave.

    f(t) = e + (1 − e) (1 + cos(π t / T)) / 2

    Args:
        end: e, 0 to 1.

    Example:
        >>> round(Cosine()(50, 100), 12)
        0.5

    Source:
        Loshchilov and Hutter, SGDR, 2017, https://arxiv.org/abs/1608.03983;
        `torch.optim.lr_scheduler.CosineAnnealingLR`.
    """

    name: ClassVar[str] = "cosine"
    takes: ClassVar[Mapping[str, Kind]] = {"end": Number(0, 1)}

    end: float = 0.0

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.end + (1 - self.end) * half_wave(at.remaining)


def half_wave(remaining: NDArray[np.float64]) -> NDArray[np.float64]:
    """(1 − cos(π r)) / 2 for r in [0, 1], as the square of a sine: near r = 0 the difference would lose its digits."""
    return np.sin(np.pi / 2 * remaining) ** 2
