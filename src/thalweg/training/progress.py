"""How far a training run is: its counters, its clock, and who is told."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from thalweg.runs import SettledConfig


MIXES_UNTIL = 0.9  # fraction of the training after which photos are no longer mixed: it ends on plain photos


@dataclass(slots=True)
class EpochSums:
    """Totals of an epoch so far; part of a checkpoint, so that a resumed epoch has the same means."""

    loss: float = 0.0
    right: float = 0.0
    photos: int = 0

    def clear(self) -> None:
        """Start an epoch."""
        self.loss, self.right, self.photos = 0.0, 0.0, 0


@dataclass(slots=True)
class State:
    """The counters of a checkpoint, which make a resumed run exact.

    Attributes:
        step: steps done.
        epoch: epochs done.
        batch: batches done of the epoch under way.
        seconds: since the training began, over all sessions.
        best_accuracy: on the validation split, so far.
        best_loss: of the same epoch; decides between equal accuracies.
        best_epoch: which epoch that was, counted from 1; 0 before the first.
        micro_batches: per batch; more than one after the device ran out of memory.
        valid_losses: after each epoch, for the schedule `plateau`.
        sums: totals of the epoch under way.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    micro_batches: int = 1
    valid_losses: list[float] = field(default_factory=list)
    sums: EpochSums = field(default_factory=EpochSums)

    def to_dict(self) -> dict[str, Any]:
        """For the checkpoint's JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Back from `to_dict`, also of 0.1.0, which called the micro-batches parts."""
        values = {"micro_batches" if name == "parts" else name: value for name, value in values.items()}
        return cls(**{**values, "sums": EpochSums(**values["sums"])})

    def keep_if_better(self, accuracy: float, loss: float) -> bool:
        """Whether an epoch beats the best so far; if so, it becomes the best."""
        if (accuracy, -loss) <= (self.best_accuracy, -self.best_loss):
            return False
        self.best_accuracy, self.best_loss, self.best_epoch = accuracy, loss, self.epoch
        return True


class Clock:
    """Counts the seconds of a training run over all its sessions, and the fraction of it that is done.

    With a budget, the fraction is that of the time from the first step to the budget's end, minus what the last
    evaluation will take, so that the schedule has annealed when the time is over.

    Args:
        config: has `epochs` or `budget`.
        steps_an_epoch: batches of the training split.
        seconds_before: spent already: preparing, and in earlier sessions.
    """

    def __init__(
        self, config: SettledConfig, steps_an_epoch: int, *, seconds_before: float, first_step_at: float
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
        """The fraction of the training that is done after `step` steps, in [0, 1], by epochs or budget.

        It never decreases: photos that have grown stay large when the last evaluation takes less time than expected.
        """
        by_steps = step / self._total_steps if self._total_steps else 0.0
        by_time = 0.0
        if self._budget:
            end = max(self._budget - self.reserve, self._first_step_at + 1e-3)
            by_time = (self.seconds - self._first_step_at) / (end - self._first_step_at)
        self._share = min(1.0, max(by_steps, by_time, self._share))
        return self._share

    def size(self, step: int) -> int:
        """Side of the photos of the next step, in pixels: each size gets an equal part of the training."""
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
        """The fraction of the work that is done after a fraction of the steps: a step costs its number of pixels."""
        parts = len(self._sizes)
        costs = [size**2 for size in self._sizes]
        done = sum(cost * min(max(share * parts - position, 0), 1) for position, cost in enumerate(costs))
        return done / sum(costs)


@dataclass(frozen=True, slots=True)
class Progress:
    """A report of how a training run goes, about twice a second.

    Attributes:
        share: of the training that is done, in [0, 1].
        step: steps done.
        epoch: epochs done, with their fraction.
        loss: of the latest step.
        accuracy: on the training split, over this epoch so far.
        gradient_norm: of the latest step.
        lr: of the latest step.
        photos_per_second: over the steps since the last report.
        seconds: since the training began, evaluations included.
        seconds_left: estimated.
    """

    share: float
    step: int
    epoch: float
    loss: float
    accuracy: float
    gradient_norm: float
    lr: float
    photos_per_second: float
    seconds: float
    seconds_left: float


class Listener:
    """Ignores everything; override the methods you need."""

    def note(self, key: str, **values: Any) -> None:
        """A message of the catalogue, with its values."""

    def checking(self, done: int, total: int) -> None:
        """Photos checked so far."""

    def caching(self, done: int, total: int) -> None:
        """Photos decoded so far."""

    def started(self, run: Path, facts: Mapping[str, Any]) -> None:
        """The run's folder exists; `facts` has what was chosen: model, size, precision, layout, speeds."""

    def progressed(self, progress: Progress) -> None:
        """About twice a second."""

    def epoch_ended(self, row: Mapping[str, float]) -> None:
        """The epoch's row of the history, by column."""
