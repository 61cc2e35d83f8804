"""The names that the language knows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.schedules.constant import Constant
from thalweg.schedules.cosine import Cosine
from thalweg.schedules.cosine_restarts import CosineRestarts
from thalweg.schedules.exponential import Exponential
from thalweg.schedules.inverse_sqrt import InverseSqrt
from thalweg.schedules.inverse_time import InverseTime
from thalweg.schedules.linear import Linear
from thalweg.schedules.multi_step import MultiStep
from thalweg.schedules.one_cycle import OneCycle
from thalweg.schedules.plateau import Plateau
from thalweg.schedules.polynomial import Polynomial
from thalweg.schedules.step import Step
from thalweg.schedules.warmup import Warmup
from thalweg.schedules.wsd import WarmupStableDecay


if TYPE_CHECKING:
    from thalweg.schedules.schedule import Schedule


SCHEDULES: dict[str, type[Schedule]] = {
    schedule.name: schedule
    for schedule in (
        Constant,
        Cosine,
        CosineRestarts,
        Exponential,
        InverseSqrt,
        InverseTime,
        Linear,
        MultiStep,
        OneCycle,
        Plateau,
        Polynomial,
        Step,
        Warmup,
        WarmupStableDecay,
    )
}
"""Name in the language to class, sorted by name."""


def names() -> tuple[str, ...]:
    """The names of all schedules, sorted.

    Example:
        >>> "cosine" in names()
        True
    """
    return tuple(SCHEDULES)
