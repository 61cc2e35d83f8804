"""The moving average of the weights, and batch-norm statistics for averaged weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.models import is_held


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor, nn
    from torch.optim import Optimizer


class Average:
    """An exponential moving average of a network: `a ← a + (1 - d)·(θ - a)`, with `d = min(decay, (1 + t)/(10 + t))`.

    The decay is warmed up, so that the first, poor weights are soon forgotten. Batch-norm statistics are averaged as
    well; counters are copied.

    Args:
        model: the network in training.
        twin: another network of the same architecture and layout; it becomes the average.
        decay: in [0, 1).

    Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; the warm-up is TensorFlow's.
    """

    def __init__(self, model: nn.Module, twin: nn.Module, decay: float) -> None:
        twin.load_state_dict(model.state_dict())
        self.twin, self.decay = twin.eval().requires_grad_(requires_grad=False), decay
        self._pairs = _pairs(twin, model)

    def restart(self, model: nn.Module) -> None:
        """Start again from the current weights of the model."""
        self.twin.load_state_dict(model.state_dict())

    def update(self, step: int) -> None:
        """Move the average toward the current weights after `step` steps, counted from 1."""
        averages, values, counters, counts = self._pairs
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(averages, values, 1 - decay)  # pyright: ignore[reportPrivateImportUsage] - as torch's own
        for counter, count in zip(counters, counts, strict=True):
            counter.copy_(count)


@contextmanager
def at_average(
    optimizer: Optimizer, model: nn.Module, batches: Iterable[Tensor], autocast: AbstractContextManager[Any]
) -> Iterator[None]:
    """Use the evaluation weights of an optimizer that has its own average, with batch-norm statistics to match.

    Args:
        optimizer: nothing happens if it has no `eval`.
        model: the network.
        batches: training batches, augmented as in training.
        autocast: number format of the forward passes.
    """
    if not hasattr(optimizer, "eval"):
        yield
        return
    try:
        optimizer.eval()  # type: ignore[attr-defined] - as schedule-free optimizers have it
        with autocast:
            estimate_norms(model, batches)
        yield
    finally:
        optimizer.train()  # type: ignore[attr-defined] - the same


@torch.no_grad()
def estimate_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics of batch norms to their mean over some batches; nothing else changes.

    Args:
        model: the network; nothing happens if it has no batch norms, or only frozen ones.
        batches: training batches, augmented as in training.

    Source: Izmailov et al. 2018 (SWA), section 3.2, https://arxiv.org/abs/1803.05407.
    """
    every = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    norms = [norm for norm in every if not is_held(norm)]
    if not norms:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # in torch, this means the mean over all batches
    try:
        for images_NCHW in batches:
            model(images_NCHW)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode


def _pairs(twin: nn.Module, model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """Return the averages and the values they follow, then the counters and the values they copy."""
    theirs = model.state_dict()
    floats = [(ours, theirs[name]) for name, ours in twin.state_dict().items() if ours.is_floating_point()]
    others = [(ours, theirs[name]) for name, ours in twin.state_dict().items() if not ours.is_floating_point()]
    return [a for a, _ in floats], [v for _, v in floats], [a for a, _ in others], [v for _, v in others]
