"""Mutations: each injects one fault into a healthy program of a family.

A mutation counts as a fault of a program only if it harms it: the held-out score falls below three quarters of that of
the healthy twin with the same seed. This was fixed before any verdict was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import nll_loss

from thalweg.diagnosis.zoo.networks import hidden_biases, scale_weights
from thalweg.probes.batches import loss_function


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.diagnosis.zoo.families.program import Program

HARMED = 0.75  # share of the healthy twin's held-out score


@dataclass(frozen=True, slots=True)
class Mutation:
    """A fault to inject.

    Attributes:
        name: of the mutation.
        truth: the codes that are correct; the first is the intended one.
        inject: changes a program.
        applies: whether a program can have this fault.
    """

    name: str
    truth: tuple[str, ...]
    inject: Callable[[Program], None]
    applies: Callable[[Program], bool]


MUTATIONS: dict[str, Mutation] = {}


def _always(_program: Program) -> bool:
    return True


def _classes(program: Program) -> bool:
    return program.task == "classes"


def _floats(program: Program) -> bool:
    """Whether its batches come from inputs of real numbers."""
    return "batch_of" not in program.loop and program.samples.inputs_NF.is_floating_point()


def _labels(program: Program) -> bool:
    return program.task in {"classes", "logit"} and program.samples.targets_N.ndim == 1


def mutation(
    *truth: str, applies: Callable[[Program], bool] = _always
) -> Callable[[Callable[[Program], None]], Callable[[Program], None]]:
    """Add a function to the table, under its own name."""

    def enter(inject: Callable[[Program], None]) -> Callable[[Program], None]:
        MUTATIONS[inject.__name__] = Mutation(inject.__name__, truth, inject, applies)
        return inject

    return enter


# --- rates and steps -----------------------------------------------------------------------------------------------


@mutation("lr_too_large", "diverged")
def rate_times_300(program: Program) -> None:
    """A rate three hundred times too large."""
    program.rate *= 300


@mutation("lr_too_small")
def rate_by_1000(program: Program) -> None:
    """A thousandth of the rate."""
    program.rate /= 1000


@mutation("decayed_too_early")
def decayed_at_once(program: Program) -> None:
    """A schedule that loses half of the rate at every step."""
    program.loop["rate_at"] = lambda step: max(0.5**step, 1e-5)


@mutation("clipped_too_hard")
def clipped_hard(program: Program) -> None:
    """A largest gradient norm of a thousandth."""
    program.loop["clip"] = 1e-3


@mutation("too_few_steps")
def few_steps(program: Program) -> None:
    """Fifteen steps."""
    program.steps = 15


@mutation("zero_grad_missing")
def gradients_pile_up(program: Program) -> None:
    """No `zero_grad`."""
    program.loop["clear"] = False


@mutation("optimizer_not_stepping")
def step_forgotten(program: Program) -> None:
    """The watched optimizer never steps."""
    program.loop["stepped"] = torch.optim.SGD([torch.zeros(1)], lr=0.0)


@mutation("weight_decay_too_strong")
def decay_too_strong(program: Program) -> None:
    """A weight decay of 1; of 30 where it is decoupled from the gradient and scaled by the rate."""
    program.options = {**program.options, "weight_decay": 30.0 if program.optimizer is torch.optim.AdamW else 1.0}


# --- layers --------------------------------------------------------------------------------------------------------


@mutation("untrained_parameters", applies=lambda program: bool(program.head))
def only_head_trained(program: Program) -> None:
    """An optimizer that holds the last layer only."""
    program.trained = list(program.model.get_submodule(program.head).parameters())


@mutation("untrained_parameters", applies=lambda program: bool(program.head))
def frozen(program: Program) -> None:
    """All weights but the last layer's biases frozen."""
    last = list(program.model.get_submodule(program.head).parameters())[-1]
    for parameter in program.model.parameters():
        parameter.requires_grad_(parameter is last)


class Detached(nn.Module):
    """Cuts the graph."""

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers."""
        return x.detach()


class Mixed(nn.Module):
    """A `view` where a transpose was meant: each row holds numbers of many samples."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x.transpose(0, 1).reshape(x.shape)


def _after_body(program: Program, *modules: nn.Module) -> None:
    program.replace(program.body, nn.Sequential(program.model.get_submodule(program.body), *modules))


@mutation("untrained_parameters")
def body_detached(program: Program) -> None:
    """A `detach` in the middle of the forward pass."""
    _after_body(program, Detached())


@mutation("samples_mixed")
def rows_mixed(program: Program) -> None:
    """A `view` where a transpose was meant."""
    _after_body(program, Mixed())


@mutation("dropout_too_strong")
def dropout_strong(program: Program) -> None:
    """A dropout of 0.98."""
    _after_body(program, nn.Dropout(0.98))


def _linear(program: Program, inputs: int, outputs: int) -> nn.Module:
    convolves = any(isinstance(part, nn.Conv2d) for part in program.model.get_submodule(program.body).modules())
    return nn.Conv2d(inputs, outputs, 1) if convolves else nn.Linear(inputs, outputs)


@mutation("vanishing_gradients")
def sigmoids_deep(program: Program) -> None:
    """Eight layers with sigmoids in the middle."""
    width = program.width
    _after_body(program, *(part for _ in range(8) for part in (_linear(program, width, width), nn.Sigmoid())))


@mutation("model_too_small")
def bottleneck(program: Program) -> None:
    """One unit in the middle."""
    _after_body(program, _linear(program, program.width, 1), _linear(program, 1, program.width))


@mutation("symmetric_weights", "saddle")
def weights_zero(program: Program) -> None:
    """All weights zero."""
    with torch.no_grad():
        for parameter in program.model.parameters():
            parameter.zero_()


@mutation("exploding_gradients", "saturated_units")
def weights_times_8(program: Program) -> None:
    """Initial weights eight times too large."""
    scale_weights(program.model, 8.0)


@mutation("vanishing_gradients", "saddle")
def weights_by_20(program: Program) -> None:
    """Initial weights twenty times too small."""
    scale_weights(program.model, 0.05)


@mutation("dead_units", applies=lambda program: bool(hidden_biases(program.model)))
def biases_dead(program: Program) -> None:
    """Biases far below zero before the activations."""
    with torch.no_grad():
        for bias in hidden_biases(program.model):
            bias.fill_(-20.0)


@mutation(
    "wrong_mode",
    applies=lambda program: any(isinstance(part, nn.BatchNorm2d | nn.Dropout) for part in program.model.modules()),
)
def trained_in_eval(program: Program) -> None:
    """Never put back into training mode."""
    program.loop["evaluating"] = True


# --- the loss ------------------------------------------------------------------------------------------------------


def _after_head(program: Program, module: nn.Module) -> None:
    program.replace(program.head, nn.Sequential(program.model.get_submodule(program.head), module))


@mutation("wrong_loss", applies=_classes)
def softmax_twice(program: Program) -> None:
    """A softmax before cross-entropy."""
    _after_head(program, nn.Softmax(1))


@mutation("wrong_loss", "samples_mixed", applies=_classes)
def softmax_over_batch(program: Program) -> None:
    """A softmax over the samples of the batch."""
    _after_head(program, nn.Softmax(0))


@mutation("wrong_loss", applies=lambda program: program.task == "logit")
def sigmoid_twice(program: Program) -> None:
    """A sigmoid before a loss that takes logits."""
    _after_head(program, nn.Sigmoid())


@mutation("wrong_loss", applies=lambda program: program.loss_fn is not None)
def sign_turned(program: Program) -> None:
    """A loss that is maximized."""
    loss_fn = loss_function(program.loss_fn)
    program.loss_fn = lambda outputs, targets: -loss_fn(outputs, targets)


@mutation("wrong_loss", applies=_classes)
def likelihood_of_logits(program: Program) -> None:
    """The negative log-likelihood of raw logits."""
    program.loss_fn = nll_loss


# --- the data ------------------------------------------------------------------------------------------------------


@mutation("bad_inputs", applies=_floats)
def inputs_huge(program: Program) -> None:
    """Inputs in the hundreds and thousands, in training and evaluation."""
    samples = program.samples
    program.samples = replace(
        samples, inputs_NF=samples.inputs_NF * 1000, valid_inputs_NF=samples.valid_inputs_NF * 1000
    )


@mutation("bad_inputs", applies=_floats)
def inputs_with_nan(program: Program) -> None:
    """A missing number in every tenth sample."""
    inputs = program.samples.inputs_NF.clone()
    inputs.flatten(1)[::10, 0] = torch.nan
    program.samples = replace(program.samples, inputs_NF=inputs)


@mutation("bad_inputs", applies=_floats)
def inputs_constant(program: Program) -> None:
    """The same input in every sample."""
    inputs = program.samples.inputs_NF
    program.samples = replace(program.samples, inputs_NF=inputs[:1].expand(inputs.shape).contiguous())


@mutation("targets_unrelated", applies=lambda program: "batch_of" not in program.loop and program.loss_fn is not None)
def targets_permuted(program: Program) -> None:
    """Inputs and targets in different orders."""
    targets = program.samples.targets_N
    order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(program.seed))
    program.samples = replace(program.samples, targets_N=targets[order])


@mutation("bad_targets", applies=_labels)
def one_label(program: Program) -> None:
    """A failed lookup gives every sample the same class."""
    program.samples = replace(program.samples, targets_N=torch.zeros_like(program.samples.targets_N))


def _squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


@mutation(
    "bad_targets",
    applies=lambda program: program.task == "values" and program.samples.targets_N[0].numel() == 1,
)
def targets_broadcast(program: Program) -> None:
    """(N, 1) against (N,): every output is compared with every target."""
    targets = program.samples.targets_N
    program.samples = replace(program.samples, targets_N=targets[:, 0] if targets.ndim == 2 else targets[:, None])
    program.loss_fn = _squared


@mutation("same_batch", applies=lambda program: "batch_of" not in program.loop and program.loss_fn is not None)
def first_batch_only(program: Program) -> None:
    """The same batch in every step."""
    first = program.samples.batch(0, program.size, program.seed)
    program.loop |= {"batch_of": lambda _step, _seed: first, "other": True}


@mutation("not_shuffled", applies=_labels)
def sorted_by_class(program: Program) -> None:
    """Each class for an equal part of the steps."""
    samples, size, steps = program.samples, program.size, program.steps
    order = samples.targets_N.argsort(stable=True)

    def batch_of(step: int, _seed: int) -> tuple[Tensor, Tensor]:
        at = int(step / steps * (len(order) - size))
        return samples.inputs_NF[order[at : at + size]], samples.targets_N[order[at : at + size]]

    program.loop["batch_of"] = batch_of
