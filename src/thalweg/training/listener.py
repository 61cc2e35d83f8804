"""Who is told how a training goes on; the command line and the page listen, a library call need not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a training stands.

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
    """Hears nothing; override what you want to hear."""

    def note(self, key: str, **values: Any) -> None:
        """A sentence of the catalogue, with its values."""

    def checking(self, done: int, total: int) -> None:
        """Photos looked at for what may be wrong with them."""

    def caching(self, done: int, total: int) -> None:
        """Photos decoded into the cache."""

    def started(self, run: Path, facts: Mapping[str, Any]) -> None:
        """The run's folder is there, and what was chosen: model, size, precision, layout, rates."""

    def progressed(self, progress: Progress) -> None:
        """About twice a second."""

    def epoch_ended(self, row: Mapping[str, float]) -> None:
        """The columns of the epoch's row in the history."""
