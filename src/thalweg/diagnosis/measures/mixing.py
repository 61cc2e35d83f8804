"""Whether the output of a sample depends on the other samples of its batch.

One sample's input is replaced by another's, in evaluation mode: the outputs of all others must stay as they are. The
first, a middle and the last sample are replaced in turn, because a recurrent network forgets its first inputs. A
`view` where a `transpose` was meant, attention over the batch, a softmax over the batch and statistics of the batch
that were written by hand all fail this; batch norm in evaluation mode does not.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import nn

    from thalweg.probes.batches import Batch

FEWEST = 3
_CHANGED = 1e-3  # of the outputs' spread: far above the rounding of a matrix product


def mixing_of(model: nn.Module, batch: Batch) -> dict[str, float]:
    """Measure the share of samples whose output changes with the input of another sample.

    Args:
        model: only a copy of it runs.
        batch: with one tensor of inputs, whose first dimension counts samples.

    Returns:
        `samples_mixed`, in [0, 1]; nothing if inputs or outputs are no single tensor, or all samples are alike,
        or if the model holds a square matrix over the samples, such as a graph's: then they are meant to mix.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> batch = Batch(torch.randn(8, 5), torch.zeros(8))
        >>> mixing_of(torch.nn.Linear(5, 2), batch)
        {'samples_mixed': 0.0}
        >>> mixing_of(torch.nn.Softmax(dim=0), batch)
        {'samples_mixed': 1.0}
    """
    inputs = batch.inputs
    if not isinstance(inputs, torch.Tensor) or not inputs.ndim or len(inputs) < FEWEST:
        return {}
    if _relates_samples(model, len(inputs)):
        return {}
    twin = copy.deepcopy(model).eval()
    before = _outputs(twin, batch, inputs)
    if before is None or len(before) != len(inputs):
        return {}
    spread = float((before - before.mean(dim=0)).square().mean().sqrt())
    shares = []
    for place in (0, len(inputs) // 2, len(inputs) - 1):
        other = _most_different(inputs, place)
        if other is None or not spread > 0:
            continue
        changed = inputs.clone()
        changed[place] = inputs[other]
        after = _outputs(twin, batch, changed)
        if after is None:
            return {}
        moved_N = (after - before).reshape(len(before), -1).abs().amax(dim=1) > _CHANGED * spread
        moved_N[place] = False
        shares.append(float(moved_N.sum()) / (len(inputs) - 1))
    return {"samples_mixed": max(shares)} if shares else {}


def _relates_samples(model: nn.Module, count: int) -> bool:
    """Whether a module holds a matrix of all samples by all samples that is not trained."""
    held = [value for module in model.modules() for value in (*vars(module).values(), *module.buffers(recurse=False))]
    return any(
        isinstance(value, torch.Tensor) and not value.requires_grad and value.shape == (count, count) for value in held
    )


def _outputs(twin: nn.Module, batch: Batch, inputs: torch.Tensor) -> torch.Tensor | None:
    """The outputs for other inputs; None if they are no finite tensor."""
    with own_randomness(0), torch.no_grad():
        outputs = type(batch)(inputs, batch.targets).outputs(twin)
    if not isinstance(outputs, torch.Tensor) or not outputs.ndim or not bool(torch.isfinite(outputs).all()):
        return None
    return outputs.float()


def _most_different(inputs: torch.Tensor, place: int) -> int | None:
    """The sample that differs most from the one at a place; None if none does."""
    distance_N = (inputs - inputs[place : place + 1]).double().reshape(len(inputs), -1).square().mean(dim=1)
    other = int(distance_N.argmax())
    return other if float(distance_N[other]) > 0 else None
