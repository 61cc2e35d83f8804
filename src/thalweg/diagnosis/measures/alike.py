"""Targets that are all one number, and say something of each sample all the same."""

from __future__ import annotations

import copy
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch

from thalweg.diagnosis.measures.widening import calls_of
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor, nn

    from thalweg.probes.batches import Batch

_VARIES = 1e-4  # of the largest output
_ROUNDING = 1e-5  # of the largest output


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


def is_difference(twin: nn.Module, batch: Batch) -> bool:
    """Whether outputs are differences of the scores of two things, which change their sign if the two change places.

    Then no constant answer is right for all samples, though the first of the two is always the better one.
    """
    other = replace(batch, inputs=_exchanged(batch.inputs))
    if other.inputs is None:
        return False
    with suppress(Exception), own_randomness(0), torch.no_grad():  # two inputs of other kinds cannot change places
        before, after = (one.outputs(copy.deepcopy(twin)) for one in (batch, other))
        return bool((before + after).abs().max() <= _ROUNDING * before.abs().max()) and bool(before.any())
    return False


def _exchanged(inputs: Any) -> Any:
    """Two inputs in the other order, side by side or in one tensor; None for other forms."""
    if isinstance(inputs, torch.Tensor):
        return inputs.flip(1) if inputs.ndim > 1 and inputs.shape[1] == 2 else None
    if not isinstance(inputs, list | tuple) or len(inputs) != 2:
        return None
    first, second = inputs
    if not isinstance(first, torch.Tensor) or not isinstance(second, torch.Tensor) or first.shape != second.shape:
        return None
    return type(inputs)((second, first)) if type(inputs) in (list, tuple) else None


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
