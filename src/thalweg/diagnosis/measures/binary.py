"""Binary cross-entropy, recognized by what it does with targets of 0 and of 1, and what does not go with it.

It is linear in its targets: beyond 0 or 1, the further an output is on the right side, the lower the loss, without end.
It takes logits of both signs: those behind a ReLU give no probability below one half.

Shape suffixes: N samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis.measures.head import Head
    from thalweg.probes.batches import LossFunction

BEYOND = 0.25  # a mask that was resized may overshoot 0 and 1 by less
_SURE = 8.0  # a logit whose probability a logarithm in single precision still tells from 1
_FREE = 0.02  # of the loss of one half: what a right answer may cost
_DEAR = 5.0  # times the loss of one half: what a wrong answer costs at least
_LOWER = 0.01  # of the loss of one half: more than rounding
_EVEN = 0.01  # relative difference of what 0 costs both targets, by what wrong answers cost them: then it is one half


def of_binary(outputs: Tensor, targets: Tensor, loss_fn: LossFunction, head: Head) -> dict[str, float]:
    """Measure which targets of a binary cross-entropy lie outside [0, 1], and which a ReLU keeps from being reached.

    Args:
        outputs: of the network, detached, float32, finite.
        targets: one number for each output, in any shape and of any type; others are not asked.
        loss_fn: of (outputs, targets), a scalar tensor; it may squeeze, convert, weigh and sum.
        head: from `head_of`.

    Returns:
        `targets_below_zero` and `targets_above_one`, shares in (0, 1], where such targets make the loss fall without
        end; `negatives_cut`, the share of targets below one half, where no probability can be below it.

    Example:
        >>> from torch.nn.functional import binary_cross_entropy_with_logits
        >>> def squeezed(outputs, labels):
        ...     return binary_cross_entropy_with_logits(outputs.squeeze(1), labels.float())
        >>> of_binary(torch.zeros(4, 1), torch.tensor([0, 1, 2, 2]), squeezed, "none")
        {'targets_above_one': 0.5}
        >>> of_binary(torch.ones(4, 1), torch.tensor([0, 1, 1, 1]), squeezed, "relu")
        {'negatives_cut': 0.25}
    """
    if targets.numel() != outputs.numel() or not targets.numel() or targets.is_complex():
        return {}
    values = targets.float()
    below, above = values < -BEYOND, values > 1 + BEYOND
    low = values < 0.5
    if not bool((below | above).any()) and not (head == "relu" and bool(low.any())):
        return {}

    def loss_at(logits: Tensor, of: Tensor, *, squashed: bool) -> float:
        try:
            with torch.no_grad():
                shaped = logits.to(outputs).view_as(outputs)
                return float(loss_fn(shaped.sigmoid() if squashed else shaped, of.to(targets.dtype)))
        except (RuntimeError, ValueError, IndexError, TypeError):  # outside the domain of the loss
            return math.nan

    zeros, ones = torch.zeros_like(values), torch.ones_like(values)
    for squashed in (False, True):
        halves = (loss_at(zeros, zeros, squashed=squashed), loss_at(zeros, ones, squashed=squashed))
        right = (loss_at(-_SURE * ones, zeros, squashed=squashed), loss_at(_SURE * ones, ones, squashed=squashed))
        wrong = (loss_at(_SURE * ones, zeros, squashed=squashed), loss_at(-_SURE * ones, ones, squashed=squashed))
        free = all(abs(cost) < _FREE * of for cost, of in zip(right, halves, strict=True))
        if not free or not all(_DEAR * of < cost < math.inf for cost, of in zip(wrong, halves, strict=True)):
            continue
        found: dict[str, float] = {}
        if bool((below | above).any()):
            sure = _SURE * torch.where(below, -1.0, torch.where(above, 1.0, 0.0))
            given, clipped = (loss_at(sure, of, squashed=squashed) for of in (values, values.clamp(0, 1)))
            shares = {"targets_below_zero": below, "targets_above_one": above}
            if given < clipped - _LOWER * max(halves):
                found |= {name: float(share.float().mean()) for name, share in shares.items() if share.any()}
        even = abs(halves[0] * wrong[1] - halves[1] * wrong[0]) <= _EVEN * halves[0] * wrong[1]
        if head == "relu" and not squashed and even and bool(low.any()):
            found["negatives_cut"] = float(low.float().mean())
        return found
    return {}
