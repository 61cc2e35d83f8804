"""How far a training is: by steps, or by seconds when it has a budget."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from thalweg.training.config import TrainingConfig


MIXES_UNTIL = 0.9  # share of the training after which photos are no longer mixed: the end is of photos as they are


class Clock:
    """Counts the seconds of a training over all its sittings, and its share that is done.

    With a budget the share is that of the time between the first step and the budget's end, less what the last
    evaluation will take, so that the schedule has annealed to its end when the time is over.

    Args:
        config: has `epochs` or `budget`.
        steps_an_epoch: batches of the training split.
        seconds_before: spent already: preparing, and in earlier sittings.
    """

    def __init__(
        self, config: TrainingConfig, steps_an_epoch: int, *, seconds_before: float, first_step_at: float
    ) -> None:
        self._budget = config.budget
        self._total_steps = None if config.epochs is None else config.epochs * steps_an_epoch
        self._steps_an_epoch = steps_an_epoch
        self._began = time.monotonic() - seconds_before
        self._first_step_at = first_step_at
        self.reserve = 0.0
        self._sizes = config.sizes
        self._share = 0.0

    @property
    def seconds(self) -> float:
        """Since the training began."""
        return time.monotonic() - self._began

    def share(self, step: int) -> float:
        """Of the training that is done after `step` steps, in [0, 1]; whichever of epochs and budget ends first.

        It never falls: where the last evaluation turns out to take less than was thought, photos that have grown stay.
        """
        by_steps = step / self._total_steps if self._total_steps else 0.0
        by_time = 0.0
        if self._budget:
            end = max(self._budget - self.reserve, self._first_step_at + 1e-3)
            by_time = (self.seconds - self._first_step_at) / (end - self._first_step_at)
        self._share = min(1.0, max(by_steps, by_time, self._share))
        return self._share

    def size(self, step: int) -> int:
        """Side of the photos of the next step, in pixels: the sizes have equal parts of the training."""
        return self._sizes[min(int(self.share(step) * len(self._sizes)), len(self._sizes) - 1)]

    def mixes(self, step: int) -> bool:
        """Whether the photos of the next step may be mixed."""
        return self.share(step) < MIXES_UNTIL

    def schedule_position(self, step: int) -> tuple[float, float]:
        """`step` and `steps` for the schedule: exact when steps are counted, estimated when seconds are."""
        if self._budget is None and self._total_steps is not None:
            return step, self._total_steps
        share = self.share(step)
        steps = step / share if share > 0 and step else self._steps_an_epoch
        return share * steps, steps

    def seconds_left(self, step: int) -> float:
        """Estimated until the end."""
        share = self.share(step)
        done = share if self._budget else self._work(share)  # a budget's share is one of time already
        spent = self.seconds - self._first_step_at
        return spent * (1 - done) / done if done > 0 else float("nan")

    def _work(self, share: float) -> float:
        """Of the training's work that is done with a share of its steps: a step costs what its photos have pixels."""
        parts = len(self._sizes)
        costs = [size**2 for size in self._sizes]
        done = sum(cost * min(max(share * parts - position, 0), 1) for position, cost in enumerate(costs))
        return done / sum(costs)
