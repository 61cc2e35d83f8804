"""Targets of samples that a watch kept, read from the gradient of the loss at their outputs.

For a class, a loss falls where the score of the true one rises, so the gradient is lowest there. For a number, the
gradient of squared errors and of cross-entropies is a line in the target, so two guesses give it. That of Huber's loss
is a line for targets near the output alone: the others stay unknown. Whatever is read is checked: the loss of it must
have the gradient that was kept. A loss of another kind gives nothing.

Shape suffixes: K kept samples.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from thalweg.diagnosis.measures.head import class_dim
from thalweg.probes.batches import Batch, mapped
from thalweg.probes.kept import leaves, marks_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import LossFunction
    from thalweg.probes.kept import Rows

ALIKE = 0.99  # cosine of a sample's gradient with the one that was kept
MOST_WRONG = 0.05  # share of samples whose target does not explain their gradient; the others are left out
OFF = 1e-2  # of a target's spread
FEWEST_AGAIN = 8  # samples that came again
NEAR = 1e-2  # of a target's spread: guesses so far from an output show the line there
FEWEST_TO_SPREAD = 8  # samples: the spread of two is under a twentieth of the whole's one time in eighteen


def recovered(rows: Sequence[Rows], loss_fn: LossFunction, like: Tensor) -> Batch | None:
    """Return the samples that were kept with their inputs, and their targets, each once.

    Args:
        rows: inputs, outputs and gradients of some steps.
        loss_fn: of (outputs, targets), the mean or the sum over the samples.
        like: (N, ...) targets that the loss takes, which tell type and shape.

    Returns:
        (K, ...) samples in the order in which they came; None if the gradients do not tell their targets.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> from thalweg.probes.kept import Rows
        >>> logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([2, 0, 1, 2])
        >>> cross_entropy(logits, labels).backward()
        >>> rows = Rows((torch.eye(4),), logits.detach(), 1.0, logits.grad)
        >>> recovered([rows], cross_entropy, labels).targets.tolist()
        [2, 0, 1, 2]
    """
    read = targets_of([one for one in rows if one.inputs is not None], loss_fn, like, near=True)
    inputs = None if read is None else _joined([one.inputs for one in read.rows if one.inputs is not None])
    if read is None or inputs is None:
        return None
    first = _first_of_each(inputs)
    kept = first[read.known_K[first]]
    inputs = mapped(inputs, lambda one: one[kept])
    return Batch(inputs[0] if len(inputs) == 1 else inputs, read.targets[kept])


class Read(NamedTuple):
    """Targets that were read from gradients.

    Attributes:
        rows: the steps that they are of, in order.
        targets: (K, ...), of all samples of these steps.
        known_K: whether a sample's target gives its gradient.
    """

    rows: Sequence[Rows]
    targets: Tensor
    known_K: Tensor


def targets_of(rows: Sequence[Rows], loss_fn: LossFunction, like: Tensor, *, near: bool = False) -> Read | None:
    """Return the targets of kept samples, with or without inputs; None if the gradients do not tell them.

    Args:
        rows: as `recovered` takes them.
        loss_fn: likewise.
        like: likewise.
        near: whether targets that lie near their outputs count where the others cannot be read.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> from thalweg.probes.kept import Rows
        >>> logits, labels = torch.randn(4, 3, requires_grad=True), torch.tensor([2, 0, 1, 2])
        >>> cross_entropy(logits, labels).backward()
        >>> targets_of([Rows(None, logits.detach(), 1.0, logits.grad)], cross_entropy, labels).targets.tolist()
        [2, 0, 1, 2]
    """
    rows = [one for one in rows if one.outputs.shape[1:] == rows[-1].outputs.shape[1:]]
    given = [(one, one.gradient) for one in rows if one.gradient is not None]
    if not given or not like.ndim:
        return None
    outputs = torch.cat([one.outputs for one, _ in given]).float()
    averages = is_mean(outputs, loss_fn, like)
    sizes = [len(one.outputs) / one.share if averages else 1.0 for one, _ in given]
    gradients = torch.cat([gradient * size for (_, gradient), size in zip(given, sizes, strict=True)]).float()
    one_each = outputs[:1].numel() == like[:1].numel()  # labels, too, may be the target of one output
    read = _numbers if one_each or like.is_floating_point() else _classes
    targets = read(outputs, gradients, loss_fn, like)
    read_K = torch.ones(len(outputs), dtype=torch.bool, device=outputs.device)
    if targets is None and near and read is _numbers and like.is_floating_point():
        targets, read_K = _near_numbers(outputs, gradients, loss_fn, like)
    if targets is None or not (_spreads_as(targets, like) or told_alike([one for one, _ in given], targets)):
        return None
    known_K = read_K & _agreeing(outputs, gradients, targets, loss_fn, _part(like))
    # A sample without a gradient has no more loss.
    telling_K = read_K & (gradients != 0).reshape(len(gradients), -1).any(dim=1)
    if not float(known_K[telling_K].float().mean()) > 1 - MOST_WRONG:
        return None
    return Read([one for one, _ in given], targets, known_K)


def is_mean(outputs: Tensor, loss_fn: LossFunction, like: Tensor) -> bool:
    """Whether the loss stays the same if every sample comes twice; the sum over the samples doubles.

    Args:
        outputs: (N, ...).
        loss_fn: of (outputs, targets).
        like: (M, ...) targets; the first of both count.

    Example:
        >>> from torch.nn.functional import mse_loss
        >>> outputs, targets = torch.ones(4, 2), torch.zeros(4, 2)
        >>> is_mean(outputs, mse_loss, targets)
        True
        >>> is_mean(outputs, lambda one, other: mse_loss(one, other, reduction="sum"), targets)
        False
    """
    count = min(len(outputs), len(like))
    outputs, like = outputs[:count], like[:count]
    with torch.no_grad():
        once, twice = (float(loss_fn(outputs.repeat(n, *[1] * (outputs.ndim - 1)), _repeated(like, n))) for n in (1, 2))
    return abs(twice - once) < abs(twice - 2 * once)


def _repeated(like: Tensor, times: int) -> Tensor:
    return like.repeat(times, *[1] * (like.ndim - 1))


def _classes(outputs: Tensor, gradients: Tensor, _loss_fn: LossFunction, like: Tensor) -> Tensor | None:
    dim = class_dim(outputs, like.new_zeros((len(outputs), *like.shape[1:])))
    return None if dim is None else gradients.argmin(dim=dim).to(like.dtype)


def _numbers(outputs: Tensor, gradients: Tensor, loss_fn: LossFunction, like: Tensor) -> Tensor | None:
    shape = (len(outputs), *like.shape[1:])
    if outputs.numel() != like[:1].numel() * len(outputs):
        return None
    zero, one = (_gradient(outputs, like.new_full(shape, value), loss_fn, _part(like)) for value in (0.0, 1.0))
    slope = one - zero
    if not bool((slope.abs() > 1e-12).all()):
        return None
    with suppress(RuntimeError):  # a loss of probabilities refuses a target of 2, and is a line
        beyond = _gradient(outputs, like.new_full(shape, 2.0), loss_fn, _part(like)) - one
        if not bool(((beyond - slope).abs() < OFF * slope.abs()).all()):
            return None
    targets = ((gradients - zero) / slope).reshape(shape)
    if bool((like == like.round()).all()):
        rounded = targets.round()
        return rounded.to(like.dtype) if float((targets - rounded).abs().median()) < OFF else None
    return targets.to(like.dtype)


def _near_numbers(
    outputs: Tensor, gradients: Tensor, loss_fn: LossFunction, like: Tensor
) -> tuple[Tensor | None, Tensor]:
    """Numbers, and which samples have all of theirs where the gradient is a line; None if there is no line."""
    shape, part = (len(outputs), *like.shape[1:]), _part(like)
    none_K = torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
    if outputs.numel() != like[:1].numel() * len(outputs) or len(like) < 2:
        return None, none_K
    middle, pulls = outputs.reshape(shape).to(like.dtype), gradients.reshape(shape)
    off = NEAR * like.float().std(dim=0).expand(shape)
    below, above = (
        _gradient(outputs, (middle + sign * off).to(like.dtype), loss_fn, part).reshape(shape) for sign in (-1, 1)
    )
    slope = (above - below) / (2 * off)
    if not bool((slope.abs() > 1e-12).all()) or not bool(((above + below).abs() < OFF * (above - below).abs()).all()):
        return None, none_K
    far = pulls / slope
    # Where the line has ended, a little further the gradient is the same.
    further = _gradient(outputs, (middle + 1.05 * far).to(like.dtype), loss_fn, part).reshape(shape)
    on_line = (further.abs() > 1.02 * pulls.abs()) | (pulls == 0)
    return (middle + far).to(like.dtype), on_line.reshape(len(outputs), -1).all(dim=1)


def _spreads_as(targets: Tensor, like: Tensor) -> bool:
    """Whether the numbers spread as those of a batch do: another share of the loss would give another spread."""
    if bool((like == like.round()).all()):
        return True
    own, spread = (float(one.float().std(correction=0)) for one in (targets, like))
    return spread / 2 < own < (2 if len(like) >= FEWEST_TO_SPREAD else 20) * spread


def told_alike(rows: Sequence[Rows], targets: Tensor) -> bool:
    """Whether samples that came several times had the same target each time, though the outputs had changed.

    Then the targets have the right size, however narrow those of a batch are, and they do not drift.

    Args:
        rows: of some steps; those with inputs count.
        targets: (K, ...), of all samples of these steps.

    Example:
        >>> from thalweg.probes.kept import Rows
        >>> rows = [Rows((torch.eye(9),), torch.zeros(9, 1), 1.0) for _ in range(2)]
        >>> numbers = torch.arange(9.0).repeat(2)[:, None]
        >>> told_alike(rows, numbers), told_alike(rows, torch.arange(18.0)[:, None]), told_alike(rows[:1], numbers[:9])
        (True, False, False)
    """
    parts = targets.split([len(one.outputs) for one in rows])
    given = [(marks_of(one.inputs), part) for one, part in zip(rows, parts, strict=True) if one.inputs is not None]
    if not given:
        return False
    marks_K, told_KF = torch.cat([marks for marks, _ in given]), torch.cat([part for _, part in given])
    order = marks_K.argsort(stable=True)
    again = (marks_K[order].diff() == 0).nonzero()[:, 0]
    if len(again) < FEWEST_AGAIN:
        return False
    told_KF = told_KF.reshape(len(told_KF), -1)[order].float()
    off = (told_KF[again + 1] - told_KF[again]).abs().amax(dim=1)
    return float((off < OFF * told_KF.std(correction=0)).float().mean()) > 1 - MOST_WRONG


def _agreeing(outputs: Tensor, gradients: Tensor, targets: Tensor, loss_fn: LossFunction, part: int) -> Tensor:
    """Whether each sample's target gives the gradient that was kept, up to its size, (K,)."""
    found, wanted = (one.reshape(len(one), -1) for one in (_gradient(outputs, targets, loss_fn, part), gradients))
    return torch.cosine_similarity(found, wanted, dim=1, eps=1e-30) > ALIKE


def _part(like: Tensor) -> int:
    """Samples that the loss gets at once: half a batch, so that a loss of pairs or triplets gives other gradients.

    It has no target of each sample; and given all samples, it may take all memory.
    """
    return max(1, len(like) // 2)


def _gradient(outputs: Tensor, targets: Tensor, loss_fn: LossFunction, part: int) -> Tensor:
    """The gradient of the loss at the outputs, as that of the mean over one sample alone; a part at a time."""
    averages, found = is_mean(outputs.detach(), loss_fn, targets[:part]), []
    for some, wanted in zip(outputs.detach().split(part), targets.split(part), strict=True):
        leaf = some.clone().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss_fn(leaf, wanted), leaf)
        found.append(gradient * (len(some) if averages else 1.0))
    return torch.cat(found)


def _joined(inputs: Sequence[tuple[Any, ...]]) -> Any:
    """The inputs of all steps as one; None where their forms differ."""
    parts = [leaves(one) for one in inputs]
    if len({tuple(leaf.shape[1:] for leaf in one) for one in parts}) > 1:
        return None
    joined = iter([torch.cat(list(same)) for same in zip(*parts, strict=True)])
    return mapped(inputs[0], lambda _: next(joined))


def _first_of_each(inputs: Any) -> Tensor:
    """The places of the first of equal samples, in order."""
    marks_K = marks_of(inputs).tolist()
    first = {mark: at for at, mark in reversed(list(enumerate(marks_K)))}
    return torch.tensor(sorted(first.values()), device=leaves(inputs)[0].device)
