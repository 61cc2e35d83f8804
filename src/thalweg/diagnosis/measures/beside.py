"""The samples that a watch kept, as batches that stand beside the given ones."""

from __future__ import annotations

import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.measures.recovered import recovered
from thalweg.probes.batches import first_tensor
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of
from thalweg.probes.kept import leaves


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.kept import Rows

ENOUGH_BATCHES, ENOUGH_SAMPLES = 4, 256  # of both, for trials that are judged on samples kept out
MOST_SMALL_BATCHES = 16
ALIKE = 2.0  # times


def alike(one: Batch, other: Batch) -> bool:
    """Whether the inputs of two batches have one scale, within a factor of two: those of a program may drift."""
    scales = [
        float(first.double().std()) for first in map(first_tensor, (one.inputs, other.inputs)) if first is not None
    ]
    return len(scales) == 2 and max(scales) <= ALIKE * min(scales)


def with_kept(batches: Sequence[Batch], kept: Batch | None) -> Sequence[Batch]:
    """The given batches, and where they are few, batches of kept samples of the same size.

    Args:
        batches: at least one.
        kept: samples that the training took; None: none.
    """
    size, found = batches[0].size, list(batches)
    if kept is not None and not alike(batches[0], kept):
        return batches
    enough = min(max(ENOUGH_BATCHES, -(-ENOUGH_SAMPLES // size)), MOST_SMALL_BATCHES)
    while kept is not None and len(found) < enough:
        at = (len(found) - len(batches)) * size
        more = rows_of(kept, slice(at, at + size)) if at + size <= kept.size else None
        if more is None:
            break
        found.append(more)
    return found


def kept_samples(loss_fn: LossFunction, rows: Sequence[Rows], batch: Batch) -> Batch | None:
    """The samples that a watch kept, with targets as a batch has them.

    None if they cannot be read, or lack an input that the batch has: what a loop passes by keyword is not seen.
    """
    with suppress(Exception), warnings.catch_warnings(), own_randomness(0):
        warnings.simplefilter("ignore")
        kept = recovered(rows, loss_fn, batch.targets) if isinstance(batch.targets, torch.Tensor) else None
        return kept if kept is not None and _kinds(kept.inputs) == _kinds(batch.inputs) else None
    return None


def lacks_classes(batch: Batch, kept: Batch | None) -> bool:
    """Whether a batch has one class, and the samples that a watch kept have others: its best constant has no loss.

    Args:
        batch: of any targets.
        kept: samples that the training took; None: none.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> kept = Batch(torch.zeros(4, 1), torch.tensor([0, 0, 1, 0]))
        >>> lacks_classes(rows_of(kept, slice(2)), kept), lacks_classes(kept, kept)
        (True, False)
    """
    if kept is None or not all(isinstance(one.targets, torch.Tensor) and one.targets.ndim for one in (batch, kept)):
        return False
    return bool((batch.targets == batch.targets[:1]).all()) and not bool((kept.targets == batch.targets[:1]).all())


def _kinds(inputs: Any) -> list[tuple[int, torch.dtype]]:
    """The number of dimensions and the type of each tensor."""
    return [(one.ndim, one.dtype) for one in leaves(inputs)]


def same_numbers(one: Batch, other: Batch) -> bool:
    """Whether the targets of two batches are the same numbers, in whatever form."""
    targets = one.targets, other.targets
    if one is other or not all(isinstance(given, torch.Tensor) for given in targets):
        return one is other
    first, second = (given.reshape(-1).double() for given in targets)
    return first.shape == second.shape and bool((first == second).all())
