"""Faults of inputs, targets, loss, weight decay and capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import log_softmax, mse_loss, nll_loss, one_hot

from thalweg.diagnosis.zoo.data import (
    CLASSES,
    FEATURES,
    Samples,
    digits,
    few_digits,
    linear_targets,
    rare_digits,
    shuffled_digits,
)
from thalweg.diagnosis.zoo.table import Training, case, plain


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis.zoo.table import Setting


# --- inputs and targets -----------------------------------------------------------------------------------------------


@case("bad_inputs")
def inputs_all_alike(setting: Setting) -> Training:
    """A loader that repeats the same picture."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (inputs_NF[:1].expand(inputs_NF.shape).contiguous(), targets_N)
    return training


@case("bad_inputs")
def inputs_not_scaled(setting: Setting) -> Training:
    """Inputs in the hundreds, not normalized."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (inputs_NF * 100 + 300, targets_N)
    return training


@case("bad_inputs")
def inputs_with_nan(setting: Setting) -> Training:
    """A few missing values in each batch, as NaN."""
    training = plain(setting)

    def change(inputs_NF: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        inputs_NF = inputs_NF.clone()
        inputs_NF[3, 7] = torch.nan
        return inputs_NF, targets_N

    training.change = change
    return training


@case("bad_inputs")
def inputs_flat(setting: Setting) -> Training:
    """Divided by 255 twice, around a constant: pictures differ by a thousandth of that constant."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (1.0 + inputs_NF * 1e-3, targets_N)
    return training


@case("target_leakage")
def labels_in_a_column(setting: Setting) -> Training:
    """The labels were not dropped from the table: a column of the inputs holds them."""
    training = plain(setting)

    def change(inputs_NF: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        inputs_NF = inputs_NF.clone()
        inputs_NF[:, 0] = targets_N - (CLASSES - 1) / 2
        return inputs_NF, targets_N

    training.change = change
    return training


@case("targets_unrelated")
def labels_shuffled(setting: Setting) -> Training:
    """Pictures and labels in different orders: there is nothing to learn."""
    training = plain(setting)
    training.samples, training.steps = shuffled_digits(setting.seed), 300
    return training


@case("bad_targets")
def labels_all_one(setting: Setting) -> Training:
    """A failed lookup gives every picture the same class: the loss falls, but nothing is learned."""
    training = plain(setting)
    training.change = lambda inputs_NF, targets_N: (inputs_NF, torch.full_like(targets_N, 3))
    return training


@case("not_shuffled", networks=("perceptron", "cnn"), optimizers=("momentum", "adam"))
def sorted_by_class(setting: Setting) -> Training:
    """Twenty batches of one class, then twenty of the next."""
    training = plain(setting)
    samples = digits()
    rows = [(samples.targets_N == label).nonzero()[:, 0] for label in range(CLASSES)]

    def batch_of(step: int, seed: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        row_N = rows[step // 20 % CLASSES]
        chosen_N = row_N[torch.randint(len(row_N), (training.size,), generator=generator)]
        return samples.inputs_NF[chosen_N], samples.targets_N[chosen_N]

    training.batch_of, training.steps = batch_of, 210
    return training


@case("same_batch")
def first_batch_only(setting: Setting) -> Training:
    """The loader begins anew in every step, so that every step gets its first batch."""
    training = plain(setting)
    first = training.batch(0)
    training.batch_of, training.other = lambda _step, _seed: first, True
    return training


@case("class_imbalance")
def one_in_a_hundred(setting: Setting) -> Training:
    """One sample in a hundred is of the wanted class, and hard to tell: always saying no is nearly as good."""
    training = plain(setting, times=0.3)
    training.samples, training.size = rare_digits(setting.seed), 192
    return training


@case("bad_targets")
def shapes_that_broadcast(setting: Setting) -> Training:
    """A regression of shape (N, 1) against targets of shape (N,): every output is compared with every target."""
    training = plain(setting)
    training.model = nn.Sequential(training.model, nn.Linear(CLASSES, 1))
    training.optimizer = setting.optimize(training.model.parameters(), times=0.2)
    samples = linear_targets(setting.seed, noise=0.1)
    training.samples = Samples(
        samples.inputs_NF, samples.targets_N[:, 0], samples.valid_inputs_NF, samples.valid_targets_N[:, 0]
    )
    training.loss_fn = _quiet_mse
    return training


def _quiet_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error with broadcasting, without the warning of `mse_loss`."""
    return (outputs - targets).square().mean()


# --- the loss ----------------------------------------------------------------------------------------------


@case("wrong_loss")
def softmax_twice(setting: Setting) -> Training:
    """A softmax at the end of the network and another in the loss."""
    training = plain(setting)
    training.model = nn.Sequential(training.model, nn.Softmax(dim=1))
    training.optimizer = setting.optimize(training.model.parameters())
    return training


@case("wrong_loss")
def squared_error_in_its_flat(setting: Setting) -> Training:
    """Mean squared error after a softmax that is confident in the wrong class: flat where cross-entropy is steep."""
    training = plain(setting)
    last = [module for module in training.model.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.bias.zero_()
        last.bias[setting.seed % CLASSES] = 20.0
    training.model = nn.Sequential(training.model, nn.Softmax(dim=1))
    training.optimizer = setting.optimize(training.model.parameters(), times=0.1)
    training.loss_fn = lambda outputs, targets: mse_loss(outputs, one_hot(targets, CLASSES).float())
    return training


@case("wrong_loss")
def likelihood_of_raw_logits(setting: Setting) -> Training:
    """The negative log-likelihood of raw logits, without log-softmax: it falls without bound."""
    training = plain(setting, times=0.02)
    training.loss_fn = nll_loss
    return training


@case("wrong_loss")
def sign_turned(setting: Setting) -> Training:
    """A likelihood that is minimized instead of maximized."""
    training = plain(setting, times=0.005)
    training.loss_fn = lambda outputs, targets: -nll_loss(log_softmax(outputs, dim=1), targets)
    return training


# --- weight decay, capacity, data ---------------------------------------------------------------------------


@case("weight_decay_too_strong")
def decay_too_strong(setting: Setting) -> Training:
    """A weight decay that is a thousand times too strong: gradient and decay cancel."""
    return plain(setting, decay=0.3)


@case("weight_decay_too_strong")
def decay_in_place_of_rate(setting: Setting) -> Training:
    """Learning rate and weight decay swapped."""
    return plain(setting, decay=1.0)


@case("model_too_small", networks=("perceptron", "cnn"))
def layers_without_activation(setting: Setting) -> Training:
    """A deep network without activation functions, on a task that is not linear."""
    training = plain(setting, activation=nn.Identity)
    training.steps = 500
    generator = torch.Generator().manual_seed(setting.seed)
    hidden_NF = torch.randn(3000, 6, generator=generator)
    targets_N = ((hidden_NF[:, ::2] * hidden_NF[:, 1::2] > 0).long() * torch.tensor([1, 2, 4])).sum(dim=1)
    inputs_NF = hidden_NF @ torch.randn(6, FEATURES, generator=generator) / 6**0.5
    training.samples = Samples(inputs_NF[:2700], targets_N[:2700], inputs_NF[2700:], targets_N[2700:])
    return training


@case("model_too_small", networks=("perceptron",))
def line_for_rings(setting: Setting) -> Training:
    """Classes in concentric rings, and a linear network."""
    torch.manual_seed(setting.seed)
    model = nn.Linear(2, 3)
    generator = torch.Generator().manual_seed(setting.seed)
    targets_N = torch.randint(3, (1500,), generator=generator)
    angle_N = torch.rand(1500, generator=generator) * 6.2832
    radius_N = 0.5 + targets_N + 0.1 * torch.randn(1500, generator=generator)
    inputs_NF = torch.stack([radius_N * angle_N.cos(), radius_N * angle_N.sin()], dim=1)
    samples = Samples(inputs_NF, targets_N, inputs_NF[:100], targets_N[:100])
    return Training(model, setting.optimize(model.parameters(), times=2.0), samples, seed=setting.seed)


@case("overfitting")
def learned_by_heart(setting: Setting) -> Training:
    """Eighty pictures, some with wrong labels, repeated."""
    training = plain(setting)
    training.samples = few_digits(80, wrong=0.2, seed=setting.seed)
    training.steps, training.validate = 400, True
    return training


@case("overfitting")
def learned_by_heart_wide(setting: Setting) -> Training:
    """Forty pictures, and a network that is far too wide."""
    training = plain(setting, width=96)
    training.samples = few_digits(40, wrong=0.1, seed=setting.seed)
    training.steps, training.validate = 400, True
    return training


@case("batchnorm_mismatch")
def statistics_never_updated(setting: Setting) -> Training:
    """Batch norm with a momentum of zero, on inputs that do not match its initial statistics."""
    return _stale(setting, momentum=0.0, times=3.0, offset=4.0)


@case("batchnorm_mismatch")
def statistics_too_slow(setting: Setting) -> Training:
    """A batch-norm momentum in the opposite convention of another library: the running statistics lag behind."""
    return _stale(setting, momentum=0.001, times=2.0, offset=-3.0)


def _stale(setting: Setting, *, momentum: float, times: float, offset: float) -> Training:
    """Running statistics that follow too slowly, on scaled and shifted inputs."""
    training = plain(setting, norm=True)
    for module in training.model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = momentum
    training.change = lambda inputs_NF, targets_N: (inputs_NF * times + offset, targets_N)
    return training
