"""Whether a plain predictor beats the network on samples that only the network has seen.

Then something holds the network back, though its loss fell.

Shape suffixes: K samples, D numbers or classes.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch.nn.functional import one_hot

from thalweg.diagnosis.measures.foretold import MOST_CLASSES, MOST_NUMBERS
from thalweg.diagnosis.measures.mixing import evaluating
from thalweg.diagnosis.measures.ridge import MOST, features_of, ridge
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

FEWEST = 64  # samples
CLEARLY = 4.0  # standard errors between the errors of the two
HALFWAY = (0.0, 0.5)  # of logits and of probabilities, between no and yes: the one with fewer errors counts
MANY = 0.2  # of the samples, or of the variance: a plain predictor that avoids so much shows that something holds back


def outdone_measures(copied: Copy, samples: Batch) -> dict[str, float]:
    """Compare the network's errors with those of kernel ridge regression, which predicts samples that are kept from it.

    The network is in evaluation mode, and may have trained on every sample, so the comparison favors it.

    Args:
        copied: only a copy of its model runs.
        samples: that the training took, each once.

    Returns:
        `avoidable`, in [0, 1]: the errors of the network less those of the best kernel. Of classes, they are the wrong
        ones as a share of the samples, and no more than if every class counted the same; of numbers, the squared
        differences as a share of the targets' variance. `bends`: the errors of the best linear kernel less those of
        the best Gaussian one, likewise. Both are 0 if they are not clearly more, by four standard errors of the
        mean difference, and for numbers if the kernel's loss is not lower: outputs may be logarithms of a rate, or
        medians. Nothing for fewer than 64 samples, or targets and outputs that are neither classes nor few numbers: a
        line copies an input, which a network with a bottleneck must not.

    Source: Saunders, Gammerman and Vovk 1998, Ridge regression learning algorithm in dual variables.
    """
    features_KF, few = features_of(samples), rows_of(samples, slice(MOST))
    if features_KF is None or few is None or few.size < FEWEST:
        return {}
    with own_randomness(0), torch.no_grad():
        outputs = few.outputs(evaluating(copied.model))
    task = task_of(outputs, few.targets)
    if task is None:
        return {}
    plain_KD = [one + task.targets_KD.mean(dim=0) for one in ridge(features_KF, task.targets_KD)]
    errors_KD = [task.errors(one, 0.5) for one in plain_KD]
    loss = partial(_loss, copied.loss_fn, outputs, few.targets)
    lower = [task.kind != "numbers" or loss(one) < loss(task.outputs_KD) for one in plain_KD]
    own_KD = task.own_errors()
    avoided = [_fewer(own_KD - error_KD, task) for error_KD, is_lower in zip(errors_KD, lower, strict=True) if is_lower]
    linear_KD, bent_KD = (min(errors_KD[at : at + 2], key=lambda one: float(one.mean())) for at in (0, 2))
    return {"avoidable": max(avoided, default=0.0), "bends": _fewer(linear_KD - bent_KD, task)}


def _fewer(fewer_KD: Tensor, task: Task) -> float:
    """The mean of differences of errors; 0 if it is not clearly above it."""
    fewer_K = fewer_KD.mean(dim=1)
    error = float(fewer_K.std()) / math.sqrt(len(fewer_K))
    least = min(float(fewer_K.mean()), float((fewer_KD * task.weights()).mean()))
    return min(least, 1.0) if least > CLEARLY * error else 0.0


def _loss(loss_fn: LossFunction, outputs: Tensor, targets: Tensor, given_KD: Tensor) -> float:
    """The loss of numbers in place of the outputs."""
    with torch.no_grad(), own_randomness(0):
        return float(loss_fn(given_KD.reshape(outputs.shape).to(outputs.dtype), targets))


class Task(NamedTuple):
    """What a network's outputs should be."""

    outputs_KD: Tensor
    targets_KD: Tensor
    kind: Literal["one_class", "yes_or_no", "numbers"]

    def errors(self, given_KD: Tensor, halfway: float) -> Tensor:
        """The errors, (K, D) or (K, 1): 1 for a wrong answer, or a square's part of the variance."""
        if self.kind == "one_class":
            return (given_KD.argmax(dim=1) != self.targets_KD.argmax(dim=1)).double()[:, None]
        if self.kind == "yes_or_no":
            return ((given_KD > halfway) != (self.targets_KD > 0.5)).double()
        variance = (self.targets_KD - self.targets_KD.mean(dim=0)).square().mean().clamp(min=1e-12)
        return (given_KD - self.targets_KD).square() / variance

    def own_errors(self) -> Tensor:
        """The network's errors, (K, D) or (K, 1)."""
        return min((self.errors(self.outputs_KD, halfway) for halfway in HALFWAY), key=lambda one: float(one.mean()))

    def plain_errors(self, features_KF: Tensor) -> Tensor:
        """The errors of the best kernel of these features on samples kept from it, (K, D) or (K, 1)."""
        mean_D = self.targets_KD.mean(dim=0)
        found = [self.errors(plain_KD + mean_D, 0.5) for plain_KD in ridge(features_KF, self.targets_KD)]
        return min(found, key=lambda one: float(one.mean()))

    def weights(self) -> Tensor:
        """Weights of the errors with which every class counts the same, of mean 1, (K, D) or (K, 1)."""
        if self.kind == "numbers":
            return torch.ones_like(self.targets_KD)
        yes_D = self.targets_KD.mean(dim=0)
        if self.kind == "one_class":
            return 1 / ((self.targets_KD * yes_D).sum(dim=1, keepdim=True) * int((yes_D > 0).sum()))
        return 0.5 / torch.where(self.targets_KD > 0.5, yes_D, 1 - yes_D)


def task_of(outputs: object, targets: object) -> Task | None:
    """What is asked of the outputs; None for another form."""
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        return None
    return _of_numbers(outputs, targets) if targets.is_floating_point() else _of_classes(outputs, targets)


def _of_classes(outputs: Tensor, targets: Tensor) -> Task | None:
    has_columns = targets.ndim == 1 and outputs.ndim == 2 and 1 < outputs.shape[1] <= MOST_CLASSES
    if not has_columns or not bool(((targets >= 0) & (targets < outputs.shape[1])).all()):
        return None
    return Task(outputs.double(), one_hot(targets.long(), outputs.shape[1]).double(), "one_class")


def _of_numbers(outputs: Tensor, targets: Tensor) -> Task | None:
    if outputs.numel() != targets.numel() or not 0 < targets[0].numel() <= MOST_NUMBERS:
        return None
    own_KD, targets_KD = (one.reshape(len(targets), -1).double() for one in (outputs, targets))
    if not bool(((targets_KD == 0) | (targets_KD == 1)).all()):
        return Task(own_KD, targets_KD, "numbers")
    if targets_KD.shape[1] > 1 and bool((targets_KD.sum(dim=1) == 1).all()):
        return Task(own_KD, targets_KD, "one_class")
    return Task(own_KD, targets_KD, "yes_or_no")
