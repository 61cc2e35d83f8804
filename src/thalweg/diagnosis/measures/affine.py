"""Whether a network is affine in its inputs: one layer, or several without an activation, which compute what one can.

Shape suffixes: N samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.diagnosis.measures.head import head_of


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

_LAYERS = (nn.Linear, nn.modules.conv._ConvNd)  # noqa: SLF001 - the base of all convolutions
_CLOSE = 1e-3  # of the outputs' spread


def affine_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure whether all layers together are affine: `f(a) + f(b) = f(a + b) + f(0)`.

    Args:
        copied: gets new weights, for trained ones may have died or shrunk until nothing bends, and evaluation mode. A
            softmax or a sigmoid at its end is undone.
        batch: whose inputs are one tensor of real numbers; else nothing is measured.

    Returns:
        `affine`, 0 or 1, of two linear layers or convolutions or more; of a single one, `one_layer`; of none, nothing.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def affine(*layers):
        ...     model = nn.Sequential(*layers)
        ...     copied = Copy.of(model, torch.optim.SGD(model.parameters()), nn.MSELoss())
        ...     return affine_measures(copied, Batch(torch.randn(8, 3), torch.zeros(8)))
        >>> affine(nn.Linear(3, 4), nn.Linear(4, 2)), affine(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        ({'affine': 1.0}, {'affine': 0.0})
    """
    model, inputs = copied.model, batch.inputs
    layers = [module for module in model.modules() if isinstance(module, _LAYERS)]
    if not layers or not isinstance(inputs, torch.Tensor) or not inputs.is_floating_point():
        return {}
    copied.restart()
    model.eval()
    first, second = inputs, inputs.flip(0).roll(1, 0)
    whole, other, both, none = (_before_head(model, x) for x in (first, second, first + second, 0 * first))
    if whole is None or other is None or both is None or none is None:
        return {}
    spread = float((whole - none).abs().max())
    off = float((whole + other - both - none).abs().max())
    name = "affine" if len(layers) > 1 else "one_layer"
    return {name: float(spread > 0 and off < _CLOSE * spread)} if spread == spread else {}  # noqa: PLR0124 - NaN


def _before_head(model: nn.Module, inputs: Tensor) -> Tensor | None:
    """The outputs for some inputs, before a softmax or a sigmoid."""
    with torch.enable_grad():
        outputs = model(inputs)
    if not isinstance(outputs, torch.Tensor):
        return None
    head, outputs = head_of(outputs), outputs.detach().double()
    if head == "sigmoid":
        return outputs.logit()
    if head == "softmax":
        outputs = outputs.log()
    if head in ("softmax", "log_softmax") and outputs.ndim > 1:
        return outputs - outputs.mean(dim=1, keepdim=True)
    return outputs
