"""Frozen weights: whether they are still what torch's initialization drew."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

from thalweg.diagnosis.measures.initial import torch_bound


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

FEWEST = 64  # values that show their distribution
_NEAR_BOUND, _NEAR_SPREAD = 0.9, 0.1  # of a uniform distribution: the largest value, and the standard deviation


def frozen_measures(model: nn.Module) -> dict[str, float]:
    """Measure how much of a network is frozen at random initial weights.

    Torch draws the weights of layers from the uniform distributions of `measures.initial`, and embeddings from the
    standard normal one. Trained weights leave these distributions.

    Args:
        model: its linear, recurrent and embedding layers and its convolutions are read.

    Returns:
        `frozen_at_random`: the share of the model's values, in [0, 1]; nothing if no weight is frozen.

    Example:
        >>> model = nn.Sequential(nn.Linear(20, 20), nn.Linear(20, 2))
        >>> _ = model[0].requires_grad_(False)
        >>> frozen_measures(model)
        {'frozen_at_random': 0.8658008658008658}
    """
    drawn = [weight for module in model.modules() for weight, bound in _weights(module) if _as_drawn(weight, bound)]
    every = list(model.parameters())
    if all(parameter.requires_grad for parameter in every):
        return {}
    return {"frozen_at_random": sum(weight.numel() for weight in drawn) / sum(one.numel() for one in every)}


def _weights(module: nn.Module) -> Iterator[tuple[Tensor, float]]:
    """The frozen weights of a layer, each with the bound of its draw; infinite for a normal distribution."""
    bound = torch_bound(module)
    if bound is not None:
        every = isinstance(module, nn.RNNBase)  # its biases are drawn as its weights are
        found = [(one, bound) for name, one in module.named_parameters(recurse=False) if every or name == "weight"]
    elif isinstance(module, nn.Embedding):
        found = [(module.weight, math.inf)]
    else:
        found = []
    yield from ((weight, bound) for weight, bound in found if not weight.requires_grad)


def _as_drawn(weight: Tensor, bound: float) -> bool:
    """Whether a weight looks like torch's draw."""
    values = weight.detach().float()
    if values.numel() < FEWEST or not bool(values.isfinite().all()):
        return False
    largest, spread = float(values.abs().max()), float(values.std())
    if math.isinf(bound):
        kurtosis = float((values - values.mean()).pow(4).mean()) / max(spread, 1e-12) ** 4
        error = 3 / math.sqrt(2 * values.numel())  # three standard errors of the deviation
        return abs(spread - 1) < error and abs(float(values.mean())) < 2 * error and abs(kurtosis - 3) < 1
    return _NEAR_BOUND * bound < largest <= bound * (1 + 1e-5) and abs(spread * math.sqrt(3) / bound - 1) < _NEAR_SPREAD
