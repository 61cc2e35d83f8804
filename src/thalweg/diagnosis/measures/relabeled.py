"""Labels as class indices: every question may take a label for the number of an output.

A loss may subtract 1 from labels that begin with 1, and may leave out a label such as -1. What a label means to it is
read from its gradient, which is lowest at the score of the true class and zero for a sample that is left out.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from thalweg.diagnosis.measures.head import class_dim, head_of, reachable
from thalweg.probes.batches import first_tensor
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

IGNORED = -100  # a label that no loss of torch counts: the default of `ignore_index`
MOST_WRONG = 0.05  # share of labels that are not as far from their class as the others


class _Code(NamedTuple):
    """How labels are written: the class plus `offset`; `ignored` is left out."""

    offset: int
    ignored: int

    def classes(self, labels: Tensor) -> Tensor:
        """Class indices, and -100 for what is left out."""
        known = (labels != self.ignored) & (labels != IGNORED)
        return torch.where(known, labels.long() - self.offset, IGNORED)

    def labels(self, classes: Tensor, dtype: torch.dtype) -> Tensor:
        """Labels as the loss takes them."""
        return torch.where(classes == IGNORED, self.ignored, classes + self.offset).to(dtype)


def with_class_indices(
    copied: Copy, loss_fn: LossFunction, batches: Sequence[Batch]
) -> tuple[LossFunction, Sequence[Batch]]:
    """Return the loss and the batches with labels that are class indices, -100 where the loss leaves a sample out.

    Args:
        copied: a copy of the model and of the loss; both run.
        loss_fn: the loss itself, which does not.
        batches: at least one; they stay as they are.

    Returns:
        The same loss of the new labels. Both as given where labels are class indices already, and where the gradient
        does not tell what a label means.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def from_one(outputs_NC, labels_N):
        ...     return cross_entropy(outputs_NC, labels_N - 1, ignore_index=-1)
        >>> model = torch.nn.Linear(2, 3)
        >>> copied = Copy(model, torch.optim.SGD(model.parameters()), from_one)
        >>> batch = Batch(torch.ones(5, 2), torch.tensor([1, 3, 0, 2, 1]))
        >>> loss_fn, (again,) = with_class_indices(copied, from_one, [batch])
        >>> again.targets.tolist()
        [0, 2, -100, 1, 0]
        >>> bool(again.loss(model, loss_fn) == batch.loss(model, from_one))
        True
    """
    try:
        with own_randomness(0), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = _code_of(copied, batches)
    except Exception:  # noqa: BLE001 - code of a user's; whoever needs the loss reports that it fails
        code = None
    if code is None:
        return loss_fn, batches
    dtype = batches[0].targets.dtype
    return partial(_coded, loss_fn, code, dtype), [replace(one, targets=code.classes(one.targets)) for one in batches]


def _coded(loss_fn: LossFunction, code: _Code, dtype: torch.dtype, outputs: Any, classes: Any) -> Tensor:
    whole = isinstance(classes, torch.Tensor) and not classes.is_floating_point()
    return loss_fn(outputs, code.labels(classes, dtype) if whole else classes)


def _code_of(copied: Copy, batches: Sequence[Batch]) -> _Code | None:
    """How the labels are written; None if as class indices, or if that cannot be told."""
    told: list[_Told] = []
    passed: dict[object, Tensor] = {}  # outputs of batches of one form have one form: one pass shows it
    for batch in batches:
        one = _told(copied, batch, passed)
        if one is None:
            return None
        told.append(one)
    if len({one.outputs for one in told}) > 1:
        return None
    labels_N, classes_N, counts_N = (torch.cat([getattr(one, name) for one in told]) for name in _Told._fields[:3])
    if len(classes_N[counts_N].unique()) < 2:
        return None
    apart_N = (labels_N - classes_N)[counts_N]
    offset = int(apart_N.mode().values)
    if not float((apart_N == offset).double().mean()) > 1 - MOST_WRONG:
        return None
    outside_N = (labels_N < offset) | (labels_N >= offset + told[0].outputs)
    left_out = labels_N[outside_N & ~counts_N & (labels_N != IGNORED)].unique()
    if bool((outside_N & counts_N).any()) or len(left_out) > 1 or (offset == 0 and not len(left_out)):
        return None  # no class, and yet it has a loss; two labels that are left out; nothing to change
    return _Code(offset, int(left_out[0]) if len(left_out) else IGNORED)


class _Told(NamedTuple):
    """What the gradient of a batch says of each label."""

    labels_N: Tensor
    classes_N: Tensor
    counts_N: Tensor
    outputs: int


def _told(copied: Copy, batch: Batch, passed: dict[object, Tensor]) -> _Told | None:
    labels = batch.targets
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        return None
    with torch.enable_grad():
        form = tuple(one.shape for one in (first_tensor(batch.inputs), labels) if one is not None)
        outputs = passed[form] if form in passed else batch.outputs(copied.model)
        passed[form] = outputs
        dim = class_dim(outputs, labels) if isinstance(outputs, torch.Tensor) else None
        if dim is None or not outputs.is_floating_point() or outputs.shape[dim] < 2:
            return None
        drawn = torch.randn_like(outputs.detach().float())  # outputs that have learned their sample have no gradient
        leaf = reachable(head_of(outputs), drawn, dim).to(outputs.dtype).requires_grad_()
        (gradient,) = torch.autograd.grad(copied.loss_fn(leaf, labels), leaf)
    pulled_NC = gradient.movedim(dim, -1).reshape(-1, outputs.shape[dim])
    return _Told(labels.reshape(-1).long(), pulled_NC.argmin(dim=1), (pulled_NC != 0).any(dim=1), outputs.shape[dim])
