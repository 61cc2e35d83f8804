"""Targets that are all one number, and say something of each sample all the same."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch

from thalweg.diagnosis.measures.widening import calls_of


if TYPE_CHECKING:
    from torch import Tensor, nn

    from thalweg.probes.batches import Batch

_VARIES = 1e-4  # of the largest output


def are_of_pairs(twin: nn.Module, outputs: Tensor, targets: Tensor) -> bool:
    """Whether the columns are scores of pairs, of which the same one belongs together in every sample.

    Then they are no layer's: no weight has as many rows or columns as there are, and no constant answer gives each its
    own.
    """
    columns = outputs.shape[1] if outputs.ndim == 2 else 1
    alike = bool((targets == targets.flatten()[0]).all())
    first = not targets.is_floating_point() and alike and int(targets.flatten()[0]) == 0  # the class of the first pair
    if columns == 1 or (alike and not first):
        return False
    return not any(columns in weight.shape for weight in (*twin.parameters(), *twin.buffers()))


def is_residual(twin: nn.Module, batch: Batch) -> bool:
    """Whether targets are numbers, and outputs are residuals of an equation.

    Then outputs differ though the last layer gives all samples the same, or they are derivatives of what it gives; and
    targets that are all one number, such as zero, say something of each sample.
    """
    if not batch.targets.is_floating_point():
        return False
    bare = copy.deepcopy(twin)
    try:
        calls = calls_of(bare, batch)
        if not calls or calls[-1].module.weight is None:
            return False
        with torch.no_grad():
            cast("Tensor", calls[-1].module.weight).zero_()
        calls[-1].module.register_forward_hook(lambda _layer, _inputs, given: given.detach())
        with torch.enable_grad():
            outputs = batch.outputs(bare).detach()
    except RuntimeError:  # outputs that are derivatives of the last layer's, which need a graph
        return True
    return bool((outputs - outputs[:1]).abs().max() > _VARIES * outputs.abs().max())
