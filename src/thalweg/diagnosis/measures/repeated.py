"""Whether the given batches hold other samples than the only batch that the training ever saw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.probes.marks import mark_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.probes.batches import Batch

ONE = 1.5  # different batches: fewer are one


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
