"""What a loss takes, recognized from its values, and whether the network's head gives that.

A loss is known by what changes it, not by its name:

- adding a constant to all classes of a sample changes nothing: it applies a softmax and takes logits;
- it is linear in the outputs of the classes: it takes logarithms of probabilities, as negative log-likelihood does;
- large outputs with the right sign cost nothing, with the wrong sign much: it applies a sigmoid and takes logits;
- it is lowest where outputs equal targets: it is a distance, and every target must be an output that the head reaches.

Weights of classes, label smoothing and sums in place of means leave these properties as they are.

Shape suffixes: N samples, C classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.binary import of_binary
from thalweg.diagnosis.measures.head import (
    RANGES,
    Head,
    class_dim,
    log_normalized_over,
    normalized_over,
    reachable,
)
from thalweg.diagnosis.measures.properness import improper, wrong_is_best


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.probes.batches import LossFunction

    Value = Callable[[Tensor], float]

_FAR = 1000.0
_SEVERAL = 0.5  # beyond 1, the sum of a distribution; half-precision shares of a thousand classes stay far below it
FEWEST_FAINT = 8  # equal targets between 0 and 1, from which they are a scale and no chance
_CLOSE = 1e-4  # relative difference of two losses that count as equal in single precision


def of_loss(outputs: Tensor, targets: Tensor, loss_fn: LossFunction, head: Head) -> dict[str, float]:
    """Measure whether the loss fits the outputs.

    Args:
        outputs: of the network, detached, float32, finite.
        targets: of the batch.
        loss_fn: of (outputs, targets), a scalar tensor.
        head: from `head_of`.

    Returns:
        Flags and shares; what cannot be decided is missing.

    Example:
        >>> from torch.nn.functional import cross_entropy
        >>> logits_NC, labels_N = torch.randn(8, 3), torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
        >>> of_loss(logits_NC, labels_N, cross_entropy, "none")["squashed_twice"]
        0.0
        >>> of_loss(logits_NC.softmax(dim=1), labels_N, cross_entropy, "softmax")["squashed_twice"]
        1.0
    """
    dim = class_dim(outputs, targets)

    value = value_of(loss_fn, targets)
    found = _of_blindness(value, outputs)
    if found.get("loss_blind"):
        return found
    # a policy gradient has no end, either: it is linear, weighted by advantages of both signs
    signed = targets.is_floating_point() and bool((targets < 0).any()) and bool((targets > 0).any())
    found |= _of_steps(loss_fn, targets, outputs)
    meant = signed and not _is_reversed(value, outputs, targets)
    found |= _of_floor(value, outputs, head, dim, steepness=8.0 if meant else 3.0)
    found |= of_binary(outputs, targets, loss_fn, head)
    if not signed and targets.shape == outputs.shape and targets.is_floating_point():
        found |= _of_faint(loss_fn, outputs, targets)
    if (
        found.get("loss_floor", 0.0) < -1
        and "targets_above_one" not in found
        and targets.is_floating_point()
        and targets.numel() == outputs.numel()  # others may hold what an action was worth
        and bool((targets > 1).any())
    ):
        found |= _of_shares(loss_fn, outputs, targets, head, dim)
    found["outputs_fixed"] = float(_fixed(outputs, head, dim))
    found |= improper(value, outputs, targets, head) | wrong_is_best(value, outputs, targets, head)
    if dim is None:  # one number a sample, perhaps
        if head == "sigmoid" and targets.shape == outputs.shape:
            found["squashed_twice"] = float(_applies_sigmoid(value, outputs, targets))
        if targets.is_floating_point() and targets.shape == outputs.shape and is_distance(value, targets):
            found |= _of_reach(outputs, targets, head)
        return found
    if outputs.shape[dim] > 1 and _applies_softmax(value, outputs, dim):
        found |= _of_classes(outputs, targets, head, dim)
    found["softmax_misplaced"] = float(_misplaced(outputs, dim))
    found["squashed_twice"] = float(_squashed_twice(value, outputs, targets, head, dim))
    distributions = targets.is_floating_point() and normalized_over(targets, dim)
    if outputs.shape[dim] > 1 and (distributions or not targets.is_floating_point()):
        found["log_missing"] = float(_is_linear(value, outputs) and not log_normalized_over(outputs, dim))
    exact = _exact(value, outputs, targets, dim)
    if exact is not None and is_distance(value, exact):
        return found | _of_reach(outputs, exact, head)
    return found | _of_truths(value, outputs, targets, head, dim)


def value_of(loss_fn: LossFunction, targets: Tensor) -> Value:
    """The loss as a function of the outputs; NaN outside its domain."""

    def value(outputs: Tensor) -> float:
        try:
            with torch.no_grad():
                return float(loss_fn(outputs, targets))
        except (RuntimeError, ValueError):
            return math.nan

    return value


def _draws(outputs: Tensor) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn((2, *outputs.shape), generator=generator)
    return first.to(outputs.device), second.to(outputs.device)


def _same(first: float, second: float) -> bool:
    return abs(first - second) <= _CLOSE * max(1.0, abs(first), abs(second))


def _of_blindness(value: Value, outputs: Tensor) -> dict[str, float]:
    """Whether any outputs have the same loss: cross-entropy over one class is 0 whatever the network says."""
    draws = _draws(outputs)
    losses = [value(candidate) for candidate in (outputs, *draws, 10 * draws[0], draws[1].sigmoid())]
    known = [loss for loss in losses if math.isfinite(loss)]
    if len(known) < 3:
        return {}
    return {"loss_blind": float(max(known) == min(known))}


def _of_steps(loss_fn: LossFunction, targets: Tensor, outputs: Tensor) -> dict[str, float]:
    """Whether the loss is made of steps: other outputs have another loss, and nowhere a gradient.

    A count of right answers is so, and any score of rounded outputs. A hinge is flat only where it is zero.
    """
    losses, sizes = [], []
    for draw in (outputs, outputs, *_draws(outputs)):
        asked = draw.detach().clone().requires_grad_()
        try:
            with torch.enable_grad():
                loss = loss_fn(asked, targets)
                (gradient,) = torch.autograd.grad(loss, asked, allow_unused=True)
        except (RuntimeError, ValueError, TypeError, AttributeError):  # a loss without a graph stops the training, too
            return {}
        losses.append(float(loss.detach()))
        sizes.append(float(gradient.abs().max()) if gradient is not None and gradient.numel() else 0.0)
    draws_itself = losses[0] != losses[1]  # a loss with noise of its own
    moves = all(map(math.isfinite, losses)) and max(losses) > min(losses) and not draws_itself
    return {"loss_in_steps": float(moves and max(sizes) == 0)}


def _is_reversed(value: Value, outputs: Tensor, targets: Tensor) -> bool:
    """Whether a loss of signs has the wrong sign: right answers end at zero, wrong ones go below it without end.

    A critic's loss is linear on both sides; a policy gradient goes below zero where outputs and advantages agree.
    """
    if targets.shape != outputs.shape or not bool((targets.abs() == 1).all()):
        return False
    undecided, right, wrong = (value(size * targets.to(outputs.dtype)) for size in (0.0, 20.0, -20.0))
    return undecided < 0 and abs(right) < 0.02 * -undecided and wrong < 5 * undecided


def _of_faint(loss_fn: LossFunction, outputs: Tensor, targets: Tensor) -> dict[str, float]:
    """The one target beside 0 of a loss of 0 and 1, where it is no 1: a mask that was divided by 255 twice.

    A few such targets may be soft labels, and those of a sample that sum to 1 are shares.
    """
    largest = float(targets.max()) if targets.numel() else 0.0
    if not 0 < largest < 1 or not bool(((targets == 0) | (targets == largest)).all()):
        return {}
    if int((targets > 0).sum()) < FEWEST_FAINT or normalized_over(targets.reshape(len(targets), -1), 1):
        return {}
    ones = (targets > 0).to(targets.dtype)
    return {"targets_largest": largest} if _applies_sigmoid(value_of(loss_fn, ones), outputs, ones) else {}


def _of_shares(
    loss_fn: LossFunction, outputs: Tensor, targets: Tensor, head: Head, dim: int | None
) -> dict[str, float]:
    """Whether targets above 1 are why a loss falls without end: shares of their largest have one that ends."""
    value = value_of(loss_fn, (targets / targets.max()).clamp_min(0))
    floor = _of_floor(value, outputs, head, dim).get("loss_floor", math.nan)
    return {"targets_above_one": float((targets > 1).float().mean())} if floor >= -1 else {}


def _of_floor(
    value: Value, outputs: Tensor, head: Head, dim: int | None, *, steepness: float = 3.0
) -> dict[str, float]:
    """The lowest loss along the outputs' own direction, over outputs that the head can produce.

    It is reported only if the loss falls in proportion to the outputs, which has no end; a likelihood with a variance
    is negative, too, but not in proportion.
    """
    if not (head == "none" or head in RANGES or head == "log_softmax"):
        # without a graph, logarithms of probabilities are recognized by their values
        head = "log_softmax" if dim is not None and log_normalized_over(outputs, dim) else "none"
    if dim is None and head in ("softmax", "log_softmax"):  # as for CTC, whose targets have no row for each output
        normal = normalized_over if head == "softmax" else log_normalized_over
        dim = next((at for at in reversed(range(outputs.ndim)) if normal(outputs, at)), None)
    floors = []
    for sign in (-1.0, 1.0):
        near = value(reachable(head, sign * _FAR * outputs, dim))
        far = value(reachable(head, sign * 4 * _FAR * outputs, dim))
        endless = near < -1 and far < steepness * near
        floors.append(near if endless else max(near, 0.0) if math.isfinite(near) else math.nan)
    known = [floor for floor in floors if math.isfinite(floor)]
    return {"loss_floor": min(known)} if known else {}


def _fixed(outputs: Tensor, head: Head, dim: int | None) -> bool:
    """Whether a softmax over one unit makes every output 1."""
    single = outputs.shape[dim] == 1 if dim is not None else outputs.ndim >= 1 and outputs.shape[-1] == 1
    return single and head in ("softmax", "log_softmax") and bool((outputs == outputs.flatten()[0]).all())


def _misplaced(outputs: Tensor, dim: int) -> bool:
    """Whether a softmax runs over another dimension than that of the classes, such as that of the batch."""
    if outputs.shape[dim] < 2 or normalized_over(outputs, dim) or log_normalized_over(outputs, dim):
        return False
    others = [other for other in range(outputs.ndim) if other != dim and outputs.shape[other] > 1]
    return any(normalized_over(outputs, other) or log_normalized_over(outputs, other) for other in others)


def _of_classes(outputs: Tensor, targets: Tensor, head: Head, dim: int) -> dict[str, float]:
    """What a softmax cannot express: several classes at once, and a class whose score a ReLU has cut to zero."""
    found = {}
    # a teacher's logits, or counts, are no labels
    if targets.is_floating_point() and bool(((targets >= 0) & (targets <= 1)).all()):
        found["several_labels"] = float((targets.sum(dim=dim) > 1 + _SEVERAL).float().mean())
    if head == "relu":
        others = [other for other in range(outputs.ndim) if other != dim]
        found["scores_cut"] = float((outputs.amax(dim=others) <= 0).float().mean())
    return found


def _of_truths(value: Value, outputs: Tensor, targets: Tensor, head: Head, dim: int) -> dict[str, float]:
    """The share of samples whose true class has a score that a ReLU has cut to zero, though a higher one costs less."""
    if head != "relu" or outputs.shape[dim] < 2 or targets.is_floating_point():
        return {}
    known = ((targets >= 0) & (targets < outputs.shape[dim])).unsqueeze(dim)
    own = torch.zeros_like(outputs, dtype=torch.bool).scatter(dim, targets.unsqueeze(dim).clamp(min=0), known)
    cut = own & (outputs <= 0)
    if not own.any():
        return {}
    raised = torch.where(cut, outputs.amax(), outputs)
    if cut.any() and not value(raised) < value(outputs):
        return {}
    return {"truths_cut": float(cut.sum() / own.sum())}


def _squashed_twice(value: Value, outputs: Tensor, targets: Tensor, head: Head, dim: int) -> bool:
    """Whether the outputs are probabilities and the loss applies a softmax or a sigmoid again."""
    if outputs.shape[dim] > 1:
        squashed = normalized_over(outputs, dim) if head in ("unknown", "softmax") else head == "sigmoid"
        if squashed and _applies_softmax(value, outputs, dim):
            return True
    return head in ("sigmoid", "softmax") and _applies_sigmoid(value, outputs, targets)


def _applies_softmax(value: Value, outputs: Tensor, dim: int) -> bool:
    first, second = _draws(outputs)
    shifts = second.narrow(dim, 0, 1)
    return _same(value(first), value(first + shifts)) and not _same(value(first), value(first + second))


def _applies_sigmoid(value: Value, outputs: Tensor, targets: Tensor) -> bool:
    if targets.numel() != outputs.numel() or not bool(((targets == 0) | (targets == 1)).all()):
        return False
    sides = (2.0 * targets.to(outputs.dtype) - 1).view_as(outputs)
    undecided, right, wrong = value(torch.zeros_like(outputs)), value(20 * sides), value(-20 * sides)
    return undecided > 0 and right < 0.02 * undecided and 5 * undecided < wrong < math.inf


def _is_linear(value: Value, outputs: Tensor) -> bool:
    first, second = _draws(outputs)
    at_zero = value(torch.zeros_like(first))
    adds = _same(value(first) + value(second), value(first + second) + at_zero)
    # of thousands of classes, the logarithm of a sum of exponentials adds up for independent draws, not for equal ones
    return adds and _same(2 * value(first), value(2 * first) + at_zero)


def _exact(value: Value, outputs: Tensor, targets: Tensor, dim: int) -> Tensor | None:
    """What a distance is least at: the targets, or 1 for the class of a sample and 0 for the others.

    None where a loss of classes only compares the shares of the outputs: then the same answer may be twice as large.
    """
    if targets.is_floating_point():
        return targets if targets.shape == outputs.shape else None
    if not bool(((targets >= 0) & (targets < outputs.shape[dim])).all()):
        return None
    hot = torch.zeros_like(outputs).scatter(dim, targets.long().unsqueeze(dim), 1.0)
    return None if _same(value(hot), value(2 * hot)) else hot


def is_distance(value: Value, targets: Tensor) -> bool:
    """Whether no outputs have a lower loss than the targets themselves."""
    exact = targets.float()
    spread = max(float(exact.std()) if exact.numel() > 1 else 0.0, 1e-6)
    at, above, below = value(exact), value(exact + spread), value(exact - spread)
    return math.isfinite(at) and at <= 1e-6 * max(above, below, 1e-30) and at < min(above, below)


def _of_reach(outputs: Tensor, targets: Tensor, head: Head) -> dict[str, float]:
    """The share of targets that the head cannot reach, and whether a ReLU's outputs are all zero."""
    if head not in RANGES:
        return {}
    least, most = RANGES[head]
    slack = 0.05 * float(targets.float().std()) if targets.numel() > 1 else 0.0
    outside = (targets < least - slack) | (targets > most + slack)
    if head == "softmax" and targets.ndim == 2:
        outside = outside | ((targets.sum(dim=1, keepdim=True) - 1).abs() > 0.5)
    found = {"out_of_reach": float(outside.float().mean())}
    if head == "relu":
        silent = (outputs == 0).all() and bool((targets > slack).any())
        found["outputs_dead"] = float(silent)
    return found
