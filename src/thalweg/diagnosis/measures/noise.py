"""How much of a gradient is noise."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.twins import size_of
from thalweg.diagnosis.randomness import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from thalweg.diagnosis.measures.twins import Batch, LossFunction


def noise_of(model: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch], *, parts: int = 4) -> dict[str, float]:
    """Gradient of the batches, and how much of it is noise, from the gradients of parts of the first batch.

    With g_k the gradients of K equal parts of b samples, G their mean and s² their mean squared distance to it, the
    noise of one sample is `tr Σ ≈ b s² K/(K-1)` and the gradient `|G|² - s²/(K-1)`; the simple noise scale is their
    ratio, in samples: batches smaller than that are mostly noise.

    Source: McCandlish et al. 2018, https://arxiv.org/abs/1812.06162.
    """
    twin = copy.deepcopy(model)
    parameters = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    inputs, targets = batches[0]
    count = size_of(batches[0])
    if not parameters or not isinstance(inputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        return {}
    parts = min(parts, count)
    if parts < 2:
        return {}
    for module in twin.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - its parts are no samples
            module.eval()
    size = count // parts
    gradients: list[Tensor] = []
    matrices: list[float] = []
    with own_randomness(0), torch.enable_grad():
        for part in range(parts):
            chosen = slice(part * size, (part + 1) * size)
            loss = loss_fn(twin(inputs[chosen]), targets[chosen])
            if not loss.requires_grad:
                return {}
            made = torch.autograd.grad(loss, parameters, allow_unused=True)
            gradients.append(torch.cat([g.reshape(-1).float() for g in made if g is not None]))
            matrices.append(sum(float(g.square().sum()) for g in made if g is not None and g.ndim > 1))
    stacked_KP = torch.stack(gradients)
    mean_P = stacked_KP.mean(dim=0)
    spread = float((stacked_KP - mean_P).square().sum(dim=1).mean())
    signal = float(mean_P.square().sum()) - spread / (parts - 1)
    noise = size * spread * parts / (parts - 1)
    return {
        "gradient_batch": float(mean_P.norm()),
        "matrix_gradient": math.sqrt(sum(matrices) / max(float(stacked_KP.square().sum()), 1e-30)),
        "noise_scale": noise / signal if signal > 0 else math.inf,
        "batch_size": float(count),
    }
