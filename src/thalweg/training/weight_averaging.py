"""The moving average of the weights, and batch-norm statistics for averaged weights."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from thalweg.models import is_held
from thalweg.training.lanes import Lanes
from thalweg.training.sharing import dealt


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
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
        lanes: threads that move it side by side; None: the caller's alone.

    Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; the warm-up is TensorFlow's.
    """

    def __init__(self, model: nn.Module, twin: nn.Module, decay: float, lanes: Lanes | None = None) -> None:
        twin.load_state_dict(model.state_dict())
        self.twin, self.decay = twin.eval().requires_grad_(requires_grad=False), decay
        self._lanes = lanes or Lanes(1)
        pairs, self._counters = _pairs(twin, model)
        dealt_out = dealt([average.numel() for average, _ in pairs], self._lanes.count)
        self._pairs = [[pairs[place] for place in places] for places in dealt_out if places]

    def restart(self, model: nn.Module) -> None:
        """Start again from the current weights of the model."""
        self.twin.load_state_dict(model.state_dict())

    def update(self, step: int) -> None:
        """Move the average toward the current weights after `step` steps, counted from 1."""
        decay = min(self.decay, (1 + step) / (10 + step))
        list(self._lanes.map(lambda _, pairs: _move(pairs, 1 - decay), self._pairs))
        for counter, count in self._counters:
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


@torch.no_grad()
def _move(pairs: Sequence[tuple[Tensor, Tensor]], share: float) -> None:
    """Move each average by a share of the way to its value."""
    averages, values = zip(*pairs, strict=True)
    torch._foreach_lerp_(averages, values, share)  # pyright: ignore[reportPrivateImportUsage] - as torch's own


def _pairs(twin: nn.Module, model: nn.Module) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor]]]:
    """Return the averages with the values they follow, and the counters with the values they copy."""
    theirs = model.state_dict(keep_vars=True)  # weights may move to other memory
    pairs = [(ours, theirs[name]) for name, ours in twin.state_dict().items()]
    return [pair for pair in pairs if pair[0].is_floating_point()], [
        pair for pair in pairs if not pair[0].is_floating_point()
    ]
