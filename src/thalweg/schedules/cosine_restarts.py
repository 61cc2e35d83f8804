"""Cosine waves, each followed by a restart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Length, Number, Span, in_steps
from thalweg.schedules.cosine import half_wave
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Fall along half a cosine wave, start again at 1, each time `mult` times as long.

    f(t) = e + (1 − e) (1 + cos(π (t − i T₀) / T₀)) / 2; i = ⌊t / T₀⌋. With `mult`,
    f(t) = e + (1 − e) (1 + cos(π (t − a) / (T₀ qⁱ))) / 2; i = #{k ≥ 1: T₀ ∑_{j=0}^(k−1) q^j ≤ t};
    a = T₀ ∑_{j=0}^(i−1) q^j.

    Args:
        period: T₀, steps or a share of the training, above 0.
        mult: q, 1 or more.
        end: e, 0 to 1.

    Example:
        >>> [round(CosineRestarts(10, mult=2)(step, 100), 12) for step in (0, 5, 10, 20, 30)]
        [1.0, 0.5, 1.0, 0.5, 1.0]

    Source:
        Loshchilov and Hutter, SGDR, 2017, https://arxiv.org/abs/1608.03983;
        `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
    """

    name: ClassVar[str] = "cosine_restarts"
    takes: ClassVar[Mapping[str, Kind]] = {
        "period": Span(above_zero=True),
        "mult": Number(1),
        "end": Number(0, 1),
    }

    period: Length
    mult: float = 1.0
    end: float = 0.0

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        since, length = self._cycle(at.step, in_steps(self.period, at.total))
        return self.end + (1 - self.end) * half_wave((length - since) / length)

    def _cycle(
        self, step: NDArray[np.float64], period: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float64] | float]:
        """Steps since the last restart, and the length of the cycle that runs."""
        if self.mult == 1:
            return step % period, period
        starts = [0.0]
        while starts[-1] <= np.max(step):
            starts.append(starts[-1] + period * self.mult ** (len(starts) - 1))
        starts_C = np.array(starts)
        cycle = np.searchsorted(starts_C, step, side="right") - 1
        return step - starts_C[cycle], np.diff(starts_C)[cycle]
