"""Labels of 0 and 1 for a loss that takes −1 and 1: at 0 it says nothing.

`cosine_embedding_loss`, `margin_ranking_loss` and the hinge and soft-margin losses multiply by the label or compare it
with −1. Given 0 for the second class, they leave its samples out, and learn one class only.

Shape suffixes: N samples, L labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from typing import Any

    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

FEWEST = 8
_NOTHING = 1e-9  # of the largest gradient of a sample


def sign_measures(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> dict[str, float]:
    """Measure the share of labels that the loss leaves out, and would not leave out at −1.

    A loss that is linear in its targets, such as a policy gradient with rewards, means its zeros.

    Args:
        outputs: (N, ...).
        targets: (N,) or (N, 1), or one for each output; the loss is asked only if they are zeros and ones.
        loss_fn: of (outputs, targets).

    Returns:
        `targets_unread`, in [0, 1]; nothing for other targets.

    Example:
        >>> from torch.nn.functional import soft_margin_loss, binary_cross_entropy_with_logits
        >>> outputs, labels = torch.randn(8), torch.tensor([0.0, 1.0] * 4)
        >>> sign_measures(outputs, labels, soft_margin_loss)
        {'targets_unread': 0.5}
        >>> sign_measures(outputs, labels, binary_cross_entropy_with_logits)
        {'targets_unread': 0.0}
    """
    row_each = targets.ndim > 0 and targets.numel() == len(targets) == len(outputs)
    if not (row_each or targets.shape == outputs.shape) or targets.numel() < FEWEST or not outputs.is_floating_point():
        return {}
    share = zeros_among(targets)
    if not share:
        return {}
    try:
        unread = _only_at_minus_one(outputs, targets, loss_fn)
    except (RuntimeError, ValueError, IndexError):  # a loss that takes no such labels
        unread = False
    return {"targets_unread": share if unread else 0.0}


def joined_sign_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """The same for a network with several outputs, such as the scores of both sides of a pair.

    Args:
        copied: the model and its loss.
        batch: with one label for each sample.
    """
    targets = batch.targets
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
    if isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor) or not targets.ndim:
        return {}
    made = [one for one in tensors_in(outputs) if one.is_floating_point()]
    if not made or any(not one.ndim or len(one) != len(targets) or not one.numel() for one in made):
        return {}
    rows = [one.detach().float().reshape(len(targets), -1) for one in made]
    widths = [row.shape[1] for row in rows]

    def loss_fn(joined: Tensor, labels: Tensor) -> Any:
        parts = zip(made, joined.split(widths, dim=1), strict=True)
        given = {id(one): part.reshape(one.shape).to(one.dtype) for one, part in parts}
        with own_randomness(0):
            return copied.loss_fn(mapped(outputs, lambda one: given.get(id(one), one)), labels)

    with own_randomness(0):
        return sign_measures(torch.cat(rows, dim=1), targets, loss_fn)


def zeros_among(targets: Tensor) -> float:
    """The share of zeros among zeros and ones; 0 for other targets, or where one of the two is missing.

    Example:
        >>> zeros_among(torch.tensor([0, 1, 1, 1])), zeros_among(torch.tensor([-1, 0, 1]))
        (0.25, 0.0)
    """
    binary = bool(((targets == 0) | (targets == 1)).all())
    share = float((targets == 0).double().mean()) if binary and targets.numel() else 0.0
    return share if share < 1 else 0.0


def _only_at_minus_one(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> bool:
    """Whether the loss has no gradient where labels are 0, for no outputs, and has one where they are −1.

    The outputs of a trained network may lie beyond the margin wherever labels are 1: others are asked for those.
    """
    drawn = torch.randn_like(outputs)
    zero = targets == 0
    zero_L, of_ones = zero.reshape(-1), False
    for tried in (outputs, outputs.roll(1, 0), drawn):
        pulled_L = _pulled(tried, targets, loss_fn)
        if bool(pulled_L[zero_L].any()):
            return False
        of_ones |= bool(pulled_L[~zero_L].any())
    other = targets.masked_fill(zero, -1)
    if not of_ones or not bool(_pulled(drawn, other, loss_fn)[zero_L].any()):
        return False
    labels = (targets, other, torch.ones_like(targets))
    return any(_is_bent(outputs, labels, loss_fn) for outputs in (drawn, 4 * drawn))  # a hinge bends beyond its margin


def _is_bent(outputs: Tensor, labels: tuple[Tensor, Tensor, Tensor], loss_fn: LossFunction) -> bool:
    """Whether the loss at labels of 0 is not halfway between that at −1 and at 1: it does more than weigh by labels."""
    zero, minus, plus = (float(loss_fn(outputs, one)) for one in labels)
    return abs(minus + plus - 2 * zero) > 1e-4 * max(abs(minus - plus), 1e-12)


def _pulled(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> Tensor:
    """Whether the loss has a gradient at the outputs of each label: its own one, or all of its sample; (L,)."""
    with torch.enable_grad():
        given = outputs.detach().requires_grad_()
        loss = loss_fn(given, targets)
        (gradient,) = torch.autograd.grad(loss, given, allow_unused=True) if loss.requires_grad else (None,)
    if gradient is None:
        return torch.zeros(targets.numel(), dtype=torch.bool, device=outputs.device)
    size_L = gradient.reshape(targets.numel(), -1).abs().amax(dim=1)
    return size_L > _NOTHING * size_L.max()
