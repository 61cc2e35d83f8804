"""Whether the right answer is the best one: a loss must not be lower for any other output than for it.

- A loss that applies a softmax itself, with targets that are probabilities: outputs whose softmax is the target must
  not lose to outputs that put everything on the likeliest class. Kullback-Leibler divergence of probabilities, where it
  takes their logarithms, does.
- A loss of 0/1 targets and outputs without bounds takes logits or is a distance: either large outputs with the right
  signs are best, or the targets themselves. A Dice loss of raw outputs is neither.
- A score, such as Dice, accuracy or a correlation, is highest for the right answer: where it is minimized without a
  minus, answers that are all wrong are best.

Source: Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation".

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.head import RANGES, class_dim, normalized_over, reachable


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.diagnosis.measures.head import Head

    Value = Callable[[Tensor], float]

TEMPERATURES = (0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 8.0, 10.0, 20.0)  # of distillation, which the loss may divide by
SHARPEST = 1e4
INDEX = 0.98  # targets with at least this in one class of each row are class indices, written as numbers
SIZES = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0)  # of logits: smoothed targets and penalties bound the best one
MARGIN = 0.01  # of the spread of the losses compared
SOFT = 0.1  # mean distance of targets from 0 and 1 that are smoothed labels, or masks with soft edges
SURE, SURER = 10.0, 100.0  # logits: a score hardly tells them apart, a loss without bounds does
BOUNDED = 0.5  # of the difference between right and wrong: what a score changes at most between these two
LOWER = 1e-3  # of the same difference: undecided answers to a mask of few pixels score little more than wrong ones
FALSE, FALSER = 0.02, 0.01  # probabilities of the truth next to none
BENT = 3.0  # times: what a square at its minimum gains from twice the way is 4, a score's share is 2
ROWS = 8  # samples that are asked one by one
NOISE = (0.1, 0.5, 2.0)  # of the targets' deviation
DIFFERS = 1e-4  # relative difference beyond rounding in single precision


def improper(value: Value, outputs: Tensor, targets: Tensor, head: Head) -> dict[str, float]:
    """Whether another output has a lower loss than the right one.

    Args:
        value: the loss of outputs of the same shape; NaN outside its domain.
        outputs: of the network, detached, finite.
        targets: one number for each output; others are not asked.
        head: from `head_of`.

    Returns:
        `improper`, 0 or 1; nothing where the right answer is unknown.

    Example:
        >>> import torch
        >>> from torch.nn.functional import cross_entropy
        >>> divergence = torch.nn.KLDivLoss(reduction="batchmean")
        >>> targets_NC = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
        >>> improper(lambda outputs: float(cross_entropy(outputs, targets_NC)), targets_NC, targets_NC, "none")
        {'improper': 0.0}
        >>> improper(lambda outputs: float(divergence(outputs.softmax(1), targets_NC)), targets_NC, targets_NC, "none")
        {'improper': 1.0}
    """
    if targets.shape != outputs.shape or not targets.is_floating_point() or head not in ("none", "unknown"):
        return {}
    dim = class_dim(outputs, targets)
    exact = targets.to(outputs.dtype)
    if dim is not None and outputs.shape[dim] > 1 and normalized_over(targets, dim):
        if not bool((targets.amax(dim=dim) < INDEX).any()) or not _ignores_shifts(value, outputs, dim):
            return {}
        logits = exact.clamp_min(1e-8).log()
        right = [value(temperature * logits) for temperature in TEMPERATURES]
        return _compared(right, value(SHARPEST * (logits - logits.amax(dim=dim, keepdim=True))), -MARGIN)
    if bool(((targets == 0) | (targets == 1)).all()) and len(targets.unique()) > 1:
        # outputs without a negative one may be distances; of distances between outputs and targets, targets are best
        if not bool((outputs < 0).any()) or not value(2 * exact) < value(exact):
            return {}
        return _compared([value(size * (2 * exact - 1)) for size in SIZES], value(2 * exact), MARGIN)
    return {}


def _ignores_shifts(value: Value, outputs: Tensor, dim: int) -> bool:
    """Whether adding a number to all classes of a sample changes nothing, as where the loss applies a softmax."""
    shifted = outputs + outputs.narrow(dim, 0, 1)
    first, second = value(outputs), value(shifted)
    return math.isfinite(first) and abs(first - second) <= 1e-4 * max(1.0, abs(first))


def _compared(right: list[float], other: float, margin: float) -> dict[str, float]:
    """Whether another output costs less than the best of those that are right, by a margin; less than none: nearly."""
    known = [loss for loss in right if math.isfinite(loss)]
    if len(known) < len(right) or not math.isfinite(other):
        return {}
    best = min(known)
    return {"improper": float(other < best - margin * max(max(known) - best, 1e-9))}


def wrong_is_best(value: Value, outputs: Tensor, targets: Tensor, head: Head) -> dict[str, float]:
    """Whether the loss is a score of right answers: highest for them, and lowest for answers that are all wrong.

    A loss that has its targets the other way round on purpose, as where outputs are distances and labels say which
    pairs belong together, has no bounds, or is flat where it is lowest. A score has bounds, and is not flat there. A
    reward of chosen actions is high in some samples and low in others. A score falls with each sample that is wrong.

    Args:
        value: the loss of outputs of the same shape; NaN outside its domain.
        outputs: of the network, detached, finite.
        targets: one number for each output, or a class for each position of a mask; others are not asked.
        head: from `head_of`.

    Returns:
        `wrong_is_best`, 0 or 1; nothing where the right answer is unknown.

    Example:
        >>> import torch
        >>> mask_NL, outputs_NL = (torch.arange(12).view(2, 6) % 3 == 0).float(), torch.linspace(-1, 1, 12).view(2, 6)
        >>> def dice(logits_NL):
        ...     p_NL = logits_NL.sigmoid()
        ...     return float(2 * (p_NL * mask_NL).sum() / (p_NL.sum() + mask_NL.sum()))
        >>> wrong_is_best(dice, outputs_NL, mask_NL, "none")
        {'wrong_is_best': 1.0}
        >>> wrong_is_best(lambda logits_NL: 1 - dice(logits_NL), outputs_NL, mask_NL, "none")
        {'wrong_is_best': 0.0}
    """
    exact = _for_each_output(outputs, targets)
    if exact is None or not bool(exact.isfinite().all()) or len(exact) < 2:
        return {}
    rounded = (exact > 0.5).to(outputs.dtype)
    if float((exact - rounded).abs().mean()) < SOFT:
        known = 0 < float(rounded.mean()) < 1
        return _of_labels(value, outputs, 2 * rounded - 1, head) if known else {}
    return _of_quantities(value, exact, head) if targets.is_floating_point() else {}


def _for_each_output(outputs: Tensor, targets: Tensor) -> Tensor | None:
    """A target for each output; of classes, 1 for the one that a position of a mask has; None: there are none."""
    if not outputs.numel() or not outputs.ndim or targets.is_complex():
        return None
    if targets.numel() == outputs.numel():
        return targets.to(outputs.dtype).reshape(outputs.shape)
    dim = class_dim(outputs, targets)
    # a class for each sample is not asked: who attacks a classifier makes its right answers unlikely
    if dim is None or targets.ndim < 3 or targets.is_floating_point():
        return None
    if bool(((targets < 0) | (targets >= outputs.shape[dim])).any()):
        return None
    return torch.zeros_like(outputs).scatter(dim, targets.long().unsqueeze(dim), 1.0)


def _of_labels(value: Value, outputs: Tensor, sides: Tensor, head: Head) -> dict[str, float]:
    """The flag for 0/1 targets; `sides` are −1 and 1."""
    if head not in ("none", "unknown", "sigmoid", "softmax"):
        return {}
    # without a negative one, outputs may be distances, and small where the target is 1
    if head in ("none", "unknown") and not bool((outputs < 0).any()):
        return {}
    dim = 1 if outputs.ndim > 1 and outputs.shape[1] > 1 else None
    if head == "softmax" and (dim is None or not normalized_over(outputs, dim)):
        return {}
    shared = head == "softmax" or (dim is not None and head != "sigmoid" and _ignores_shifts(value, outputs, dim))
    step = 0.5 if shared else 1.0  # a softmax takes the difference of two logits

    def at(logits: Tensor) -> float:
        return value(reachable(head, step * logits, dim))

    right, surely_right, wrong, surely_wrong = (at(logit * sides) for logit in (SURE, SURER, -SURE, -SURER))
    nearly = [at(math.log(share / (1 - share)) * sides) - surely_wrong for share in (FALSER, FALSE)]
    others = [at(logit * torch.ones_like(sides)) for logit in (0.0, SURER, -SURER)]
    if not all(map(math.isfinite, (right, surely_right, wrong, surely_wrong, *nearly, *others))):
        return {}
    whole = surely_right - surely_wrong
    is_score = (
        whole > DIFFERS * max(abs(surely_right), abs(surely_wrong))
        and max(abs(surely_right - right), abs(surely_wrong - wrong)) < BOUNDED * whole
        and max(others) < surely_right - LOWER * whole
        and others[0] > surely_wrong + LOWER * whole
        and 0 < nearly[1] < BENT * nearly[0]
    )
    return {"wrong_is_best": float(is_score and _falls_with_each(at, SURER * sides, surely_right, DIFFERS * whole))}


def _falls_with_each(at: Value, right: Tensor, highest: float, slack: float) -> bool:
    """Whether no sample raises a score by being wrong."""
    for row in range(min(ROWS, len(right))):
        one_wrong = right.clone()
        one_wrong[row] *= -1
        if not at(one_wrong) <= highest + slack:
            return False
    return True


def _of_quantities(value: Value, exact: Tensor, head: Head) -> dict[str, float]:
    """The flag for other targets: all outputs around them, near and far, have a lower loss."""
    least, most = RANGES.get(head, (-math.inf, math.inf))
    spread = float(exact.std())
    if head in ("softmax", "log_softmax") or not spread > 0 or bool(((exact < least) | (exact > most)).any()):
        return {}
    generator = torch.Generator().manual_seed(0)
    draws = torch.randn((len(NOISE), *exact.shape), generator=generator).to(exact)
    moves = [sign * size * spread * draw for size, draw in zip(NOISE, draws, strict=True) for sign in (-1, 1)]
    others = [*(exact + move for move in moves), 2 * exact.mean() - exact, exact.roll(1, 0)]
    highest, known = value(exact), [value(other.clamp(least, most)) for other in others]
    if not math.isfinite(highest) or not all(map(math.isfinite, known)):
        return {}
    whole = highest - min(known)
    differs = whole > DIFFERS * max(abs(highest), abs(min(known)))
    return {"wrong_is_best": float(differs and max(known) < highest - DIFFERS * whole)}
