"""Targets in the shape and type of the outputs: every question may compare one with the other.

A loss may squeeze scores (N, 1) before it compares them with targets (N,), and may take 0 and 1 as whole numbers. Where
it does, the questions get targets as the outputs are, and the loss gets them back as they were.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from thalweg.diagnosis.measures.head import head_of
from thalweg.diagnosis.measures.pairing import pairs_of
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy


class _Form(NamedTuple):
    """How targets differ from outputs.

    Attributes:
        added: dimension of size 1 that outputs have and targets lack; None: no such one.
        dropped: dimension of size 1 that targets have and outputs lack; None: no such one.
        dtype: of the targets.
    """

    added: int | None
    dropped: int | None
    dtype: torch.dtype

    def aligned(self, targets: Tensor, dtype: torch.dtype) -> Tensor:
        """Targets as the outputs are."""
        if self.added is not None:
            targets = targets.unsqueeze(self.added)
        if self.dropped is not None:
            targets = targets.squeeze(self.dropped)
        return targets if targets.is_floating_point() else targets.to(dtype)

    def written(self, targets: Tensor) -> Tensor:
        """Targets as the program writes them."""
        if self.added is not None:
            targets = targets.squeeze(self.added)
        if self.dropped is not None:
            targets = targets.unsqueeze(self.dropped)
        return targets if self.dtype.is_floating_point else targets.round().to(self.dtype)


def with_targets_like_outputs(
    copied: Copy, loss_fn: LossFunction, batches: Sequence[Batch]
) -> tuple[LossFunction, Sequence[Batch]]:
    """Return the loss and the batches with targets in the shape of the outputs, 0 and 1 as floating-point numbers.

    Args:
        copied: a copy of the model and of the loss; both run.
        loss_fn: the loss itself, which does not.
        batches: at least one; they stay as they are.

    Returns:
        The same loss of the new targets. Both as given where targets are so already, where they are numbers of classes,
        and where the loss compares each output with all targets: then the shapes are the fault.

    Example:
        >>> from torch.nn.functional import binary_cross_entropy_with_logits
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> def squeezed(outputs_N1, labels_N):
        ...     return binary_cross_entropy_with_logits(outputs_N1.squeeze(1), labels_N.float())
        >>> model = torch.nn.Linear(2, 1)
        >>> copied = Copy(model, torch.optim.SGD(model.parameters()), squeezed)
        >>> batch = Batch(torch.ones(4, 2), torch.tensor([1, 0, 0, 1]))
        >>> loss_fn, (again,) = with_targets_like_outputs(copied, squeezed, [batch])
        >>> again.targets.tolist()
        [[1.0], [0.0], [0.0], [1.0]]
        >>> bool(again.loss(model, loss_fn) == batch.loss(model, squeezed))
        True
    """
    if not _may_differ(batches):
        return loss_fn, batches
    try:
        with own_randomness(0), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with torch.enable_grad():  # the head is read from the graph
                outputs = batches[0].outputs(copied.model)
            form = _form_of(copied.loss_fn, outputs, batches)
    except Exception:  # noqa: BLE001 - code of a user's; whoever needs the loss reports that it fails
        return loss_fn, batches
    if form is None:
        return loss_fn, batches
    aligned = [replace(one, targets=form.aligned(one.targets, outputs.dtype)) for one in batches]
    return partial(_written, loss_fn, form), aligned


def _written(loss_fn: LossFunction, form: _Form, outputs: Any, targets: Any) -> Tensor:
    return loss_fn(outputs, form.written(targets) if isinstance(targets, torch.Tensor) else targets)


def _may_differ(batches: Sequence[Batch]) -> bool:
    """Whether targets are numbers or truths: whole numbers beside 0 and 1 are those of classes, or counts."""
    every = [batch.targets for batch in batches]
    if not all(isinstance(targets, torch.Tensor) and targets.ndim for targets in every):
        return False
    return all(one.is_floating_point() or bool(((one == 0) | (one == 1)).all()) for one in every)


def _form_of(loss_fn: LossFunction, outputs: Any, batches: Sequence[Batch]) -> _Form | None:
    """How the targets differ from the outputs; None if they do not, or in another way."""
    targets = batches[0].targets
    if not isinstance(outputs, torch.Tensor):
        return None
    added, dropped = _place_of_one(outputs.shape, targets.shape), _place_of_one(targets.shape, outputs.shape)
    if added is None and dropped is None and outputs.shape != targets.shape:
        return None
    if targets.is_floating_point() and outputs.shape == targets.shape:
        return None
    if pairs_of(loss_fn, outputs.detach(), targets, head_of(outputs)) is not True:
        return None
    return _Form(added, dropped, targets.dtype)


def _place_of_one(longer: torch.Size, shorter: torch.Size) -> int | None:
    """The place of the one dimension of size 1 that the first has and the second lacks: the last, or the second."""
    for place in (len(longer) - 1, 1):
        if 0 < place < len(longer) and longer[place] == 1 and (*longer[:place], *longer[place + 1 :]) == tuple(shorter):
            return place
    return None
