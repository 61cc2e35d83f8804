"""Whether the loss reads all that it is given: a term that another one overwrote leaves a part of it unread.

Shape suffixes: N samples, C columns.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy
    from thalweg.probes.kept import Rows

MOST_COLUMNS = 64  # of a tensor; each is asked
_NOTICED = 0.05  # of a parameter's values: so many reach the outputs through nothing but the unread part


def unread_measures(copied: Copy, batches: Sequence[Batch], rows: Sequence[Rows] = ()) -> dict[str, float]:
    """Measure whether the loss leaves a part of the outputs and a part of the targets unread.

    A part is a tensor among several, or a column of one, (N, C). An unread part of the outputs has a gradient of
    exactly zero in all batches and is made by weights of its own, which no other part of the outputs needs. An unread
    part of the targets can be exchanged between the samples without a change of the loss.

    Args:
        copied: runs in evaluation mode.
        batches: at least one; a part that is read in one of them is read.
        rows: samples that the training was seen to take; so is one that had a gradient there.

    Returns:
        `part_unread`, 0 or 1: whether there are both. Nothing for outputs without parts, for those of a class of
        their own, and for a loss that differs when it is asked again.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> model, batch = torch.nn.Linear(3, 2), Batch(torch.randn(8, 3), torch.randn(8, 2))
        >>> def measured(loss_fn):
        ...     return unread_measures(Copy.of(model, torch.optim.SGD(model.parameters()), loss_fn), [batch])
        >>> measured(torch.nn.MSELoss())
        {'part_unread': 0.0}
        >>> measured(lambda outputs, targets: (outputs[:, 1] - targets[:, 1]).square().mean())
        {'part_unread': 1.0}
    """
    model, unread = copied.model.eval(), list[tuple[_Places, _Places]]()
    for batch in batches:
        with own_randomness(0), torch.enable_grad():
            outputs = batch.outputs(model)
        loss_of = _loss_of(copied, outputs)
        if not (_is_plain(outputs) and _is_plain(batch.targets)) or not _parts(_asked(outputs)):
            return {}
        before = loss_of(batch.targets)
        if not math.isfinite(before) or loss_of(batch.targets) != before:
            return {}
        unread.append((_unread_outputs(copied, batch, outputs), _unread_targets(loss_of, batch.targets)))
    ours, theirs = (set.intersection(*side) for side in zip(*unread, strict=True))
    ours -= {place for one in rows if one.gradient is not None for place in _read_in(one.gradient)}
    return {"part_unread": float(bool(ours and theirs) and _has_own_weights(copied, batches[0], ours))}


_Places = set[tuple[int, int]]
"""Parts: the number of a tensor, and of its column; -1 for all of it."""


def _is_plain(part: Any) -> bool:
    """Whether a structure stays what it is with other tensors; a class of a library may be more than its items."""
    return isinstance(part, torch.Tensor | tuple | list) or type(part) is dict


def _loss_of(copied: Copy, outputs: Any) -> Callable[[Any], float]:
    """The loss of the outputs for any targets."""
    fixed = mapped(outputs, lambda one: one.detach())

    def loss_of(targets: Any) -> float:
        with own_randomness(0), torch.no_grad():
            return float(copied.loss_fn(fixed, targets))

    return loss_of


def _parts(tensors: Sequence[Tensor]) -> dict[tuple[int, int], Tensor]:
    """Places, and what is there."""
    found: dict[tuple[int, int], Tensor] = {}
    for at, tensor in enumerate(tensors):
        if len(tensors) > 1:
            found[at, -1] = tensor
        if tensor.ndim == 2 and 1 < tensor.shape[1] <= MOST_COLUMNS:
            found |= {(at, column): tensor[:, column] for column in range(tensor.shape[1])}
    return found


def _asked(outputs: Any) -> list[Tensor]:
    return [leaf for leaf in tensors_in(outputs) if leaf.requires_grad]


def _unread_outputs(copied: Copy, batch: Batch, outputs: Any) -> _Places:
    given = mapped(outputs, lambda one: one.detach().requires_grad_(one.requires_grad))
    leaves = _asked(given)
    with own_randomness(0), torch.enable_grad():
        loss = copied.loss_fn(given, batch.targets)
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    gradients = [torch.zeros_like(leaf) if one is None else one for leaf, one in zip(leaves, found, strict=True)]
    return {place for place, part in _parts(gradients).items() if not bool(part.any())}


def _read_in(gradient: Tensor) -> _Places:
    return {place for place, part in _parts([gradient]).items() if bool(part.any())}


def _unread_targets(loss_of: Callable[[Any], float], targets: Any) -> _Places:
    """The parts of the targets that differ between samples, and whose exchange leaves the loss as it is."""
    leaves, before, found = list(tensors_in(targets)), loss_of(targets), _Places()
    for (at, column), part in _parts(leaves).items():
        if not part.ndim or not bool((part != part.roll(1, 0)).any()):
            continue
        changed = leaves[at].clone()
        if column < 0:
            changed = changed.roll(1, 0)
        else:
            changed[:, column] = part.roll(1, 0)
        given = iter([*leaves[:at], changed, *leaves[at + 1 :]])
        if loss_of(mapped(targets, lambda _, given=given: next(given))) == before:
            found.add((at, column))
    return found


def _has_own_weights(copied: Copy, batch: Batch, unread: _Places) -> bool:
    """Whether weights reach the outputs through nothing but the unread parts."""
    parameters = [parameter for parameter in copied.model.parameters() if parameter.requires_grad]
    with own_randomness(0), torch.enable_grad():
        parts = _parts(_asked(batch.outputs(copied.model)))
        left = [parts[place].square().sum() for place in unread]
        read = [part.square().sum() for place, part in parts.items() if _is_read(place, unread)]
    if not read:
        return False
    ours = torch.autograd.grad(torch.stack(left).sum(), parameters, retain_graph=True, allow_unused=True)
    theirs = torch.autograd.grad(torch.stack(read).sum(), parameters, allow_unused=True)
    for own, other in zip(ours, theirs, strict=True):
        if own is None:
            continue
        alone = own != 0 if other is None else (own != 0) & (other == 0)
        if float(alone.float().mean()) > _NOTICED:
            return True
    return False


def _is_read(place: tuple[int, int], unread: _Places) -> bool:
    """Whether no part is unread that has to do with a place: the whole of its tensor, or a column of it."""
    at, column = place
    return not {place, (at, -1)} & unread and (column >= 0 or all(other != at for other, _ in unread))
