"""The scale of the weights that a training started from, relative to what torch draws.

Torch draws the weights of linear layers and convolutions uniformly from ±1/√n for n inputs of a unit, and those of
recurrent layers from ±1/√n for n units. The usual initializations lie near: He's has 2.4 times the deviation of torch's
draw, Xavier's for equal widths 1.7 times. Weights of the standard normal distribution have √(3n) times.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING

from torch import nn


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

FEWEST = 16  # values of a tensor that show its deviation


def initial_measures(model: nn.Module, start: Mapping[str, Tensor]) -> dict[str, float]:
    """Measure the scale of the first weights.

    Args:
        model: whose linear layers, convolutions and recurrent layers are looked up.
        start: the weights that the training started from, by name.

    Returns:
        `initial_scale`: the median, over the weight matrices and kernels, of their root mean square relative to that
        of torch's draw; nothing if no such weight is known.

    Example:
        >>> layer = nn.Linear(300, 100)
        >>> round(initial_measures(layer, layer.state_dict())["initial_scale"], 1)
        1.0
    """
    scales = [
        float(start[name].float().square().mean().sqrt()) * math.sqrt(3) / bound
        for name, bound in _matrices(model)
        if name in start and start[name].numel() >= FEWEST
    ]
    return {"initial_scale": median(scales)} if scales and all(map(math.isfinite, scales)) else {}


def torch_bound(module: nn.Module) -> float | None:
    """The bound of torch's uniform draw of a layer's weights; None for another kind of layer."""
    if isinstance(module, nn.Linear | nn.modules.conv._ConvNd):  # noqa: SLF001 - the base of all convolutions
        return 1 / math.sqrt(module.weight[0].numel())
    return 1 / math.sqrt(module.hidden_size) if isinstance(module, nn.RNNBase) else None


def _matrices(model: nn.Module) -> Iterator[tuple[str, float]]:
    for name, module in model.named_modules():
        bound = torch_bound(module)
        if bound is not None:
            for own, parameter in module.named_parameters(recurse=False):
                if parameter.ndim > 1:
                    yield f"{name}.{own}".lstrip("."), bound
