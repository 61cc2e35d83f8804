"""Rehearsals of a training: in memory, on a part of its training split; the photos that were left out judge them.

The validation split takes no part, so a choice between rehearsals leaks nothing into the run's results.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from thalweg.models import logits_of
from thalweg.runs.probabilities import fitted_temperature, softmax
from thalweg.training.loop import TrainingLoop
from thalweg.training.parts import parts_of
from thalweg.training.progress import Clock
from thalweg.training.record import Meter


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.runs import SettledConfig
    from thalweg.training.prepare import Preparation

_LEAST = 1e-30  # likelihood: a loss is finite


class Outcome(NamedTuple):
    """The outputs of a rehearsal on the photos that it left out.

    Attributes:
        losses_N: cross-entropy of each photo, in nats, after one temperature is fitted to all: so confidence does not
            count, as it does not in a run's probabilities. Infinity if the training blew up.
        right_N: whether each photo is classified correctly.
    """

    losses_N: NDArray[np.float64]
    right_N: NDArray[np.bool_]


class Rehearsals:
    """Trains a prepared run at different rates, as the run would be trained, and writes nothing.

    Args:
        prepared: photos, format and configuration.
        like: another training on the same photos from the same weights, whose photos and features are used; None: none.

    Attributes:
        parts: for each part that can be left out, its positions in the training split.
    """

    def __init__(self, prepared: Preparation, like: TrainingLoop | None = None) -> None:
        self._run, self._cache, self._initial = prepared.run, prepared.cache, prepared.initial
        self._labels = self._cache.labels("train")
        self._like = like or TrainingLoop(self._run, self._cache, initial=self._initial)
        self.parts = parts_of(self._labels, self._run.config.seed)

    def guessing(self, part: int) -> NDArray[np.float64]:
        """Return the loss of each photo of a part if only the frequencies of the classes are known, in nats."""
        shares_C = np.bincount(self._labels) / len(self._labels)
        return -np.log(shares_C[self._labels[self.parts[part]]])

    def __call__(self, rate: float, steps: int, part: int, *, of: int) -> Outcome:
        """Train at a rate without one part, and evaluate on that part.

        Args:
            rate: the learning rate.
            steps: of the rehearsal; schedule, growing photos and mixing are compressed to it.
            part: the part that is left out.
            of: steps of the real training.
        """
        logits_NC = self._outputs(rate, steps, part, of)
        labels_N = self._labels[self.parts[part]]
        if logits_NC is None:
            return Outcome(np.full(len(labels_N), math.inf), np.zeros(len(labels_N), dtype=bool))
        probabilities_NC = softmax(logits_NC, fitted_temperature(logits_NC, labels_N))
        likelihoods_N = probabilities_NC[np.arange(len(labels_N)), labels_N]
        return Outcome(-np.log(np.maximum(likelihoods_N, _LEAST)), logits_NC.argmax(axis=1) == labels_N)

    def _outputs(self, rate: float, steps: int, part: int, of: int) -> NDArray[np.float64] | None:
        """Return the logits of the part that was left out, (N, C); None if the training blew up."""
        loop = self._loop(rate, steps, part, of)
        state = loop.state
        loop.model.train()
        while state.step < steps:
            loop.step()
            if state.batch == len(loop.batches):
                state.epoch, state.batch = state.epoch + 1, 0
            if (loop.meter.due or state.step == steps) and not _finite(loop):
                return None
        with loop.at_evaluation_weights():
            logits_NC = logits_of(loop.evaluated, loop.plain_batches("valid"))
        return logits_NC.double().numpy() if bool(torch.isfinite(logits_NC).all()) else None

    def _loop(self, rate: float, steps: int, part: int, of: int) -> TrainingLoop:
        config = _compressed(self._run.config, rate, steps, of)
        config = replace(config, seed=(config.seed + part) % 2**32)
        rows = self._cache.rows("train")[self.parts[part]]
        photos = list(self._cache.photos)
        for row in self._cache.rows("valid"):
            photos[row] = replace(photos[row], split="test")
        for row in rows:
            photos[row] = replace(photos[row], split="valid")
        loop = TrainingLoop(
            replace(self._run, config=config),
            replace(self._cache, photos=tuple(photos)),
            like=self._like,
            initial=self._initial,
        )
        loop.clock = Clock(config, steps, seconds_before=0.0, first_step_at=0.0)
        loop.meter = Meter(loop.device)
        if config.fit_head:
            loop.fit_head()
        return loop


def _compressed(config: SettledConfig, rate: float, steps: int, of: int) -> SettledConfig:
    """Return the configuration of one epoch of `steps` steps at a rate; with fewer steps, an average forgets faster."""
    return replace(config, lr=rate, epochs=1, budget=None, ema=config.ema ** max(1.0, of / steps))


def _finite(loop: TrainingLoop) -> bool:
    loop.layers.read()  # or its rows would gather
    return all(math.isfinite(one.loss) and math.isfinite(one.gradient_norm) for one in loop.meter.read())
