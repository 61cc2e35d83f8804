"""Faults of the rate and of the surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from thalweg.diagnosis.curvature import HessianOperator, extremes
from thalweg.diagnosis.zoo.data import (
    CLASSES,
    digits,
    noisy_digits,
)
from thalweg.diagnosis.zoo.networks import features_of, hidden_biases, scale_weights
from thalweg.diagnosis.zoo.table import Training, case, plain


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis.zoo.table import Setting


# --- the rate -------------------------------------------------------------------------------------------------------


@case("lr_too_small")
def rate_a_thousandth(setting: Setting) -> Training:
    """A thousandth of the suitable rate."""
    return plain(setting, times=1e-3)


@case("lr_too_small")
def rate_a_hundred_thousandth(setting: Setting) -> Training:
    """A rate with three zeros too many."""
    return plain(setting, times=1e-5)


@case("clipped_too_hard", optimizers=("sgd", "momentum"))
def clipped_to_nothing(setting: Setting) -> Training:
    """A largest gradient norm of a ten-thousandth; Adam would scale the steps up again."""
    training = plain(setting)
    training.clip = 1e-4
    return training


@case("too_few_steps", "lr_too_small", optimizers=("sgd", "momentum"))
def thirty_steps(setting: Setting) -> Training:
    """Large batches, so that an epoch has few steps, at a cautious rate."""
    training = plain(setting, times=0.2)
    training.steps, training.size = 30, 512
    return training


@case("lr_too_large")
def rate_too_large(setting: Setting) -> Training:
    """A rate at which the loss goes up and down but not lower; clipping keeps it finite."""
    training = plain(setting, times={"sgd": 30.0, "momentum": 30.0, "adam": 60.0}[setting.optimizer])
    training.clip = 1.0
    return training


@case("lr_too_large", "diverged")
def rate_too_large_late(setting: Setting) -> Training:
    """A warm-up that does not stop: a suitable rate for a third of the steps, then up to fifty times as much."""
    training = plain(setting, times=0.5)
    most = 100.0 if setting.network == "transformer" else 200.0
    training.clip = 1.0
    training.rate_at = lambda step: min(most, max(1.0, most * (step / STEPS_OF_WARM_UP) ** 3))
    return training


STEPS_OF_WARM_UP = 100


@case("lr_too_large", "diverged")
def rate_diverges(setting: Setting) -> Training:
    """A rate at which training diverges within a few steps."""
    return plain(setting, times={"sgd": 1e4, "momentum": 1e4, "adam": 1e5}[setting.optimizer])


@case("diverged")
def loss_overflows(setting: Setting) -> Training:
    """Healthy, until the logarithm of zero makes every weight NaN."""
    training = plain(setting)
    count = iter(range(10**6))

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        loss = cross_entropy(outputs, targets)
        return loss if next(count) < 120 or not torch.is_grad_enabled() else loss - torch.log(0 * loss)

    training.loss_fn = loss_fn
    return training


@case("decayed_too_early")
def decayed_at_a_tenth(setting: Setting) -> Training:
    """A step schedule with a milestone that is far too early."""
    training = plain(setting, times=0.3)
    training.rate_at = lambda step: 1.0 if step < 20 else 1e-3
    return training


@case("decayed_too_early")
def decayed_exponentially(setting: Setting) -> Training:
    """An exponential decay meant for epochs but applied at every step."""
    training = plain(setting, times=0.3)
    training.rate_at = lambda step: 0.85**step
    return training


@case("noise_floor", optimizers=("sgd", "momentum"))
def noise_of_four_samples(setting: Setting) -> Training:
    """Four samples per step, a constant rate, and labels that contradict each other."""
    training = plain(setting)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.4, seed=setting.seed), 4, 1000
    return training


@case("noise_floor")
def noise_of_small_batches(setting: Setting) -> Training:
    """Small batches at a large constant rate: the steps average out."""
    training = plain(setting, times=2.0 if setting.optimizer != "adam" else 3.0)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.5, seed=setting.seed), 8, 1000
    return training


# --- the surface ----------------------------------------------------------------------------------------------------


@case("ill_conditioned", optimizers=("sgd", "momentum"))
def convex_valley(setting: Setting) -> Training:
    """A linear layer on features whose scales differ a hundredfold: the course's valley in hundreds of dimensions."""
    torch.manual_seed(setting.seed)
    whole = digits()
    features_NF = features_of(setting.build(), whole.inputs_NF[:200])
    features_NF[:, ::4] *= 100.0
    targets_NC = one_hot(whole.targets_N[:200], CLASSES).float()
    model = nn.Linear(features_NF.shape[1], CLASSES)
    batch = features_NF / features_NF.std(), targets_NC
    training = Training(model, at_the_edge(setting, model, mse_loss, batch, share=0.95), whole, loss_fn=mse_loss)
    training.batch_of = lambda _step, _seed: batch
    return training


def at_the_edge(
    setting: Setting, model: nn.Module, loss_fn: Any, batch: tuple[Tensor, Tensor], *, share: float
) -> torch.optim.SGD:
    """Gradient descent at a share of the largest stable rate, 2 (1 + momentum) / largest curvature."""
    with HessianOperator(model, loss_fn, [batch], mode="train") as operator:
        sharpest = extremes(operator, which="largest").largest.value
    momentum = 0.9 if setting.optimizer == "momentum" else 0.0
    rate = share * 2 * (1 + momentum) / sharpest
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)


@case("symmetric_weights", "saddle", networks=("perceptron", "cnn"))
def weights_all_zero(setting: Setting) -> Training:
    """All weights zero: the gradient vanishes everywhere except in the last bias, which soon stops learning."""
    training = plain(setting, activation=nn.Tanh, depth=1)
    scale_weights(training.model, 0.0)
    with torch.no_grad():
        for bias in hidden_biases(training.model):
            bias.zero_()
    return training


@case("symmetric_weights", "saddle", networks=("perceptron",))
def two_last_layers_zero(setting: Setting) -> Training:
    """The last two layers zero, both initialized to start small: each waits for the other."""
    training = plain(setting, activation=nn.Tanh)
    for layer in [m for m in training.model.modules() if isinstance(m, nn.Linear)][-2:]:
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return training
