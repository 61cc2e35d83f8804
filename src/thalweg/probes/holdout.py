"""Samples kept out of short trainings, so that a trial is judged by what it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.rnn import PackedSequence

from thalweg.probes.batches import Batch, mapped


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

ENOUGH_TO_JUDGE = 16  # samples
FEWEST_TO_DIVIDE = 8  # samples


def kept_out(batches: Sequence[Batch]) -> tuple[Sequence[Batch], Sequence[Batch]]:
    """Divide batches into those to train on and those to judge by.

    Returns:
        All but the last batches, and so many of these that they hold 16 samples, at most a quarter of all and at
        least one. Of a single batch, three quarters of its samples and the last quarter;
        where this has one kind of target and the others have several, as where the real ones come before the made-up
        ones, a quarter drawn at random. A batch with fewer than eight samples, or whose tensors do not have one row
        for each, is both.

    Example:
        >>> train, held = kept_out([Batch(torch.ones(8, 2), torch.zeros(8))])
        >>> train[0].size, held[0].size
        (6, 2)
    """
    if len(batches) > 1:
        held = max(1, min(len(batches) // 4, -(-ENOUGH_TO_JUDGE // max(1, batches[-1].size))))
        return batches[:-held], batches[-held:]
    batch = batches[0]
    count = batch.size
    cut = count - count // 4
    parts: tuple[slice | Tensor, slice | Tensor] = slice(cut), slice(cut, count)
    if count >= FEWEST_TO_DIVIDE and _is_sorted(batch.targets, cut):
        drawn = torch.randperm(count, generator=torch.Generator().manual_seed(0))
        parts = drawn[:cut].sort().values, drawn[cut:].sort().values
    first, last = (rows_of(batch, part) for part in parts)
    if count < FEWEST_TO_DIVIDE or first is None or last is None:
        return batches, batches
    return [first], [last]


def _is_sorted(targets: Any, cut: int) -> bool:
    """Whether the targets from `cut` on are all alike, and those before it are not."""
    if not isinstance(targets, torch.Tensor) or not cut < (len(targets) if targets.ndim else 0):
        return False
    before, after = (part.reshape(len(part), -1) for part in (targets[:cut], targets[cut:]))
    return bool((after == after[:1]).all()) and not bool((before == before[:1]).all())


def with_fewer(batches: Sequence[Batch], most: int) -> Sequence[Batch]:
    """The batches with their first samples alone.

    Args:
        batches: a batch whose tensors do not have one row for each sample stays whole.
        most: samples in a batch, at least 1.

    Example:
        >>> with_fewer([Batch(torch.ones(8, 2), torch.zeros(8))], 3)[0].size
        3
    """
    return [batch if batch.size <= most else rows_of(batch, slice(most)) or batch for batch in batches]


def rows_of(batch: Batch, rows: slice | Tensor) -> Batch | None:
    """Some samples of a batch; None where its tensors do not have one row for each.

    Args:
        batch: of inputs and targets.
        rows: a slice, or the numbers of the samples.

    Example:
        >>> rows_of(Batch(torch.ones(8, 2), torch.zeros(8)), slice(3)).inputs.shape
        torch.Size([3, 2])
    """
    sides = (batch.inputs, batch.targets)
    if not all(_in_rows(side, batch.size) for side in sides):
        return None
    return Batch(*(mapped(side, lambda tensor: tensor[rows]) for side in sides))


def _in_rows(part: Any, count: int) -> bool:
    """Whether a structure holds only tensors with `count` rows; None is no obstacle."""
    if isinstance(part, torch.Tensor):
        return part.ndim > 0 and len(part) == count
    if isinstance(part, Mapping):
        return all(_in_rows(value, count) for value in part.values())
    if isinstance(part, list | tuple) and not isinstance(part, PackedSequence):
        return all(_in_rows(value, count) for value in part)
    return part is None
