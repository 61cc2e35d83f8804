"""Forward and backward: one batch's gradients, in several parts where the device's memory is too small for one.

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
    from thalweg.training.probe import Format


class Outcome(NamedTuple):
    """What a batch gave beside its gradients; valid until the next batch.

    Attributes:
        loss: the mean, a scalar without gradient.
        norm: Euclidean, of the gradients of all parameters before any clipping; a scalar.
        logits_NC: the output, without gradient.
        parts: equal parts that the batch was taken in.
    """

    loss: Tensor
    norm: Tensor
    logits_NC: Tensor
    parts: int


class Gradients:
    """Puts the gradients of a batch's mean loss into the parameters, in place of what is there.

    On a GPU the kernels of a whole batch are recorded once and then repeated: see `Replay`.

    Args:
        model: the network.
        objective: the loss.
        number_format: precision of the forward pass.
        clip: largest norm of the gradients, longer ones are shortened to it; None: no clipping.

    Attributes:
        told: is called with the photos a part when memory was exhausted and parts became smaller.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, number_format: Format, *, clip: float | None = None
    ) -> None:
        self.model, self.objective, self.format, self.clip = model, objective, number_format, clip
        self.told: Callable[[int], None] = lambda photos: None  # noqa: ARG005 - nobody listens yet
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._replay = Replay()

    def __call__(self, images_NCHW: Tensor, targets: Targets, parts: int) -> Outcome:
        """Gradients in `parts` equal parts, and in twice as many when memory is exhausted, also without recordings.

        Batch norms see one part at a time, so their statistics are of fewer photos than a batch has.

        Raises:
            TrainingError: not even one photo fits into the memory.
        """
        while True:
            try:
                if parts == 1:
                    return self._replayed(images_NCHW, targets)
                loss, logits_NC = self._in_parts(images_NCHW, targets, parts)
                return Outcome(loss, self._clipped_norm(), logits_NC, parts)
            except torch.OutOfMemoryError as error:
                if parts >= len(images_NCHW):
                    raise TrainingError("training.out_of_memory", size=images_NCHW.shape[-1]) from error
            # outside of the handler, whose error holds the frames, and they the tensors
            gc.collect()
            forgotten = self._replay.forget()  # of smaller photos perhaps, before they grew: each has its own memory
            if images_NCHW.device.type == "cuda":
                torch.cuda.empty_cache()
            if forgotten:
                continue
            parts *= 2
            self.told(-(-len(images_NCHW) // parts))

    def _replayed(self, images_NCHW: Tensor, targets: Targets) -> Outcome:
        loss, norm, logits_NC, *gradients = self._replay(self._whole, images_NCHW, *targets)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        return Outcome(loss, norm, logits_NC, 1)

    def _whole(
        self, images_NCHW: Tensor, labels_N: Tensor, others_N: Tensor | None, lambda_N: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        loss, logits_NC = self._in_parts(images_NCHW, Targets(labels_N, others_N, lambda_N), 1)
        return loss, self._clipped_norm(), logits_NC, *(parameter.grad for parameter in self._parameters)

    def _clipped_norm(self) -> Tensor:
        """The norm of all gradients; then they are no longer than `clip`."""
        if self.clip is not None:
            return clip_grad_norm_(self._parameters, self.clip)
        return get_total_norm([parameter.grad for parameter in self._parameters if parameter.grad is not None])

    def _in_parts(self, images_NCHW: Tensor, targets: Targets, parts: int) -> tuple[Tensor, Tensor]:
        self.model.zero_grad(set_to_none=True)  # also of what exhausted memory, or a recording that failed, has left
        count = len(images_NCHW)
        each = -(-count // parts)
        losses, logits = [], []
        for start in range(0, count, each):
            rows = slice(start, start + each)
            with self.format.autocast(images_NCHW.device):
                logits_NC = self.model(images_NCHW[rows])
            loss = self.objective(logits_NC, targets.part(rows)) * (len(logits_NC) / count)
            loss.backward()
            losses.append(loss.detach())
            logits.append(logits_NC.detach())
        return (losses[0], logits[0]) if len(losses) == 1 else (torch.stack(losses).sum(), torch.cat(logits))
