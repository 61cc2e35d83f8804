"""Copies of a model and its optimizer to ask questions of, so that the user's own are not touched."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch


if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

Batch = tuple[Any, Any]
LossFunction = Callable[[Any, Any], "Tensor"]


@dataclass(frozen=True, slots=True)
class Twin:
    """A model and its optimizer, copied together, so that the copy of one trains the copy of the other."""

    model: nn.Module
    optimizer: Optimizer

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer) -> Twin:
        """Copy weights, buffers, mode and the optimizer's state; the copies share nothing with the originals."""
        model, optimizer = copy.deepcopy((model, optimizer))
        optimizer.zero_grad(set_to_none=True)
        return cls(model, optimizer)


def call(model: nn.Module, inputs: Any) -> Any:
    """The model's output: inputs may be a tensor, a tuple or list of arguments, or a mapping of keywords."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, Sequence):
        return model(*inputs)
    return model(inputs)


def mean_loss(model: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch]) -> float:
    """The loss over batches, without gradient, each weighed by its size; the mode is left as it is."""
    sizes = [size_of(batch) for batch in batches]
    with torch.no_grad():
        losses = [float(loss_fn(call(model, inputs), targets)) for inputs, targets in batches]
    return sum(loss * size for loss, size in zip(losses, sizes, strict=True)) / sum(sizes)


def size_of(batch: Batch) -> int:
    """How many samples a batch has: the length of the first tensor in its targets, else in its inputs."""
    for part in (batch[1], batch[0]):
        tensor = first_tensor(part)
        if tensor is not None and tensor.ndim:
            return len(tensor)
    return 1


def first_tensor(part: Any) -> Tensor | None:
    """The first tensor in a tensor, a sequence or a mapping."""
    if isinstance(part, torch.Tensor):
        return part
    values = part.values() if isinstance(part, Mapping) else part if isinstance(part, Sequence) else ()
    return next((value for value in values if isinstance(value, torch.Tensor)), None)
