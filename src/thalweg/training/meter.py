"""Losses, gradient norms and counts gather on the device and are read every so often: no host sync in the step."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    loss: float
    gradient_norm: float


@dataclass(slots=True)
class Meter:
    """A small table on the device, one row a step: loss, gradient norm, photos that were right."""

    device: torch.device
    sums: EpochSums = field(default_factory=EpochSums)
    _known: list[tuple[int, float, int, float]] = field(default_factory=list)  # step, epoch, photos, lr: on the host
    _values_K3: Tensor = field(init=False)
    _read_at: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._values_K3 = torch.zeros(CAPACITY, 3, device=self.device)

    def add(self, step: int, epoch: float, lr: float, outcome: Outcome, labels_N: Tensor) -> None:
        """Keep one step's numbers on the device."""
        right = (outcome.logits_NC.argmax(dim=1) == labels_N).sum()
        torch.stack([outcome.loss, outcome.norm, right], out=self._values_K3[len(self._known)])
        self._known.append((step, epoch, len(labels_N), lr))

    @property
    def due(self) -> bool:
        """Whether the table is full, or was read long enough ago."""
        return len(self._known) == CAPACITY or time.monotonic() - self._read_at > SECONDS_BETWEEN_READS

    def read(self) -> list[Reading]:
        """Empty the table and add it to the epoch's sums."""
        values = self._values_K3[: len(self._known)].tolist()
        readings = []
        for (step, epoch, photos, lr), (loss, norm, right) in zip(self._known, values, strict=True):
            self.sums.loss += loss * photos
            self.sums.right += right
            self.sums.photos += photos
            readings.append(Reading(step, epoch, photos, lr, loss, norm))
        self._known.clear()
        self._read_at = time.monotonic()
        return readings
