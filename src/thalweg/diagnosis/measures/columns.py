"""Whether a network misses what a column of numbers that are names tells, such as those of films, users or shops.

Where the numbers are exchanged between samples and no output changes, whatever the weights, the network does not see
them. Where it takes them as sizes, it learns what neighboring numbers have in common, and not what each name means.
Both do harm where the column foretells in which way the outputs are wrong.

Shape suffixes: N samples, D outputs of a sample.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.ignored import stir
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

MOST_COLUMNS = 8  # of numbers that each have a meaning of their own; more are a text or a picture
MOST_FLOATING = 64  # columns of a table, few of which are names
FEWEST = 64  # samples that show whether a column foretells anything
FEWEST_KINDS, LEAST_A_KIND = 8, 4  # numbers of a column that may be names, and samples of each in the mean
_BESIDE = 0.25  # between two whole numbers: who looks them up sees no difference
_SMOOTH = 3.0  # standard errors


def column_measures(copied: Copy, kept: Batch | None) -> dict[str, float]:
    """Measure what a column that the network ignores tells about its errors.

    Args:
        copied: gets evaluation mode, and new weights.
        kept: samples that the training took, each once; None: none, so nothing is measured.

    Returns:
        `ignored_tells`: by how many standard errors the gradients of the loss at the outputs agree with their mean over
        the other half's samples that have the same number in that column, of the ignored column that tells most; 0 if
        no column is ignored. Nothing for samples without two columns of whole numbers, or fewer than 64.
        `names_tell`: the same of the columns of whole numbers that the network takes as sizes; 0 where the numbers
        beside a number tell it, too, as those of ages do. Nothing without such a column.
    """
    if kept is None or kept.size < FEWEST:
        return {}
    return _taken_as_sizes(copied, kept) | _ignored(copied, kept)  # which gives the copy new weights


def _taken_as_sizes(copied: Copy, kept: Batch) -> dict[str, float]:
    """`names_tell`, of the columns whose numbers the network does not round and look up."""
    columns = [(rows, at) for rows, at in _columns(kept, floating=True) if _may_be_names(rows[:, at])]
    if not 1 <= len(columns) <= MOST_COLUMNS:  # so many are the pixels of a picture
        return {}
    model = copied.model.eval()
    with own_randomness(0):
        sizes = [(rows, at) for rows, at in columns if _changes(model, kept, rows, at, rows[:, at] + _BESIDE)]
        pulls_ND = _pulls(copied, kept) if sizes else None
    if pulls_ND is None:
        return {}
    told = [_told(rows[:, at], pulls_ND) for rows, at in sizes if _told_beside(rows[:, at], pulls_ND) < _SMOOTH]
    return {"names_tell": max(told, default=0.0)}


def _may_be_names(column_N: Tensor) -> bool:
    """Whether a column has whole numbers, several of them, and each for some samples."""
    kinds = len(column_N.unique())
    return FEWEST_KINDS <= kinds <= len(column_N) / LEAST_A_KIND and bool((column_N == column_N.round()).all())


def _ignored(copied: Copy, kept: Batch) -> dict[str, float]:
    """`ignored_tells`."""
    columns = list(_columns(kept))
    if len(columns) < 2:
        return {}
    model = copied.model.eval()
    with own_randomness(0):
        ignored = [column for column in columns if not _matters(model, kept, *column)]
        pulls_ND = _pulls(copied, kept) if ignored else None
        if pulls_ND is not None:
            copied.restart()
            stir(model)
            ignored = [column for column in ignored if not _matters(model, kept, *column)]
    if not ignored:
        return {"ignored_tells": 0.0}
    return {} if pulls_ND is None else {"ignored_tells": max(_told(leaf[:, at], pulls_ND) for leaf, at in ignored)}


def _columns(samples: Batch, *, floating: bool = False) -> Iterator[tuple[Tensor, int]]:
    """Each tensor of one type, as (N, columns), and the place of a column of it that differs between samples."""
    most = MOST_FLOATING if floating else MOST_COLUMNS
    for leaf in tensors_in(samples.inputs):
        fits = 1 <= leaf.ndim <= 2 and len(leaf) == samples.size
        if not fits or leaf.is_floating_point() != floating or leaf.dtype == torch.bool:
            continue
        rows = leaf.reshape(len(leaf), -1)
        if rows.shape[1] <= most:
            yield from ((rows, at) for at in range(rows.shape[1]) if bool((rows[:, at] != rows[0, at]).any()))


def _matters(model: nn.Module, samples: Batch, rows: Tensor, at: int) -> bool:
    """Whether an output changes when samples exchange the numbers of a column."""
    return _changes(model, samples, rows, at, rows[torch.randperm(len(rows), device=rows.device), at])


@torch.no_grad()
def _changes(model: nn.Module, samples: Batch, rows: Tensor, at: int, column_N: Tensor) -> bool:
    """Whether an output changes with other numbers in a column."""
    others = rows.clone()
    others[:, at] = column_N
    given = mapped(samples.inputs, lambda leaf: others.view_as(leaf) if leaf.data_ptr() == rows.data_ptr() else leaf)
    try:
        before, after = (
            list(tensors_in(replace(samples, inputs=inputs).outputs(model))) for inputs in (samples.inputs, given)
        )
    except (RuntimeError, ValueError, IndexError):  # numbers that belong to others, such as lengths in their order
        return True
    return any(not torch.equal(one, other) for one, other in zip(before, after, strict=True))


def _pulls(copied: Copy, samples: Batch) -> Tensor | None:
    """The gradient of the loss at each sample's outputs, (N, D); None if outputs have no row for each sample."""
    with torch.enable_grad():
        outputs = samples.outputs(copied.model)
        if not isinstance(outputs, torch.Tensor) or not outputs.ndim or len(outputs) != samples.size:
            return None
        start = outputs.detach().requires_grad_()
        (pulls,) = torch.autograd.grad(copied.loss_fn(start, samples.targets), start)
    return pulls.reshape(len(pulls), -1).double()


def _told(column_N: Tensor, pulls_ND: Tensor) -> float:
    """Standard errors by which the mean pull of a number, in one half of the samples, foretells the other half's."""
    kinds, number_N = column_N.unique(return_inverse=True)
    first_N = torch.arange(len(number_N), device=number_N.device) % 2 == 0
    agrees = []
    for half_N in (first_N, ~first_N):
        sums = torch.zeros(len(kinds), pulls_ND.shape[1], dtype=torch.double, device=pulls_ND.device)
        centered_ND = pulls_ND - pulls_ND[half_N].mean(dim=0)
        sums.index_add_(0, number_N[half_N], centered_ND[half_N])
        counts = number_N[half_N].bincount(minlength=len(kinds)).clamp(min=1)
        agrees.append((centered_ND * (sums / counts[:, None])[number_N])[~half_N].sum(dim=1))
    agree_N = torch.cat(agrees)
    error = float(agree_N.std()) / math.sqrt(len(agree_N))
    return float(agree_N.mean()) / error if error > 0 else 0.0


def _told_beside(column_N: Tensor, pulls_ND: Tensor) -> float:
    """The same for the mean pull of the numbers beside a number, the next lower and the next higher of the column."""
    kinds, number_N = column_N.unique(return_inverse=True)
    centered_ND = pulls_ND - pulls_ND.mean(dim=0)
    sums = torch.zeros(len(kinds) + 2, pulls_ND.shape[1], dtype=torch.double, device=pulls_ND.device)
    sums.index_add_(0, number_N + 1, centered_ND)
    counts = torch.zeros(len(kinds) + 2, 1, dtype=torch.double, device=pulls_ND.device)
    counts[1:-1, 0] = number_N.bincount(minlength=len(kinds))
    beside = (sums[:-2] + sums[2:]) / (counts[:-2] + counts[2:])
    agree_N = (centered_ND * beside[number_N]).sum(dim=1)
    error = float(agree_N.std()) / math.sqrt(len(agree_N))
    return float(agree_N.mean()) / error if error > 0 else 0.0
