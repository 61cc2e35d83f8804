"""One batch of a training: drawn, and taken through the network; what a step needs of it.

`WholeBatch` takes a batch in one piece. `shards.ShardedBatch` cuts it, for trainings on many processes.

Shape suffixes: N photos of a batch, C channels, H height, W width.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import torch

from thalweg.training.losses import Targets


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.data.batches import Batches
    from thalweg.data.mixing import Mixing
    from thalweg.training.progress import State
    from thalweg.training.step import Gradients


class Taken(NamedTuple):
    """What a batch gave, besides the gradients in the parameters; valid until the next batch.

    Attributes:
        loss: the mean loss, a scalar without gradient.
        norm: Euclidean norm of the gradients of all parameters before any clipping, a scalar.
        right: number of photos that the network classified correctly, with all labels, a scalar.
        photos: number of photos.
        are_mixed: whether photos were mixed.
        seconds: time for drawing and making the images.
        rates: photos per second of each process in the step before, while it worked; empty: one process, or unknown.
    """

    loss: Tensor
    norm: Tensor
    right: Tensor
    photos: int
    are_mixed: bool
    seconds: float
    rates: Sequence[float] = ()


class BatchStep(Protocol):
    """Draws a batch and computes its gradients."""

    def __call__(self, state: State, size: int, *, mixes: bool) -> Taken:
        """Take the next batch.

        Args:
            state: says which batch is next; its `micro_batches` may grow.
            size: side of the images, in pixels.
            mixes: whether images may be mixed.
        """
        ...


class WholeBatch:
    """Takes each batch through the network in one piece, or in micro-batches if memory is short.

    Args:
        batches: the batches.
        mixing: mixes their images; None: nothing is mixed.
        gradients: of the network.
        device: of the network.
        seed: of what the network draws in a step.
    """

    def __init__(
        self,
        batches: Batches,
        mixing: Mixing | None,
        gradients: Gradients,
        *,
        device: torch.device,
        seed: int,
    ) -> None:
        self._batches, self._mixing, self._gradients = batches, mixing, gradients
        self._device, self._seed = device, seed

    def __call__(self, state: State, size: int, *, mixes: bool) -> Taken:
        """As in `BatchStep`."""
        began = time.monotonic()
        self._batches.size = size
        images_NCHW, targets = self._batch(state, mixes=mixes)
        seconds = time.monotonic() - began
        torch.manual_seed(self._seed * 1_000_003 + state.step)  # so dropout also depends only on the step
        outcome = self._gradients(images_NCHW, targets, state.micro_batches)
        state.micro_batches = outcome.micro_batches
        right = self._gradients.objective.right(outcome.logits_NC, targets.labels_N)
        return Taken(outcome.loss, outcome.norm, right, len(images_NCHW), targets.are_mixed, seconds)

    def _batch(self, state: State, *, mixes: bool) -> tuple[Tensor, Targets]:
        """Return the next photos and their targets, on the device."""
        images_NCHW, labels_N = self._batches(state.epoch, state.batch)
        targets = Targets(labels_N)
        if self._mixing and mixes:
            permutation_N, lambda_N = self._mixing(images_NCHW, state.epoch, state.batch)
            targets = Targets(labels_N, labels_N[permutation_N], lambda_N)
        return images_NCHW.to(self._device, memory_format=self._gradients.format.memory_format), targets.to(
            self._device
        )
