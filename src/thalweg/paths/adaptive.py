"""Schedules that look at the loss: on a surface, the factors and the path depend on each other."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import UsageError
from thalweg.schedules import Moment, Plateau, Schedule


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

MAX_STEPS = 5_000
"""Such a schedule reads its whole list of losses again at every question, so long paths would take minutes."""


def looks_at_the_loss(schedule: object) -> bool:
    """Whether a `Plateau` is in a schedule."""
    if isinstance(schedule, tuple):
        return any(map(looks_at_the_loss, schedule))
    if isinstance(schedule, Schedule) and is_dataclass(schedule):
        parts = [getattr(schedule, field.name) for field in fields(schedule)]
        return isinstance(schedule, Plateau) or any(map(looks_at_the_loss, parts))
    return False


def settle(
    schedule: Schedule, steps: int, loss_of: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The factors that a schedule gives on the very path that they lead to.

    Run with what is known, look for the first step at which the losses so far ask for another factor, and run again
    from there: each round settles the factors up to one more drop.

    Args:
        schedule: one that looks at the loss; its factor must only ever drop on account of it.
        steps: number of steps.
        loss_of: the losses θ_0 … θ_S of the path that factors of shape (S,) lead to.

    Raises:
        UsageError: more than `MAX_STEPS` steps.
    """
    if steps > MAX_STEPS:
        raise UsageError("paths.too_many_steps_for_plateau", steps=f"{steps:,}", limit=f"{MAX_STEPS:,}")
    factor_S = _factors(schedule, steps, ())
    settled = 0
    while True:
        losses = loss_of(factor_S)[:steps].tolist()
        low, high = settled, steps  # the first step whose factor is another: in low..high, `steps` for none
        while low < high:
            middle = (low + high) // 2
            if schedule(middle, steps, losses[:middle]) == factor_S[middle]:
                low = middle + 1
            else:
                high = middle
        if low == steps:
            return factor_S
        factor_S[low:] = _factors(schedule, steps, losses[:low])[low:]
        settled = low + 1


def _factors(schedule: Schedule, steps: int, losses: Sequence[float]) -> NDArray[np.float64]:
    """The factors at all steps if the losses ended here."""
    step_S = np.arange(steps, dtype=np.float64)
    return np.array(schedule.factor(Moment(step_S, steps, 0.0, steps, losses)))
