"""A network on a split: its output, loss and accuracy, and, when asked, the features at its taps.

Shape suffixes: N photos, C classes, D features, H height, W width.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from thalweg.models import features
from thalweg.training.losses import loss_of
from thalweg.training.probe import Format


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from torch import Tensor, nn


EXACT = Format("fp32", "channels-last")


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss (nats for cross-entropy), share of the photos that are right, and how many photos there were."""

    loss: float
    accuracy: float
    count: int


def score(logits_NC: Tensor, labels_N: Tensor, loss: str) -> Score:
    """Loss and accuracy of an output; the loss is without label smoothing, so that it compares between trainings.

    Example:
        >>> score(torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1]), "cross-entropy").accuracy
        0.5
    """
    right = int((logits_NC.argmax(dim=1) == labels_N).sum())
    return Score(float(loss_of(loss, logits_NC, labels_N, 0.0)), right / len(labels_N), len(labels_N))


@torch.inference_mode()
def logits_of(model: nn.Module, batches: Iterable[Tensor], *, number_format: Format = EXACT) -> Tensor:
    """The network's output over batches; the model keeps its mode.

    Args:
        model: the network.
        batches: photos, (N, 3, H, W).
        number_format: precision of the forward pass.

    Returns:
        (N, C), fp32, on the CPU.
    """
    with _evaluating(model) as (device, memory_format), number_format.autocast(device):
        outputs = [model(images.to(device, memory_format=memory_format)).float() for images in batches]
        return torch.cat(outputs).cpu()  # once: a GPU is not waited for after every batch


@torch.inference_mode()
def features_of(model: nn.Module, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Output and features at the taps over batches, in fp32 on the CPU; the model keeps its mode.

    Returns:
        `logits` (N, C), `mid` (N, D), `top` (N, D).
    """
    collected: dict[str, list[Tensor]] = {}
    with _evaluating(model) as (device, memory_format):
        for images in batches:
            for name, tensor in features(model, images.to(device, memory_format=memory_format)).items():
                collected.setdefault(name, []).append(tensor.float().cpu())
    return {name: torch.cat(parts) for name, parts in collected.items()}


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[tuple[torch.device, torch.memory_format]]:
    mode = model.training
    weight = next(parameter for parameter in model.parameters())
    kernels = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    last = any(
        kernel.is_contiguous(memory_format=torch.channels_last) and not kernel.is_contiguous() for kernel in kernels
    )
    model.eval()
    try:
        yield weight.device, torch.channels_last if last else torch.contiguous_format
    finally:
        model.train(mode)
