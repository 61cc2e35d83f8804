"""Frozen weights: whether they are still what torch's initialization drew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn


if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 64  # values that show their distribution
_NEAR_BOUND, _NEAR_SPREAD = 0.9, 0.1  # of a uniform distribution: the largest value, and the standard deviation


def frozen_measures(model: nn.Module) -> dict[str, float]:
    """Measure how much of a network is frozen at random initial weights.

    Torch draws the weights of linear layers and convolutions uniformly from ±1/√n for n inputs of a unit. Trained
    weights leave these bounds.

    Args:
        model: its linear layers and convolutions are read.

    Returns:
        `frozen_at_random`: the share of the model's values, in [0, 1]; nothing if no weight is frozen.

    Example:
        >>> model = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 2))
        >>> _ = model[0].requires_grad_(False)
        >>> frozen_measures(model)
        {'frozen_at_random': 0.8658008658008658}
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)]  # noqa: SLF001
    frozen = [layer.weight for layer in layers if not layer.weight.requires_grad]
    if not frozen:
        return {}
    every = sum(parameter.numel() for parameter in model.parameters())
    return {"frozen_at_random": sum(weight.numel() for weight in frozen if _as_drawn(weight)) / every}


def _as_drawn(weight: Tensor) -> bool:
    """Whether a weight looks like torch's draw."""
    values = weight.detach().float()
    if values.numel() < FEWEST or not bool(values.isfinite().all()):
        return False
    bound = 1 / math.sqrt(values[0].numel())
    largest, spread = float(values.abs().max()), float(values.std()) * math.sqrt(3)
    return _NEAR_BOUND * bound < largest <= bound * (1 + 1e-5) and abs(spread / bound - 1) < _NEAR_SPREAD
