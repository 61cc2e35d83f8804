"""Where a training stands, apart from weights and optimizer: the counters of a checkpoint."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from thalweg.training.meter import EpochSums


@dataclass(slots=True)
class State:
    """Counters that make a resumed training the training.

    Attributes:
        step: steps done.
        epoch: epochs done.
        batch: batches done of the epoch under way.
        seconds: since the training began, over all sittings.
        best_accuracy: on the validation split, so far.
        best_loss: of the same epoch; decides between equal accuracies.
        best_epoch: which epoch that was, counted from 1; 0 before the first.
        parts: in which a batch goes through the network; more than one after the device's memory was exhausted.
        valid_losses: after each epoch: what `plateau` looks at.
        sums: what the epoch under way has added up.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    best_accuracy: float = -1.0
    best_loss: float = float("inf")
    best_epoch: int = 0
    parts: int = 1
    valid_losses: list[float] = field(default_factory=list)
    sums: EpochSums = field(default_factory=EpochSums)

    def to_dict(self) -> dict[str, Any]:
        """For the checkpoint's JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Back from `to_dict`."""
        return cls(**{**values, "sums": EpochSums(**values["sums"])})

    def keep_if_better(self, accuracy: float, loss: float) -> bool:
        """Whether an epoch beats the best so far; keeps it if so."""
        if (accuracy, -loss) <= (self.best_accuracy, -self.best_loss):
            return False
        self.best_accuracy, self.best_loss, self.best_epoch = accuracy, loss, self.epoch
        return True
