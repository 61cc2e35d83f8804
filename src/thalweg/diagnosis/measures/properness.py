"""Whether the right answer is the best one: a loss must not be lower for any other output than for it.

- A loss that applies a softmax itself, with targets that are probabilities: outputs whose softmax is the target must
  not lose to outputs that put everything on the likeliest class. Kullback-Leibler divergence of probabilities, where it
  takes their logarithms, does.
- A loss of 0/1 targets and outputs without bounds takes logits or is a distance: either large outputs with the right
  signs are best, or the targets themselves. A Dice loss of raw outputs is neither.

Source: Gneiting and Raftery 2007, "Strictly Proper Scoring Rules, Prediction, and Estimation".

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thalweg.diagnosis.measures.head import class_dim, normalized_over


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
