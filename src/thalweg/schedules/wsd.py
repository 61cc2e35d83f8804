"""Warm up, stay, decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.errors import UsageError
from thalweg.schedules.arguments import Kind, Length, Number, Percent, Span, Word, in_steps
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


@dataclass(frozen=True)
class WarmupStableDecay(Schedule):
    """Rise, stay at 1, and fall to `end` in the last part of the training.

    f(t) = min(s + (1 − s) min(t / w, 1), e + (1 − e) (1 − u(t))); u(t) = max(t − T + d, 0) / d. u is the share of
    the last d steps that is done; with `shape=sqrt`, its root takes its place.

    The long stay does not depend on the length of the training, so it can be prolonged, and branched into a decay
    at any time.

    Args:
        warmup: w, steps or a share of the training.
        decay: d, steps or a share of the training.
        start: s, 0 to 1. Not 0, or the first update would be wasted.
        end: e, 0 to 1.
        shape: `linear` or `sqrt`.

    Example:
        >>> schedule = WarmupStableDecay(Percent(10), Percent(20))
        >>> [round(schedule(step, 100), 6) for step in (0, 10, 80, 90, 100)]
        [0.01, 1.0, 1.0, 0.5, 0.0]

    Source:
        Hu et al., MiniCPM, 2024, https://arxiv.org/abs/2404.06395;
        Hägele et al., Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations, 2024,
        https://arxiv.org/abs/2405.18392 (the shape `sqrt`).
    """

    name: ClassVar[str] = "wsd"
    takes: ClassVar[Mapping[str, Kind]] = {
        "warmup": Span(),
        "decay": Span(),
        "start": Number(0, 1),
        "end": Number(0, 1),
        "shape": Word(("linear", "sqrt")),
    }

    warmup: Length = Percent(10)  # noqa: RUF009 - a Percent is immutable
    decay: Length = Percent(20)  # noqa: RUF009 - a Percent is immutable
    start: float = 0.01
    end: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        super().__post_init__()
        shares = [length.value for length in (self.warmup, self.decay) if isinstance(length, Percent)]
        if sum(shares) > 100:
            raise UsageError("schedules.more_than_all", percent=sum(shares))

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        warmup, decay = in_steps(self.warmup, at.total), in_steps(self.decay, at.total)
        rise = self.start + (1 - self.start) * at.part(0.0, warmup).progress
        done = at.part(at.steps - decay, decay).progress if decay > 0 else np.zeros_like(at.step)
        fall = self.end + (1 - self.end) * (1 - (np.sqrt(done) if self.shape == "sqrt" else done))
        return np.minimum(rise, fall)
