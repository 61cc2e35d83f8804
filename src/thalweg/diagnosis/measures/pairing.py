"""Whether a loss compares each output with its own target: asked of the loss itself, with outputs that are drawn.

Shape suffixes: N samples, C classes, P positions (of all samples).
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.measures.head import class_dim, head_of, reachable
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from thalweg.diagnosis.measures.head import Head
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

FEWEST = 4  # samples
MOST_COLUMNS = 16  # of targets: each may be compared in its own way
LOOKED_AT = 5  # positions
_SAME, _OTHER = 1e-12, 1e-6  # of the loss, in float64: outputs that differ little beside large targets are pairs, too
_STILL = 1e-6  # of the largest change of a gradient
_ROUNDING = 1e-7  # of a cosine


def pairing_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure what a loss does when targets change places, and which outputs a target pulls.

    Args:
        copied: only its loss and, for the shape of the outputs, its model run.
        batch: its targets need one row for each sample.

    Returns:
        `unpaired`, 0 or 1: whether the loss depends on the targets, or on one column of them, and not on which sample
        has which: (N, 1) against (N,) is broadcast to all pairs. `mispaired`, in [0, 1]: the share of the positions
        looked at whose class pulls single numbers of several positions, as where class scores (N, C, H, W) were
        reshaped to (P, C) without moving C to the end. Nothing for losses and targets of another form.

    Example:
        >>> from torch.nn.functional import mse_loss
        >>> outputs_N1, targets_N = torch.randn(8, 1).double(), torch.randn(8).double()
        >>> _unpaired(lambda one, other: ((one - other) ** 2).mean(), outputs_N1, targets_N)
        {'unpaired': 1.0}
        >>> _unpaired(mse_loss, outputs_N1, targets_N[:, None])
        {'unpaired': 0.0}
    """
    targets = batch.targets
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor) or not outputs.ndim:
        return {}
    if not targets.ndim or len(targets) != len(outputs) or len(targets) < FEWEST or not outputs.is_floating_point():
        return {}
    dim = class_dim(outputs, targets)
    drawn = _drawn(outputs.detach(), head_of(outputs), dim)
    return _mispaired(copied.loss_fn, drawn, targets, dim) | _unpaired_or_unknown(copied.loss_fn, drawn, targets)


def pairs_of(loss_fn: LossFunction, outputs: Tensor, targets: Tensor, head: Head) -> bool | None:
    """Whether a loss compares each output with its own target, not with all of them; None if that cannot be told.

    Args:
        loss_fn: of (outputs, targets).
        outputs: only their shape, spread and head count: a network that gives all samples one output hides the pairs.
        targets: with one row for each sample.
        head: of the outputs.
    """
    if not outputs.ndim or not targets.ndim or not FEWEST <= len(targets) == len(outputs):
        return None
    drawn = _drawn(outputs, head, class_dim(outputs, targets))
    unpaired = _unpaired_or_unknown(loss_fn, drawn, _varied(targets)).get("unpaired")
    return None if unpaired is None else unpaired == 0


def _varied(targets: Tensor) -> Tensor:
    """The targets; or where all are alike, as in a small batch that lacks a rare class, others of their kind."""
    if not bool((targets == targets[:1]).all()):
        return targets
    if bool(((targets == 0) | (targets == 1)).all()):
        third_N = torch.arange(len(targets), device=targets.device) % 3 == 0
        return third_N.to(targets.dtype).view(-1, *[1] * (targets.ndim - 1)).expand_as(targets)
    with own_randomness(0):
        return targets + torch.randn_like(targets) if targets.is_floating_point() else targets


def _drawn(outputs: Tensor, head: Head, dim: int | None) -> Tensor:
    """Outputs drawn at random, about as far apart, that the head can give."""
    spread = float(outputs.float().std())
    if not spread > _STILL:
        spread = 1.0  # all samples have one output, and every loss would seem to have no pairs
    with own_randomness(0):
        drawn = spread * torch.randn_like(outputs.float())
    return reachable(head, drawn, dim).to(outputs.dtype)


def _unpaired_or_unknown(loss_fn: LossFunction, drawn: Tensor, targets: Tensor) -> dict[str, float]:
    if bool((drawn == drawn[:1]).all()):
        return {}  # a softmax of one class: outputs that are all alike have no pairs
    with suppress(Exception):  # the loss takes no float64
        return _unpaired(loss_fn, drawn.double(), targets.double() if targets.is_floating_point() else targets)
    return {}


def _unpaired(loss_fn: LossFunction, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    def value(given: Tensor) -> float:
        with own_randomness(0), torch.no_grad():
            return float(loss_fn(outputs, given))

    before = value(targets)
    if not math.isfinite(before):
        return {}
    size = max(abs(before), 1e-9)

    def moves(given: Tensor, much: float) -> bool:
        return not abs(value(given) - before) <= much * size

    found = {}
    for column in _columns(targets):
        if (targets[column] == targets[column][:1]).all():
            continue
        alike = _with(targets, column, targets[column][:1].expand_as(targets[column]))
        if not moves(alike, _OTHER):
            continue  # the loss takes no notice of it
        others = (_with(targets, column, targets[column].roll(shift, 0)) for shift in (1, len(targets) // 2))
        unpaired = not any(moves(other, _SAME) for other in others) and _each_with_all(loss_fn, outputs, targets, alike)
        found["unpaired"] = max(float(unpaired), found.get("unpaired", 0.0))
    return found


def _each_with_all(loss_fn: LossFunction, outputs: Tensor, targets: Tensor, alike: Tensor) -> bool:
    """Whether each output by itself is pulled towards all targets.

    Where a loss compares distributions (of moments, of a share of each class), the other outputs have a say; a number
    that all targets share, such as a count that the loss is divided by, changes no direction.
    """
    half = len(outputs) // 2
    others = outputs[half : half + 1].expand_as(outputs[half:])
    before = _pull(loss_fn, outputs, targets)
    without = _pull(loss_fn, torch.cat([outputs[:half], others]), targets)
    return not _parallel(before, _pull(loss_fn, outputs, alike)) and _parallel(before[:half], without[:half])


def _pull(loss_fn: LossFunction, outputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the loss at the outputs."""
    with own_randomness(0), torch.enable_grad():
        leaf = outputs.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss_fn(leaf, targets), leaf)
    return gradient


def _parallel(one: Tensor, other: Tensor) -> bool:
    """Whether one is a multiple of the other, within rounding; so is zero."""
    one, other = one.double().flatten(), other.double().flatten()
    return float((one @ other).abs()) >= (1 - _ROUNDING) * float(one.norm() * other.norm())


def _columns(targets: Tensor) -> Iterator[Any]:
    """All of the targets, or each column of a few."""
    if targets.ndim == 2 and 1 < targets.shape[1] <= MOST_COLUMNS:
        yield from ((slice(None), at) for at in range(targets.shape[1]))
    else:
        yield slice(None)


def _with(targets: Tensor, column: Any, values: Tensor) -> Tensor:
    changed = targets.clone()
    changed[column] = values
    return changed


def _mispaired(loss_fn: LossFunction, outputs: Tensor, targets: Tensor, dim: int | None) -> dict[str, float]:
    if dim is None or targets.ndim < 2 or targets.is_floating_point() or outputs.shape[dim] < 2:
        return {}
    count = outputs.shape[dim]

    def pull(given: Tensor) -> Tensor:
        """The gradient of the loss at the outputs, (P, C)."""
        return _pull(loss_fn, outputs, given).movedim(dim, -1).reshape(-1, count).float()

    before_PC = pull(targets)
    places = torch.linspace(0, targets.numel() - 1, LOOKED_AT + 2)[1:-1].long().unique()
    shares = []
    for place in places.tolist():
        changed = targets.clone()
        was = int(changed.view(-1)[place])
        if not 0 <= was < count:
            continue
        now = (was + 1) % count
        changed.view(-1)[place] = now
        change_PC = (pull(changed) - before_PC).abs()
        moved_PC = change_PC > _STILL * change_PC.max()
        few = 0 < int(moved_PC.sum()) <= count  # a loss that all positions share moves all of them
        own = bool(moved_PC[place, [was, now]].all())  # labels that are smoothed over their neighbours pull theirs, too
        shares.append(float(few and not own and int(moved_PC.any(dim=1).sum()) > 1))
    return {"mispaired": sum(shares) / len(shares)} if shares else {}
