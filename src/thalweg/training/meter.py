"""Losses, gradient norms and counts gather on the device and are read every so often: no host sync in the step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.training.gradients import Outcome

CAPACITY = 64
SECONDS_BETWEEN_READS = 0.5


@dataclass(slots=True)
class EpochSums:
    """What an epoch has added up so far; part of a checkpoint, so that a resumed epoch's means are the same."""

    loss: float = 0.0
    right: float = 0.0
    photos: int = 0

    def clear(self) -> None:
        """Start an epoch."""
        self.loss, self.right, self.photos = 0.0, 0.0, 0


@dataclass(slots=True)
class Reading:
    """One step, as read from the device."""

    step: int
    epoch: float
    photos: int
    lr: float
    size: int
    mixed: bool
    loss: float
    gradient_norm: float


@dataclass(slots=True)
class Meter:
    """A small table on the device, one row a step: loss, gradient norm, photos that were right."""

    device: torch.device
    sums: EpochSums = field(default_factory=EpochSums)
    _known: list[dict[str, Any]] = field(default_factory=list)  # what the host knows of each row
    _values_K3: Tensor = field(init=False)
    _read_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._values_K3 = torch.zeros(CAPACITY, 3, device=self.device)

    def add(self, outcome: Outcome, labels_N: Tensor, **known: Any) -> None:
        """Keep one step's numbers on the device, and what the host knows of it: the other fields of its `Reading`."""
        right = (outcome.logits_NC.argmax(dim=1) == labels_N).sum()
        torch.stack([outcome.loss, outcome.norm, right], out=self._values_K3[len(self._known)])
        self._known.append({"photos": len(labels_N), **known})

    @property
    def due(self) -> bool:
        """Whether the table is full, or was read long enough ago."""
        return len(self._known) == CAPACITY or time.monotonic() - self._read_at > SECONDS_BETWEEN_READS

    def read(self) -> list[Reading]:
        """Empty the table and add it to the epoch's sums."""
        values = self._values_K3[: len(self._known)].tolist()
        readings = []
        for known, (loss, norm, right) in zip(self._known, values, strict=True):
            self.sums.loss += loss * known["photos"]
            self.sums.right += right
            self.sums.photos += known["photos"]
            readings.append(Reading(**known, loss=loss, gradient_norm=norm))
        self._known.clear()
        self._read_at = time.monotonic()
        return readings
