"""Forward and backward: the gradients of one batch, in micro-batches if memory is too small for the whole.

Shape suffixes: N photos, C channels or classes, H height, W width.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.utils import clip_grad_norm_, get_total_norm

from thalweg._replay import Replay
from thalweg.errors import TrainingError
from thalweg.training.losses import Targets


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from thalweg.training.losses import Objective
    from thalweg.training.number_format import Format


class Outcome(NamedTuple):
    """The results of a batch besides its gradients; valid until the next batch.

    Attributes:
        loss: the mean loss, a scalar without gradient.
        norm: Euclidean norm of the gradients of all parameters before any clipping, a scalar.
        logits_NC: the output, without gradient.
        micro_batches: the number of micro-batches in the batch.
    """

    loss: Tensor
    norm: Tensor
    logits_NC: Tensor
    micro_batches: int


class Gradients:
    """Computes the gradients of a batch's mean loss.

    On a GPU the kernels of a whole batch are recorded once and then replayed: see `Replay`.

    Args:
        model: the network.
        objective: the loss.
        number_format: precision of the forward pass.
        clip_grad_norm: largest gradient norm; longer gradients are scaled down to it. None: no clipping.

    Attributes:
        on_smaller: called with the photos per micro-batch each time memory runs out and micro-batches shrink.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, number_format: Format, *, clip_grad_norm: float | None = None
    ) -> None:
        self.model, self.objective, self.format = model, objective, number_format
        self.clip_grad_norm = clip_grad_norm
        self.on_smaller: Callable[[int], None] = lambda photos: None  # noqa: ARG005 - nobody listens yet
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._replay = Replay()

    def __call__(self, images_NCHW: Tensor, targets: Targets, micro_batches: int) -> Outcome:
        """Compute the gradients in equal micro-batches, doubling their number each time memory runs out.

        Batch norms see one micro-batch at a time, so their statistics cover fewer photos than the batch.

        Raises:
            TrainingError: not even one photo fits in memory.
        """
        while True:
            try:
                if micro_batches == 1:
                    return self._replayed(images_NCHW, targets)
                loss, logits_NC = self._accumulated(images_NCHW, targets, micro_batches)
                return Outcome(loss, self.clipped_norm(), logits_NC, micro_batches)
            except torch.OutOfMemoryError as error:
                if micro_batches >= len(images_NCHW):
                    raise TrainingError("training.out_of_memory", size=images_NCHW.shape[-1]) from error
            # outside the handler, whose error holds the frames, which hold the tensors
            gc.collect()
            forgotten = self._replay.forget()  # recordings for smaller photos hold memory, too
            if images_NCHW.device.type == "cuda":
                torch.cuda.empty_cache()
            if forgotten:
                continue
            micro_batches *= 2
            self.on_smaller(-(-len(images_NCHW) // micro_batches))

    def _replayed(self, images_NCHW: Tensor, targets: Targets) -> Outcome:
        loss, norm, logits_NC, *gradients = self._replay(self._whole, images_NCHW, *targets)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return Outcome(loss, norm, logits_NC, 1)

    def _whole(
        self, images_NCHW: Tensor, labels_N: Tensor, others_N: Tensor | None, lambda_N: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        loss, logits_NC = self._accumulated(images_NCHW, Targets(labels_N, others_N, lambda_N), 1)
        return loss, self.clipped_norm(), logits_NC, *(parameter.grad for parameter in self._parameters)

    def clipped_norm(self) -> Tensor:
        """Clip the gradients and return their norm before clipping."""
        if self.clip_grad_norm is not None:
            return clip_grad_norm_(self._parameters, self.clip_grad_norm)
        return get_total_norm([parameter.grad for parameter in self._parameters if parameter.grad is not None])

    def _accumulated(self, images_NCHW: Tensor, targets: Targets, micro_batches: int) -> tuple[Tensor, Tensor]:
        self.model.zero_grad(set_to_none=True)  # also removes the gradients of a failed attempt
        count = len(images_NCHW)
        each = -(-count // micro_batches)
        losses, logits = [], []
        for start in range(0, count, each):
            rows = slice(start, start + each)
            with self.format.autocast(images_NCHW.device):
                logits_NC = self.model(images_NCHW[rows])
            loss = self.objective(logits_NC, targets.rows(rows)) * (len(logits_NC) / count)
            loss.backward()
            losses.append(loss.detach())
            logits.append(logits_NC.detach())
        return (losses[0], logits[0]) if len(losses) == 1 else (torch.stack(losses).sum(), torch.cat(logits))
