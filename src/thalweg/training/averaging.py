"""The moving average of a training's weights, which is smoother than the weights are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from torch import Tensor, nn


class Average:
    """An exponential moving average of a network: `a ← a + (1 - d)·(θ - a)`, with `d = min(decay, (1 + t)/(10 + t))`.

    The decay is warmed up, so that the first steps, which are far from any goal, are soon forgotten. The statistics
    of batch norms are averaged alike, counters are copied.

    Args:
        model: the network in training.
        twin: another network of the same make and layout; it becomes the average.
        decay: in [0, 1).

    Source: Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; the warm-up is TensorFlow's.
    """

    def __init__(self, model: nn.Module, twin: nn.Module, decay: float) -> None:
        twin.load_state_dict(model.state_dict())
        self.twin, self.decay = twin.eval().requires_grad_(requires_grad=False), decay
        self._pairs = _pairs(twin, model)

    def update(self, step: int) -> None:
        """Move toward the present weights, after `step` steps (the first is 1)."""
        averages, values, counters, counts = self._pairs
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(averages, values, 1 - decay)  # pyright: ignore[reportPrivateImportUsage] - as torch's own
        for counter, count in zip(counters, counts, strict=True):
            counter.copy_(count)


def _pairs(twin: nn.Module, model: nn.Module) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
    """What is averaged and what it follows; then what is counted and what it follows."""
    theirs = model.state_dict()
    floats = [(ours, theirs[name]) for name, ours in twin.state_dict().items() if ours.is_floating_point()]
    others = [(ours, theirs[name]) for name, ours in twin.state_dict().items() if not ours.is_floating_point()]
    return [a for a, _ in floats], [v for _, v in floats], [a for a, _ in others], [v for _, v in others]
