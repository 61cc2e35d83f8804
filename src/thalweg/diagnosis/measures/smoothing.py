"""Over-smoothing: layers that mix samples, until each sample's output depends on all inputs alike.

A layer of a graph network averages a node with its neighbors, a layer of attention with what it attends to. After many
of them without a way around, no output knows which input is its own. That lies in the layers, not in their weights, so
it is measured at the start.

Shape suffixes: N samples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.mixing import without_batch_statistics
from thalweg.diagnosis.measures.start import rewound
from thalweg.probes.batches import first_tensor, mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST = 16  # samples that are mixed
MOST = 1e6
PLACES = 16  # samples whose inputs are changed
_NOISE = {torch.double: 1e-12, torch.float: 1e-5}  # of the outputs: a change below it is rounding


def smoothing_measures(copied: Copy, start: Mapping[str, Tensor], batch: Batch) -> dict[str, float]:
    """Measure how much more a sample's input changes its own output than that of another sample.

    Args:
        copied: gets the weights of the start, and double precision where its pass allows it.
        start: weights and buffers by name; empty: those of now are kept.
        batch: whose first tensor, and whose outputs, have one row for each sample.

    Returns:
        `own_to_others`, in times: the change of a sample's own output by that of another one's, on average over 16
        samples that get the input of the sample that differs most; at most a million, as where no other output
        changes. Nothing for fewer than 16 samples that are mixed.

    Example:
        >>> from torch import nn
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> class Average(nn.Linear):
        ...     def forward(self, x):
        ...         return 0.5 * super().forward(x) + 0.5 * super().forward(x).mean(dim=0)
        >>> def own_to_others(model):
        ...     copied = Copy.of(model, torch.optim.SGD(model.parameters()), nn.MSELoss())
        ...     found = smoothing_measures(copied, {}, Batch(torch.randn(100, 4), torch.zeros(100)))
        ...     return {name: round(value, 3) for name, value in found.items()}
        >>> own_to_others(Average(4, 4)), own_to_others(nn.Sequential(*(Average(4, 4) for _ in range(12))))
        ({'own_to_others': 101.0}, {'own_to_others': 1.024})
        >>> own_to_others(nn.Linear(4, 4))
        {'own_to_others': 1000000.0}

    Source: Li, Han and Wu 2018, Deeper insights into graph convolutional networks for semi-supervised learning,
    https://arxiv.org/abs/1801.07606; Dong, Cordonnier and Loukas 2021, Attention is not all you need,
    https://arxiv.org/abs/2103.03404.
    """
    rewound(copied, start)
    try:
        return _measured(copied.model, batch, torch.double)
    except RuntimeError:  # a pass that names its own precision
        return _measured(copied.model, batch, torch.float)


def _measured(model: nn.Module, batch: Batch, kind: torch.dtype) -> dict[str, float]:
    model = without_batch_statistics(model.to(kind))
    batch = replace(batch, inputs=mapped(batch.inputs, lambda one: one.to(kind) if one.is_floating_point() else one))
    leaf = first_tensor(batch.inputs)
    before = _outputs(model, batch)
    if leaf is None or not leaf.ndim or before is None or not len(before) == len(leaf) > 1:
        return {}
    least = _NOISE[kind] * float(before.abs().max())
    own = others = 0.0
    for place in torch.linspace(0, len(leaf) - 1, PLACES).long().tolist():
        after = _outputs(model, replace(batch, inputs=_with(batch, leaf, _changed(leaf, place))))
        if after is None or after.shape != before.shape:
            return {}
        moved_N = (after - before).abs().amax(dim=1)
        moved_N[moved_N < least] = 0.0
        own += float(moved_N[place])
        others += (float(moved_N.sum()) - float(moved_N[place])) / (len(leaf) - 1)
        if own > 0 and not others:
            return {"own_to_others": MOST}  # no layer mixes samples
    return {"own_to_others": min(own / others, MOST)} if others > 0 and len(leaf) >= FEWEST else {}


def _outputs(model: nn.Module, batch: Batch) -> Tensor | None:
    """The outputs as one row for each sample; None if they are no finite tensor."""
    with own_randomness(0), torch.no_grad():
        outputs = batch.outputs(without_batch_statistics(model))  # it may keep a state from pass to pass
    if not isinstance(outputs, torch.Tensor) or outputs.ndim < 1 or not outputs.numel():
        return None
    return outputs.reshape(len(outputs), -1) if bool(torch.isfinite(outputs).all()) else None


def _changed(leaf: Tensor, place: int) -> Tensor:
    """The inputs, with those of one sample replaced by those of the sample that differs most from it."""
    distance_N = (leaf - leaf[place : place + 1]).double().reshape(len(leaf), -1).square().sum(dim=1)
    changed = leaf.clone()
    changed[place] = leaf[distance_N.argmax()]
    return changed


def _with(batch: Batch, leaf: Tensor, other: Tensor) -> object:
    return mapped(batch.inputs, lambda one: other if one is leaf else one)
