"""Short trainings, each at one rate, on the same batches from the same start: what decides between rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thalweg.diagnosis.rate.result import Probe
from thalweg.diagnosis.rate.trial import Trial


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.diagnosis.rate.result import Reason
    from thalweg.diagnosis.rate.trial import Setting

BLOWN_UP = 2.0  # times the loss at the start, above it: what is there will not come back in a short training
FLAT = 1e-5  # of the loss: what rounding in float32 may do to it
HARMLESS = 1e-2  # of the loss: a rate that raises it by less is low enough
SURE = 2.0  # standard errors of a mean over batches


class Probes:
    """Runs short trainings and keeps what came out.

    Args:
        setting: what they train copies of.
        batches: trained on in turn.
        deciding: on which the loss is taken, before and after.
        anneal: whether the rate falls to zero within a probe, as it will in the training.
        seed: of what the model draws, the same for every probe.
    """

    def __init__(self, setting: Setting, batches: list[Any], deciding: list[Any], *, anneal: bool, seed: int) -> None:
        self._setting, self._batches, self._deciding, self._anneal = setting, batches, deciding, anneal
        self._seed = seed
        self.start_B = Trial(setting).losses(deciding)
        self.start = float(self.start_B.mean())
        self.steps = 0
        self._losses_B: dict[tuple[int, float], NDArray[np.float64]] = {}

    def loss(self, rate: float, steps: int) -> float:
        """The mean loss over the deciding batches after a probe; infinity where it blew up."""
        return float(self.losses(rate, steps).mean())

    def losses(self, rate: float, steps: int) -> NDArray[np.float64]:
        """The same, a batch."""
        key = steps, rate
        if key not in self._losses_B:
            self._losses_B[key] = self._train(rate, steps)
        return self._losses_B[key]

    def all(self) -> tuple[Probe, ...]:
        """All that were run, by length and rate."""
        return tuple(Probe(rate, steps, self.loss(rate, steps)) for steps, rate in sorted(self._losses_B))

    def why_not(self, rate: float, steps: int) -> Reason | None:
        """Why the best of the probes is not good enough to be suggested; None where it is.

        Args:
            rate: of the probe with the lowest loss.
            steps: its length.
        """
        losses_P = np.array([probe.loss for probe in self.all()])
        if np.abs(losses_P - self.start).max() <= FLAT * abs(self.start):
            return "flat"
        fall_B = self.start_B - self.losses(rate, steps)
        if fall_B.mean() <= 0:
            harmless = np.abs(losses_P - self.start).min() <= HARMLESS * abs(self.start)
            return "never_falls" if harmless else "diverges_at_once"
        error = fall_B.std(ddof=1) / len(fall_B) ** 0.5
        return "noisy" if fall_B.mean() < SURE * error else None

    def _train(self, rate: float, steps: int) -> NDArray[np.float64]:
        torch.manual_seed(self._seed)
        trial = Trial(self._setting)
        limit = self.start + BLOWN_UP * abs(self.start) + 10 * float(self.start_B.std())
        for step in range(steps):
            self.steps += 1
            loss = trial.step(
                self._batches[step % len(self._batches)], rate * (1 - step / steps if self._anneal else 1)
            )
            if not np.isfinite(loss):
                return np.full(len(self.start_B), np.inf)
        losses_B = trial.losses(self._deciding)
        return losses_B if losses_B.mean() <= limit else np.full(len(self.start_B), np.inf)
