"""Mutations: each puts one fault into the healthy training of a family.

A mutation that does a family no harm is no fault there. `hurts` decides that on samples kept out, without a look at
the verdict: the training must keep more than 30 % of what the healthy one takes off the first loss.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.diagnosis.zoo.networks import hidden_biases, scale_weights


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.diagnosis.zoo.families.family import Family
    from thalweg.diagnosis.zoo.table import Training

HARM = 0.3


@dataclass(frozen=True, slots=True)
class Mutation:
    """One kind of fault.

    Attributes:
        name: of the mutation.
        truth: the codes that are correct; the first is the intended one.
        change: changes a training of a family; None where the fault cannot exist.
    """

    name: str
    truth: tuple[str, ...]
    change: Callable[[Training, Family], Training | None]


MUTATIONS: dict[str, Mutation] = {}


def mutation(
    *truth: str,
) -> Callable[[Callable[[Training, Family], Training | None]], Callable[[Training, Family], Training | None]]:
    """Add a function to the table, under its own name."""

    def enter(change: Callable[[Training, Family], Training | None]) -> Callable[[Training, Family], Training | None]:
        MUTATIONS[change.__name__] = Mutation(change.__name__, truth, change)
        return change

    return enter


def hurts(first: float, healthy: float, faulty: float) -> bool:
    """Whether a fault does harm.

    Args:
        first: the loss on samples kept out, before the healthy training.
        healthy: after it.
        faulty: after the faulty training, of the same loss on the same samples.

    Example:
        >>> hurts(2.3, 0.3, 2.0), hurts(2.3, 0.3, 0.4)
        (True, False)
    """
    return not math.isfinite(faulty) or faulty - healthy > HARM * (first - healthy)


def _times(training: Training, factor: float) -> Training:
    for group in training.optimizer.param_groups:
        group["lr"] *= factor
    return training


def _again(training: Training, family: Family, parameters: list[nn.Parameter], *, decay: float = 0.0) -> Training:
    return replace(training, optimizer=family.optimize(parameters, decay=decay))


# --- rates and lengths ------------------------------------------------------------------------------------------------


@mutation("lr_too_small")
def rate_a_thousandth(training: Training, _family: Family) -> Training:
    """A thousandth of the rate."""
    return _times(training, 1e-3)


@mutation("lr_too_large", "diverged")
def rate_a_hundredfold(training: Training, _family: Family) -> Training:
    """A hundred times the rate."""
    return _times(training, 100.0)


@mutation("decayed_too_early")
def decayed_at_a_tenth(training: Training, _family: Family) -> Training:
    """The rate falls to a thousandth after a twentieth of the steps, as if a schedule counted epochs by batches."""
    return replace(training, rate_at=lambda step: 1.0 if step < training.steps // 20 else 1e-3)


@mutation("clipped_too_hard", "lr_too_small")
def clipped_to_nothing(training: Training, family: Family) -> Training | None:
    """A largest gradient norm of 1e-3; Adam scales it up again."""
    return replace(training, clip=1e-3) if family.optimizer == "sgd" else None


@mutation("weight_decay_too_strong")
def decay_too_strong(training: Training, family: Family) -> Training:
    """A weight decay of one."""
    return _again(training, family, list(training.model.parameters()), decay=1.0)


@mutation("too_few_steps", "lr_too_small")
def ten_steps(training: Training, _family: Family) -> Training:
    """Ten steps, and then the question why it has not learned."""
    return replace(training, steps=10)


# --- wiring -----------------------------------------------------------------------------------------------------------


@mutation("zero_grad_missing")
def never_cleared(training: Training, _family: Family) -> Training:
    """`zero_grad` is forgotten."""
    return replace(training, clear=False)


@mutation("optimizer_not_stepping")
def never_stepped(training: Training, _family: Family) -> Training:
    """The loop steps the optimizer of something else."""
    return replace(training, stepped=torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1))


@mutation("untrained_parameters")
def only_the_last_layer_handed_over(training: Training, family: Family) -> Training:
    """The optimizer has the last layer's weights only."""
    return _again(training, family, list(training.model.parameters())[-2:])


@mutation("untrained_parameters")
def frozen_but_for_the_last_layer(training: Training, _family: Family) -> Training:
    """All but the last layer are frozen, with random weights."""
    for parameter in list(training.model.parameters())[:-2]:
        parameter.requires_grad_(False)  # noqa: FBT003 - torch's signature
    return training


@mutation("wrong_mode")
def in_evaluation_mode(training: Training, _family: Family) -> Training:
    """`eval()` before the loop."""
    training.model.eval()
    return training


# --- weights ----------------------------------------------------------------------------------------------------------


@mutation("symmetric_weights", "saddle")
def weights_all_equal(training: Training, _family: Family) -> Training:
    """Every matrix holds one number."""
    with torch.no_grad():
        for parameter in training.model.parameters():
            if parameter.ndim > 1:
                parameter.fill_(0.05)
    return training


@mutation("exploding_gradients", "saturated_units")
def weights_tenfold(training: Training, _family: Family) -> Training:
    """Initial weights ten times too large."""
    scale_weights(training.model, 10.0)
    return training


@mutation("dead_units")
def biases_far_below_zero(training: Training, _family: Family) -> Training | None:
    """Biases at which every ReLU is dead."""
    biases = hidden_biases(training.model) if any(isinstance(m, nn.ReLU) for m in training.model.modules()) else []
    with torch.no_grad():
        for bias in biases:
            bias.fill_(-30.0)
    return training if biases else None


@mutation("dropout_too_strong")
def nearly_all_dropped(training: Training, _family: Family) -> Training | None:
    """A probability of keeping is given for that of dropping."""
    dropping = [module for module in training.model.modules() if isinstance(module, nn.Dropout)]
    for module in dropping:
        module.p = 0.95
    return training if dropping else None


# --- data -------------------------------------------------------------------------------------------------------------


@mutation("bad_inputs")
def inputs_a_thousandfold(training: Training, _family: Family) -> Training | None:
    """Inputs in other units."""
    if not training.samples.inputs_NF.is_floating_point():
        return None
    return replace(training, change=lambda inputs, targets: (1000 * inputs + 500, targets))


@mutation("bad_inputs")
def inputs_with_gaps(training: Training, _family: Family) -> Training | None:
    """A missing value in one of fifty numbers."""
    if not training.samples.inputs_NF.is_floating_point():
        return None

    def change(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        gaps = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(0)) < 0.02
        return inputs.masked_fill(gaps, torch.nan), targets

    return replace(training, change=change)


@mutation("bad_targets")
def targets_of_other_samples(training: Training, family: Family) -> Training | None:
    """Labels that were shuffled without their inputs, anew for every batch."""
    if family.task == "own":
        return None

    def change(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets[torch.randperm(len(targets), generator=torch.Generator().manual_seed(next(count)))]

    count = iter(range(10**6))
    return replace(training, change=change)


@mutation("not_shuffled")
def sorted_by_class(training: Training, family: Family) -> Training | None:
    """Batches of one class after another."""
    samples = training.samples
    if family.task != "classes" or not family.size:
        return None
    order_N = samples.targets_N.argsort(stable=True)

    def batch_of(step: int, _seed: int) -> tuple[Tensor, Tensor]:
        first = step * training.size % (len(order_N) - training.size)
        rows = order_N[first : first + training.size]
        return samples.inputs_NF[rows], samples.targets_N[rows]

    return replace(training, batch_of=batch_of)


@mutation("bad_targets")
def targets_that_broadcast(training: Training, family: Family) -> Training | None:
    """Targets of shape (N, 1) against outputs of shape (N,), or the other way round."""
    if family.task != "numbers" or training.samples.targets_N[0].numel() != 1:
        return None

    def change(inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        return inputs, targets[:, 0] if targets.ndim == 2 else targets[:, None]

    return replace(training, change=change)


# --- the loss ---------------------------------------------------------------------------------------------------------


@mutation("wrong_loss")
def squashed_twice(training: Training, family: Family) -> Training | None:
    """A softmax before cross-entropy, or a sigmoid before the binary one that applies its own."""
    raw = training.loss_fn
    if family.task == "classes":
        training.model = nn.Sequential(training.model, nn.Softmax(dim=-1))
    elif family.task == "binary":
        training.model = nn.Sequential(training.model, nn.Sigmoid())
    else:
        return None
    return replace(training, loss_fn=raw)


@mutation("wrong_loss")
def softmax_over_the_batch(training: Training, family: Family) -> Training | None:
    """A softmax over the samples."""
    if family.task != "classes":
        return None
    training.model = nn.Sequential(training.model, nn.Softmax(dim=0))
    return training


@mutation("wrong_loss")
def sign_turned(training: Training, _family: Family) -> Training:
    """The negative of the loss is minimized."""
    raw = training.loss_fn
    return replace(training, loss_fn=lambda outputs, targets: -raw(outputs, targets))
