"""The progress of a training run: counters, clock and listeners."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Self


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from thalweg.distributed.team import Heard
    from thalweg.runs import Run, SettledConfig


_SECONDS_UNTIL_ESTIMATE = 1.0
_PICTURES = 20.0  # seconds for them and the report on two cores,
_MOST_PICTURES = 0.05  # of a budget, at most
MIXES_UNTIL = 0.9  # fraction of the run after which mixing stops, so that it ends on plain photos


@dataclass(slots=True)
class EpochSums:
    """Totals of the current epoch; part of the checkpoint, so that a resumed epoch has the same means."""

    loss: float = 0.0
    right: float = 0.0
    photos: int = 0

    def means(self) -> dict[str, float]:
        """Return the mean loss and accuracy, as columns of the history of epochs."""
        return {"train_loss": self.loss / self.photos, "train_accuracy": self.right / self.photos}

    def clear(self) -> None:
        """Start an epoch."""
        self.loss, self.right, self.photos = 0.0, 0.0, 0


@dataclass(slots=True)
class State:
    """The counters in a checkpoint, which make resuming exact.

    Attributes:
        step: steps done.
        epoch: epochs done.
        batch: batches done in the current epoch.
        seconds: time since training began, over all sessions.
        best_accuracy: best accuracy on the validation split so far; of several labels, mean average precision.
        best_loss: loss of the same epoch; breaks ties between equal accuracies.
        best_epoch: number of that epoch, counted from 1; 0 before the first.
        fitted: iterations of the fit of the classifier before the first step; 0: there was none yet.
        micro_batches: micro-batches per batch; more than one after the device ran out of memory.
        valid_losses: validation loss after each evaluated epoch, for the schedule `plateau`.
        sums: totals of the current epoch.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    fitted: int = 0
    micro_batches: int = 1
    valid_losses: list[float] = field(default_factory=list)
    sums: EpochSums = field(default_factory=EpochSums)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for the checkpoint's JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Read what `to_dict` wrote, also in 0.1.0, which called micro-batches parts."""
        values = {"micro_batches" if name == "parts" else name: value for name, value in values.items()}
        return cls(**{**values, "sums": EpochSums(**values["sums"])})

    def keep_if_better(self, accuracy: float, loss: float) -> bool:
        """Return whether an epoch beats the best so far, and record it if so."""
        if (accuracy, -loss) <= (self.best_accuracy, -self.best_loss):
            return False
        self.best_accuracy, self.best_loss, self.best_epoch = accuracy, loss, self.epoch
        return True


class Clock:
    """Counts the seconds of a training run over all sessions, and the fraction of the run that is done.

    With a budget, the fraction is one of the time from the first step to the end of the budget, less the time for what
    comes after the last step, so that the schedule has annealed and everything is done when the time is up.

    Args:
        config: has `epochs` or `budget`.
        steps_an_epoch: batches in the training split.
        seconds_before: time already spent on preparation and in earlier sessions.
        first_step_at: seconds from the start of training to its first step.

    Attributes:
        reserve: seconds of the budget for what comes after the last step.
        photos_after: photos that are evaluated after it: those for validation twice, to choose the weights and for the
            outputs to keep, and those for testing.
        told: returns what the processes of the training agreed on; None: this clock decides.
    """

    def __init__(
        self, config: SettledConfig, steps_an_epoch: int, *, seconds_before: float, first_step_at: float
    ) -> None:
        self._budget = config.budget
        self._total_steps = None if config.epochs is None else config.epochs * steps_an_epoch
        self._steps_an_epoch = steps_an_epoch
        self._began = time.monotonic() - seconds_before
        self._first_step_at = first_step_at
        self.reserve, self.photos_after = 0.0, 0
        self.told: Callable[[], Heard | None] = lambda: None
        self._sizes = config.sizes
        self._share = 0.0

    def begin_steps(self) -> float:
        """Count the run's fraction from now on, after a fit of the classifier; return the seconds so far."""
        self._first_step_at = self.seconds
        return self._first_step_at

    def expect(self, seconds: float) -> None:
        """Reserve time for the evaluations after the last step, at so many seconds a photo, and for the pictures."""
        self.reserve = seconds * self.photos_after + min(_PICTURES, _MOST_PICTURES * (self._budget or 0.0))

    @property
    def seconds(self) -> float:
        """Seconds since training began."""
        return time.monotonic() - self._began

    def share(self, step: int) -> float:
        """Return the fraction of the run that is done after `step` steps, in [0, 1], by epochs or budget.

        It never decreases: photos that have grown stay large if the last evaluation takes less time than expected.
        """
        by_steps = step / self._total_steps if self._total_steps else 0.0
        by_time = 0.0
        if self._budget:
            told = self.told()
            seconds, reserve = (self.seconds, self.reserve) if told is None else (told.seconds, told.reserve)
            end = max(self._budget - reserve, self._first_step_at + 1e-3)
            by_time = (seconds - self._first_step_at) / (end - self._first_step_at)
        self._share = min(1.0, max(by_steps, by_time, self._share))
        return self._share

    def size(self, step: int) -> int:
        """Return the side of the next step's photos, in pixels: each size gets an equal part of the run."""
        return self._sizes[min(int(self.share(step) * len(self._sizes)), len(self._sizes) - 1)]

    def mixes(self, step: int) -> bool:
        """Whether mixing is still on for the next step."""
        return self.share(step) < MIXES_UNTIL

    def schedule_position(self, step: int) -> tuple[float, float]:
        """Return `step` and `steps` for the schedule: exact if the run counts steps, estimated if it counts seconds."""
        if self._budget is None and self._total_steps is not None:
            return step, self._total_steps
        share = self.share(step)
        steps = step / share if share > 0 and step else self._steps_an_epoch
        return share * steps, steps

    def seconds_left(self, step: int) -> float:
        """Estimate the seconds until the end."""
        share = self.share(step)
        done = share if self._budget else self._work(share)  # with a budget, the share already is one of time
        spent = self.seconds - self._first_step_at
        return spent * (1 - done) / done if done > 0 else float("nan")

    def _work(self, share: float) -> float:
        """Return the fraction of the work done after a fraction of the steps; a step costs its number of pixels."""
        parts = len(self._sizes)
        costs = [size**2 for size in self._sizes]
        done = sum(cost * min(max(share * parts - position, 0), 1) for position, cost in enumerate(costs))
        return done / sum(costs)


@dataclass(frozen=True, slots=True)
class Progress:
    """A progress report, about twice per second.

    Attributes:
        share: fraction of the run that is done, in [0, 1].
        step: steps done.
        epoch: epochs done, including the current fraction.
        loss: loss of the latest step.
        accuracy: accuracy on the training split in this epoch so far.
        gradient_norm: gradient norm of the latest step.
        lr: learning rate of the latest step.
        photos_per_second: speed since the last report.
        seconds: time since training began, including evaluations.
        seconds_left: estimated time left.
        several: whether photos have several labels, so that `accuracy` is the share with all of them right.
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
    several: bool = False


class Pace:
    """How much of some work is done, and how long the rest takes at the pace so far.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._done = self._done_at_first = self._total = 0.0
        self._began = self._came = clock()

    def report(self, done: float, total: float) -> None:
        """Take a report; fewer done than before, or another total, are other work. A total of 0 is unknown."""
        now = self._clock()
        if total != self._total or done < self._done:
            self._began, self._done_at_first = now, done
        self._done, self._total, self._came = done, total, now

    @property
    def share(self) -> float:
        """How much of the work is done, in [0, 1]."""
        return self._done / self._total if self._total else 0.0

    @property
    def counted(self) -> int | None:
        """What is done so far of work whose total is unknown; None: it is known, or nothing is done."""
        return int(self._done) or None if not self._total else None

    def seconds_left(self) -> float | None:
        """Estimate the seconds until the end, as of now; None in the first second, when it would be a guess."""
        spent, done = self._came - self._began, self._done - self._done_at_first
        if not done or spent < _SECONDS_UNTIL_ESTIMATE:
            return None
        return max(0.0, spent * (self._total - self._done) / done - (self._clock() - self._came))


class Listener:
    """Ignores everything; override the methods you need."""

    def note(self, key: str, **values: Any) -> None:
        """Receive a message of the catalogue and its values."""

    def listing(self, done: int, total: int) -> None:
        """Receive the number of files found so far, with a total of 0; then of files compared, and of all of them."""

    def checking(self, done: int, total: int) -> None:
        """Receive the number of photos checked so far."""

    def caching(self, done: int, total: int) -> None:
        """Receive the number of photos decoded so far."""

    def working(self, stage: str, done: float, total: float) -> None:
        """Receive the stage of other work (`training.stage_...` in the catalogue), and how much of all is done."""

    def started(self, run: Path, facts: Mapping[str, Any]) -> None:
        """Receive the run's folder, once it exists, with `run`, and `model` and `choice` or `resumed_at`."""

    def progressed(self, progress: Progress) -> None:
        """Receive a progress report, about twice per second."""

    def epoch_ended(self, row: Mapping[str, float]) -> None:
        """Receive the epoch's row of the history, by column."""

    def ended(self, run: Run, summary: Mapping[str, Any]) -> None:
        """Receive the run and its summary when its training has stopped without an error."""
