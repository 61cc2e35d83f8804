"""The pull of a penalty that the loss function adds to the weights by itself, as `+ k * sum((p ** 2).sum() …)` does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy


def penalty_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the gradient that reaches the weights without passing the outputs, relative to the one through them.

    Args:
        copied: the model and its loss.
        batch: for one pass.

    Returns:
        `penalty_to_gradient`: `|g_p| / |g - g_p|`, where `g` is the gradient of the loss, and `g_p` that of the loss
        of the same outputs cut off from the network; at 1 the two cancel. Nothing for a loss of the outputs alone.

    Example:
        >>> from functools import partial
        >>> from torch import nn
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> model = nn.Linear(2, 1)
        >>> squared = lambda outputs, targets, model: (outputs - targets).square().mean() + model.weight.square().sum()
        >>> loss_fn = partial(squared, model=model)
        >>> copied = Copy.of(model, torch.optim.SGD(model.parameters(), lr=0.1), loss_fn)
        >>> list(penalty_measures(copied, Batch(torch.ones(4, 2), torch.ones(4, 1))))
        ['penalty_to_gradient']
    """
    parameters = [parameter for parameter in copied.model.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        outputs = batch.outputs(copied.model)
        if not parameters or not isinstance(outputs, torch.Tensor) or not outputs.requires_grad:
            return {}
        apart = copied.loss_fn(outputs.detach(), batch.targets)
        if not apart.requires_grad:
            return {}
        through = copied.loss_fn(outputs, batch.targets)
    penalty = torch.autograd.grad(apart, parameters, allow_unused=True)
    whole = torch.autograd.grad(through, parameters, allow_unused=True)
    rest = [_less(total, part) for total, part in zip(whole, penalty, strict=True)]
    pulls, learns = _norm(penalty), _norm(rest)
    return {"penalty_to_gradient": pulls / learns if learns else math.inf} if pulls else {}


def _less(total: Tensor | None, part: Tensor | None) -> Tensor | None:
    return total if part is None or total is None else total - part


def _norm(gradients: Sequence[Tensor | None]) -> float:
    squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
    return float(torch.stack(squares).sum().sqrt()) if squares else 0.0
