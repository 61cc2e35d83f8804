"""Forward and backward: one batch's gradients, in several parts where the device's memory is too small for one."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import torch

from thalweg.errors import TrainingError


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn

    from thalweg.training.losses import Objective, Targets
    from thalweg.training.probe import Format


class Gradients:
    """Puts the gradients of a batch's mean loss into the parameters.

    Args:
        model: the network.
        objective: the loss.
        number_format: precision of the forward pass.
        told: is called with the photos a part when memory was exhausted and parts became smaller.
    """

    def __init__(self, model: nn.Module, objective: Objective, number_format: Format) -> None:
        self.model, self.objective, self.format = model, objective, number_format
        self.told: Callable[[int], None] = lambda photos: None  # noqa: ARG005 - nobody listens yet

    def __call__(self, images_NCHW: Tensor, targets: Targets, parts: int) -> tuple[Tensor, Tensor, int]:
        """Gradients in `parts` equal parts, and in twice as many when memory is exhausted.

        Batch norms see one part at a time, so their statistics are of fewer photos than a batch has.

        Returns:
            The loss, the logits (N, C), both without gradient, and the parts that it took.

        Raises:
            TrainingError: not even one photo fits into the memory.
        """
        while True:
            try:
                return *self._in_parts(images_NCHW, targets, parts), parts
            except torch.OutOfMemoryError as error:
                if parts >= len(images_NCHW):
                    raise TrainingError("training.out_of_memory", size=images_NCHW.shape[-1]) from error
            # outside of the handler, whose error holds the frames, and they the tensors
            self.model.zero_grad(set_to_none=True)
            gc.collect()
            if images_NCHW.device.type == "cuda":
                torch.cuda.empty_cache()
            parts *= 2
            self.told(-(-len(images_NCHW) // parts))

    def _in_parts(self, images_NCHW: Tensor, targets: Targets, parts: int) -> tuple[Tensor, Tensor]:
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
