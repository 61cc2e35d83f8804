"""Labels of 0 and 1 for a loss that takes −1 and 1: at 0 it says nothing.

`cosine_embedding_loss`, `margin_ranking_loss` and the hinge and soft-margin losses multiply by the label or compare it
with −1. Given 0 for the second class, they leave its samples out, and learn one class only.

Shape suffixes: N samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import LossFunction

FEWEST = 8
_NOTHING = 1e-9  # of the largest gradient of a sample


def sign_measures(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> dict[str, float]:
    """Measure the share of samples whose label the loss leaves out, and would not leave out at −1.

    A loss that is linear in its targets, such as a policy gradient with rewards, means its zeros.

    Args:
        outputs: (N, ...).
        targets: (N,) or (N, 1); the loss is asked only if they are zeros and ones.
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
    if not row_each or len(targets) < FEWEST or not outputs.is_floating_point():
        return {}
    zero_N = targets.reshape(-1) == 0
    binary = bool((zero_N | (targets.reshape(-1) == 1)).all()) and 0 < int(zero_N.sum()) < len(targets)
    if not binary:
        return {}
    try:
        unread = _only_at_minus_one(outputs, targets, zero_N, loss_fn)
    except (RuntimeError, ValueError, IndexError):  # a loss that takes no such labels
        unread = False
    return {"targets_unread": float(zero_N.float().mean()) if unread else 0.0}


def _only_at_minus_one(outputs: Tensor, targets: Tensor, zero_N: Tensor, loss_fn: LossFunction) -> bool:
    """Whether the loss has no gradient where labels are 0, for no outputs, and has one where they are −1."""
    drawn = torch.randn_like(outputs)
    for tried in (outputs, outputs.roll(1, 0), drawn):
        pulled_N = _pulled(tried, targets, loss_fn)
        if bool(pulled_N[zero_N].any()) or not bool(pulled_N[~zero_N].any()):
            return False
    other = targets.masked_fill(zero_N.view_as(targets), -1)
    if not bool(_pulled(drawn, other, loss_fn)[zero_N].any()):
        return False
    labels = (targets, other, torch.ones_like(targets))
    return any(_is_bent(outputs, labels, loss_fn) for outputs in (drawn, 4 * drawn))  # a hinge bends beyond its margin


def _is_bent(outputs: Tensor, labels: tuple[Tensor, Tensor, Tensor], loss_fn: LossFunction) -> bool:
    """Whether the loss at labels of 0 is not halfway between that at −1 and at 1: it does more than weigh by labels."""
    zero, minus, plus = (float(loss_fn(outputs, one)) for one in labels)
    return abs(minus + plus - 2 * zero) > 1e-4 * max(abs(minus - plus), 1e-12)


def _pulled(outputs: Tensor, targets: Tensor, loss_fn: LossFunction) -> Tensor:
    """Whether the loss has a gradient at the outputs of each sample, (N,)."""
    with torch.enable_grad():
        given = outputs.detach().requires_grad_()
        loss = loss_fn(given, targets)
        (gradient,) = torch.autograd.grad(loss, given, allow_unused=True) if loss.requires_grad else (None,)
    if gradient is None:
        return torch.zeros(len(outputs), dtype=torch.bool, device=outputs.device)
    size_N = gradient.reshape(len(outputs), -1).abs().amax(dim=1)
    return size_N > _NOTHING * size_N.max()
