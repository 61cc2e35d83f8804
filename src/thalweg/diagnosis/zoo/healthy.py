"""Healthy trainings: still learning, or converged."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from thalweg.diagnosis.zoo.data import FEATURES, built_in, few_digits, linear_targets, noisy_digits
from thalweg.diagnosis.zoo.table import STEPS, Training, case, plain


if TYPE_CHECKING:
    from thalweg.diagnosis.zoo.table import Setting

WELL = ("healthy", "converged")


@case(*WELL)
def digits_short(setting: Setting) -> Training:
    """Handwritten digits, stopped while the loss still falls."""
    training = plain(setting, times=0.5)
    training.steps = 100
    return training


@case(*WELL)
def digits_long(setting: Setting) -> Training:
    """Handwritten digits, to a loss near zero."""
    training = plain(setting)
    training.steps = 500
    return training


@case(*WELL)
def digits_cosine(setting: Setting) -> Training:
    """Annealed to zero by a cosine."""
    training = plain(setting)
    training.rate_at = lambda step: 0.5 * (1 + math.cos(math.pi * step / STEPS))
    return training


@case(*WELL)
def digits_warm_up(setting: Setting) -> Training:
    """Warmed up, then constant."""
    training = plain(setting)
    training.rate_at = lambda step: min(1.0, (step + 1) / 50)
    return training


@case(*WELL)
def digits_with_norm(setting: Setting) -> Training:
    """With batch norm."""
    return plain(setting, norm=True)


@case(*WELL)
def digits_with_tanh(setting: Setting) -> Training:
    """With tanh."""
    return plain(setting, activation=nn.Tanh)


@case(*WELL)
def digits_with_decay(setting: Setting) -> Training:
    """With a usual weight decay."""
    return plain(setting, decay=5e-4)


@case(*WELL)
def digits_smoothed(setting: Setting) -> Training:
    """With label smoothing: a loss that does not go to zero."""
    training = plain(setting)
    training.loss_fn = lambda outputs, targets: cross_entropy(outputs, targets, label_smoothing=0.1)
    return training


@case(*WELL)
def digits_validated(setting: Setting) -> Training:
    """With validation losses, which fall as well."""
    training = plain(setting)
    training.validate = True
    return training


@case(*WELL)
def digits_noisy(setting: Setting) -> Training:
    """Noisy pictures, small batches, still learning."""
    training = plain(setting, times=0.3)
    training.samples, training.size, training.steps = noisy_digits(wrong=0.1, seed=setting.seed), 16, 150
    return training


@case(*WELL, networks=("perceptron",))
def line_converged(setting: Setting) -> Training:
    """A linear regression at its only minimum: the remaining loss is the noise of the data."""
    torch.manual_seed(setting.seed)
    model = nn.Linear(FEATURES, 1)
    times = 0.05 if setting.optimizer == "momentum" else 0.2
    training = Training(
        model,
        setting.optimize(model.parameters(), times=times if setting.optimizer != "adam" else 1.0),
        linear_targets(setting.seed, noise=0.05),
        loss_fn=mse_loss,
        seed=setting.seed,
        steps=600,
        size=400,
    )
    training.rate_at = lambda step: 1.0 if step < 350 else 0.1
    return training


@case(*WELL)
def head_on_frozen_features(setting: Setting) -> Training:
    """Fine-tuning: a trained network is frozen, and a new last layer learns."""
    training = plain(setting, width=64)
    parameters = list(training.model.parameters())
    adam = torch.optim.Adam(parameters, lr=3e-3)
    for step in range(100):
        inputs_NF, targets_N = training.batch(10_000 + step)
        adam.zero_grad()
        cross_entropy(training.model(inputs_NF), targets_N).backward()
        adam.step()
    adam.zero_grad()
    last = [module for module in training.model.modules() if isinstance(module, nn.Linear)][-1]
    last.reset_parameters()
    for parameter in parameters[:-2]:
        parameter.requires_grad_(False)  # noqa: FBT003 - torch's signature
    training.optimizer = setting.optimize(parameters[-2:])
    return training


@case(*WELL)
def few_learned_whole(setting: Setting) -> Training:
    """The same 48 pictures in every batch, to a loss of zero."""
    training = plain(setting)
    samples = few_digits(48, wrong=0.0, seed=setting.seed)
    training.batch_of = lambda _step, _seed: (samples.inputs_NF, samples.targets_N)
    training.steps = 300
    return training


@case(*WELL)
def digits_with_dropout(setting: Setting) -> Training:
    """Dropout before the last layer."""
    training = plain(setting)
    training.model = nn.Sequential(nn.Dropout(0.1), training.model)
    training.optimizer = setting.optimize(training.model.parameters())
    return training


@case(*WELL)
def clothes(setting: Setting) -> Training:
    """Photos of clothes from the built-in set, eight pixels wide."""
    training = plain(setting, times=0.5)
    training.samples = built_in()
    return training
