"""Whether the given batches hold other samples than the only batch that the training ever saw, or only copies.

Shape suffixes: N samples, F numbers of a sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.probes.batches import first_tensor
from thalweg.probes.kept import marks_of
from thalweg.probes.marks import mark_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.kept import Rows

ONE = 1.5  # different batches: fewer are one
FEWEST_STEPS = 10  # whose samples were kept


def other_batch(batches: Sequence[Batch], known: Mapping[str, float]) -> dict[str, float]:
    """Compare the given batches with the one that the training took at each step.

    Args:
        batches: any of them that is at least as large counts; a smaller one may be a part of it.
        known: `batches_seen`, `inputs_mark` and `batch_size` of the watched steps.

    Returns:
        `other_batch`, 0 or 1: whether one of them is another one, and `among_others`, 0 or 1: whether the training's
        batch is among several of its size. Nothing where the training saw several batches.

    Example:
        >>> import torch
        >>> from thalweg.probes.batches import Batch
        >>> known = {"batches_seen": 1.0, "inputs_mark": 0.5, "batch_size": 4.0}
        >>> other_batch([Batch(torch.ones(4, 2), torch.ones(4))], known)
        {'other_batch': 1.0, 'among_others': 0.0}
    """
    if not known.get("batches_seen", ONE) < ONE:
        return {}
    size = known.get("batch_size", 0)
    marks = [(batch.size, mark_of(batch.inputs)) for batch in batches if batch.size >= size]
    other = [count for count, mark in marks if mark is not None and float(mark) != known["inputs_mark"]]
    among = size in other and any(mark is not None and float(mark) == known["inputs_mark"] for _, mark in marks)
    return {"other_batch": float(bool(other)), "among_others": float(among)}


def redrawn_measures(batch: Batch, rows: Sequence[Rows]) -> dict[str, float]:
    """Measure how often a batch holds each of the samples that the training ever saw.

    A sampler that is given a weight for each class draws as many samples as there are classes, for ever. More samples
    may be all that there are, drawn with replacement on purpose. Data that are listed in full look the same, too: truth
    tables, one-hot codes and tokens are not looked at, nor samples of fewer numbers than there are samples, nor equal
    inputs that have different targets.

    Args:
        batch: of inputs, whose first tensor counts, and targets.
        rows: samples that the training was seen to take, of ten steps or more.

    Returns:
        `redrawn`: samples of a batch for each different sample of all the steps. Nothing where these are more than the
        classes, where the given batch has no copies, or where it is of another form.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.kept import Rows
        >>> few_NF = torch.randn(2, 5)[torch.tensor([0, 1, 1, 0, 1, 0, 0, 1])]
        >>> redrawn_measures(Batch(few_NF, few_NF[:, 0] > 0), [Rows((few_NF,), few_NF, 1.0)] * 10)
        {'redrawn': 4.0}
    """
    kept = [one for one in rows if one.inputs is not None]
    inputs, targets = first_tensor(batch.inputs), batch.targets
    if len(kept) < FEWEST_STEPS or inputs is None or not isinstance(targets, torch.Tensor):
        return {}
    if not inputs.is_floating_point() or not targets.ndim or len(targets) != len(inputs):
        return {}
    seen = len(torch.cat([marks_of(one.inputs) for one in kept]).unique())
    if seen > max([2, *kept[0].outputs.shape[1:2]]):  # one output is one of two classes
        return {}
    if not _copies(marks_of(batch.inputs), marks_of(targets)) or seen >= inputs[0].numel() or len(inputs.unique()) < 3:
        return {}
    drawn = [len(one.outputs) / one.share for one in kept]
    return {"redrawn": sum(drawn) / len(drawn) / seen}


def _copies(inputs_N: Tensor, targets_N: Tensor) -> bool:
    """Whether at least half of a batch are copies of the others, with the same targets; both are given as marks."""
    different = len(inputs_N.unique())
    pairs = len(torch.stack([inputs_N, targets_N.to(inputs_N.device)], dim=1).unique(dim=0))
    return 2 * different <= len(inputs_N) and pairs == different
