"""How far back a recurrent network sees: the gradient of the loss at each position of its input sequence."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction

SHORTEST = 8


def sequence_measures(model: nn.Module, loss_fn: LossFunction, batch: Batch) -> dict[str, float]:
    """Compare the gradients at the quarters of a sequence.

    Args:
        model: only a copy of it runs; its first recurrent module is looked at.
        loss_fn: of (outputs, targets), a scalar tensor.
        batch: of inputs and targets.

    Returns:
        `sequence_gradient`: the smallest gradient norm of a quarter, relative to the largest; nothing without a
        recurrent module or for sequences of fewer than eight positions.

    Source: Bengio, Simard and Frasconi 1994, Learning long-term dependencies with gradient descent is difficult,
    https://doi.org/10.1109/72.279181.
    """
    twin = copy.deepcopy(model)
    recurrent = next((module for module in twin.modules() if isinstance(module, nn.RNNBase)), None)
    if recurrent is None:
        return {}
    seen: list[Tensor] = []

    def keep(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if seen or not isinstance(given[0], torch.Tensor) or given[0].ndim != 3:
            return None
        seen.append(given[0].detach().requires_grad_())
        return (seen[0], *given[1:])

    recurrent.register_forward_pre_hook(keep)
    with own_randomness(0), torch.enable_grad():
        loss = batch.loss(twin, loss_fn)
        if not seen or not loss.requires_grad:
            return {}
        (gradient,) = torch.autograd.grad(loss, seen, allow_unused=True)
    if gradient is None:
        return {}
    time = 1 if recurrent.batch_first else 0
    if gradient.shape[time] < SHORTEST:
        return {}
    quarters = [float(part.norm()) for part in gradient.float().tensor_split(4, dim=time)]
    return {"sequence_gradient": min(quarters) / max(quarters)} if max(quarters) > 0 else {}
