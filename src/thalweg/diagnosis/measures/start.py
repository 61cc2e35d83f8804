"""The start of a training: units that began as copies of one another, and weights that get no gradient at all.

Gradient descent keeps a symmetry, and stays at a saddle point, but for rounding, dropout and noise. Those may hide
what the weights began as, and the training has lost the steps that they took.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from thalweg.diagnosis.measures.symmetry import symmetry_of
from thalweg.probes.batches import unwrapped


if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

MOST_KEPT = 64 << 20  # bytes of weights that are kept from the start


def weights_to_keep(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights and buffers, so that fixes can be tried from the start; nothing for a large model."""
    inner = unwrapped(model)
    if any(is_lazy(parameter) for parameter in inner.parameters()):
        return {}
    state = {name: value for name, value in inner.state_dict().items() if isinstance(value, torch.Tensor)}
    if sum(value.numel() * value.element_size() for value in state.values()) > MOST_KEPT:
        return {}
    return {name: value.detach().clone() for name, value in state.items()}


def start_measures(copied: Copy, start: Mapping[str, Tensor], batch: Batch) -> dict[str, float]:
    """Measure the weights that a training started from.

    Args:
        copied: gets these weights.
        start: weights and buffers by name; empty, or with other shapes: nothing is measured.
        batch: for one pass forward and back.

    Returns:
        `twin_units_first`, as `twin_units` of `symmetry_of`, of layers whose weights are not all zero, and
        `matrix_gradient_first`: the norm of the gradient of all matrices, as a share of the whole gradient's, where
        embeddings of one number are offsets and no matrices; nothing for a network with a single matrix, for which
        zero is as good a start as any.
    """
    if not rewound(copied, start):
        return {}
    model = copied.model
    found = {f"{name}_first": value for name, value in symmetry_of(model, zeros=False).items()}
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    offsets = {
        id(module.weight)
        for module in model.modules()
        if isinstance(module, nn.Embedding) and module.embedding_dim == 1
    }
    matrices = {id(parameter) for parameter in parameters if parameter.ndim > 1} - offsets
    if len(matrices) < 2:
        return found
    with torch.enable_grad():
        loss = batch.loss(model, copied.loss_fn)
        if not loss.requires_grad:
            return found
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    squares = [
        (id(parameter) in matrices, float(gradient.detach().to_dense().float().square().sum()))
        for parameter, gradient in zip(parameters, gradients, strict=True)
        if gradient is not None
    ]
    whole = math.sqrt(sum(square for _, square in squares))
    of_matrices = math.sqrt(sum(square for is_matrix, square in squares if is_matrix))
    if math.isfinite(whole) and any(is_matrix for is_matrix, _ in squares):
        found["matrix_gradient_first"] = of_matrices / whole if whole > 0 else 0.0
    return found


def rewound(copied: Copy, start: Mapping[str, Tensor]) -> bool:
    """Give a copy the weights of the start; False if they are unknown or of other shapes."""
    own = copied.model.state_dict()
    if not start or {name: value.shape for name, value in own.items()} != {
        name: value.shape for name, value in start.items()
    }:
        return False
    copied.model.load_state_dict(dict(start))
    copied.optimizer.state.clear()
    return True
