"""Faults of units, layers and their wiring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from thalweg.diagnosis.zoo.data import CLASSES, FEATURES
from thalweg.diagnosis.zoo.networks import hidden_biases, scale_weights
from thalweg.diagnosis.zoo.table import Training, case, plain, straight


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis.zoo.table import Setting


# --- units and layers -----------------------------------------------------------------------------------------------


@case("vanishing_gradients")
def deep_sigmoids(setting: Setting) -> Training:
    """Sigmoids in a deep network without shortcuts: each layer removes at least three quarters of the gradient."""
    return straight(setting, activation=nn.Sigmoid, depth=12)


@case("vanishing_gradients", optimizers=("sgd", "momentum"))
def weights_too_small(setting: Setting) -> Training:
    """A deep network with initial weights twenty times too small; Adam's adaptive rates make up for it."""
    training = straight(setting, depth=7)
    scale_weights(training.model, 0.05)
    return training


@case("exploding_gradients")
def weights_too_large(setting: Setting) -> Training:
    """Initial weights eight times too large, with clipping, as users often add."""
    training = straight(setting, depth=4)
    scale_weights(training.model, 8.0)
    training.clip = 1.0
    return training


@case("exploding_gradients", optimizers=("sgd", "momentum"))
def weights_too_large_unclipped(setting: Setting) -> Training:
    """The same without clipping: the first step throws the weights far away. Adam's steps are short, and it learns."""
    training = straight(setting, depth=5)
    scale_weights(training.model, 6.0)
    return training


@case("dead_units")
def biases_far_below_zero(setting: Setting) -> Training:
    """Biases at which every ReLU is dead."""
    training = straight(setting)
    with torch.no_grad():
        for bias in hidden_biases(training.model):
            bias.fill_(-20.0)
    return training


@case("dead_units")
def killed_by_a_spike(setting: Setting) -> Training:
    """One bad batch early on pushes the biases of the ReLUs far below zero."""
    training = straight(setting)
    biases = hidden_biases(training.model)

    def change(inputs_NF: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
        if next(count) == 15:
            with torch.no_grad():
                for bias in biases:
                    bias.sub_(30.0)
        return inputs_NF, targets_N

    count = iter(range(10**6))
    training.change = change
    return training


@case("saturated_units")
def tanh_at_its_ends(setting: Setting) -> Training:
    """Weights so large that every tanh is saturated."""
    training = straight(setting, activation=nn.Tanh)
    _drive_to_the_ends(training.model, 60.0)
    return training


@case("saturated_units")
def sigmoids_at_their_ends(setting: Setting) -> Training:
    """Sigmoids saturated by their biases."""
    training = straight(setting, activation=nn.Sigmoid)
    with torch.no_grad():
        for bias in hidden_biases(training.model):
            bias.copy_(torch.where(torch.arange(len(bias)) % 2 == 0, 15.0, -15.0))
    return training


def _drive_to_the_ends(model: nn.Module, factor: float) -> None:
    with torch.no_grad():
        for bias in hidden_biases(model):
            bias.copy_(torch.where(torch.arange(len(bias)) % 2 == 0, 1.0, -1.0) * factor / 6)


@case("symmetric_weights", networks=("perceptron", "transformer"), optimizers=("sgd", "momentum"))
def weights_all_equal(setting: Setting) -> Training:
    """All weights of a layer start at the same number; with Adam, rounding errors grow until units differ."""
    training = straight(setting)
    with torch.no_grad():
        for parameter in training.model.parameters():
            if parameter.ndim > 1:
                parameter.fill_(0.5 / parameter[0].numel())
    return training


@case("dropout_too_strong", networks=("perceptron", "cnn"))
def nearly_all_dropped(setting: Setting) -> Training:
    """A dropout of 0.9 after every activation."""
    return straight(setting, activation=lambda: nn.Sequential(nn.ReLU(), nn.Dropout(0.9)))


# --- the wiring ------------------------------------------------------------------------------------------------


@case("untrained_parameters")
def hidden_layers_forgotten(setting: Setting) -> Training:
    """An optimizer that holds only the last layer."""
    training = plain(setting)
    training.optimizer = setting.optimize(list(training.model.parameters())[-2:])
    return training


@case("untrained_parameters")
def first_layer_forgotten(setting: Setting) -> Training:
    """A layer added after the optimizer was made."""
    training = plain(setting)
    training.optimizer = setting.optimize(list(training.model.parameters())[2:])
    return training


@case("untrained_parameters")
def layers_in_a_list(setting: Setting) -> Training:
    """Layers in a plain Python list: they compute, but the optimizer never hears of them."""
    training = plain(setting)
    training.model = _Hidden(training.model)
    training.optimizer = setting.optimize(training.model.parameters())
    return training


class _Hidden(nn.Module):
    """The network in a list, and a linear layer after it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.layers = [network]
        self.last = nn.Linear(CLASSES, CLASSES)

    def forward(self, inputs_NF: Tensor) -> Tensor:
        return self.last(self.layers[0](inputs_NF))


@case("untrained_parameters")
def gradient_cut_off(setting: Setting) -> Training:
    """A `detach` in the middle of the forward pass: the layers before it get no gradient."""
    training = plain(setting)
    training.model = _Detached(training.model)
    training.optimizer = setting.optimize(training.model.parameters())
    return training


class _Detached(nn.Module):
    """The network, with its features detached before the last layer."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        last.register_forward_pre_hook(_cut)

    def forward(self, inputs_NF: Tensor) -> Tensor:
        return self.network(inputs_NF)


def _cut(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(item.detach() for item in inputs)


@case("untrained_parameters", networks=("perceptron", "cnn"))
def all_but_biases_frozen(setting: Setting) -> Training:
    """Frozen for fine-tuning and never unfrozen: only biases learn."""
    training = plain(setting)
    for parameter in training.model.parameters():
        parameter.requires_grad_(parameter.ndim == 1)
    training.optimizer = setting.optimize(p for p in training.model.parameters() if p.requires_grad)
    return training


@case("zero_grad_missing")
def zero_grad_forgotten(setting: Setting) -> Training:
    """No `zero_grad`: every step uses the sum of all gradients so far."""
    training = plain(setting, times=0.05)
    training.clear = False
    return training


@case("optimizer_not_stepping")
def optimizer_made_anew(setting: Setting) -> Training:
    """A second optimizer over the same parameters steps; the watched one never does."""
    training = plain(setting)
    training.stepped = setting.optimize(training.model.parameters())
    return training


@case("samples_mixed")
def batch_taken_for_features(setting: Setting) -> Training:
    """A `reshape` where a transpose was meant: each row holds numbers of many samples."""
    training = plain(setting)
    training.model = nn.Sequential(_Reshaped(), training.model)
    training.optimizer = setting.optimize(training.model.parameters())
    return training


class _Reshaped(nn.Module):
    """Features first, then flattened as if samples came first."""

    def forward(self, inputs_NF: Tensor) -> Tensor:
        return inputs_NF.t().reshape(inputs_NF.shape)


@case("inputs_ignored")
def norm_of_single_values(setting: Setting) -> Training:
    """A norm over each channel's single value: what it gives is its bias, whatever the inputs are."""
    training = plain(setting)
    training.model = nn.Sequential(nn.GroupNorm(FEATURES, FEATURES), training.model)
    training.optimizer = setting.optimize(training.model.parameters())
    return training


@case("wrong_mode")
def evaluated_for_ever(setting: Setting) -> Training:
    """`eval()` for the first validation, and never `train()` again: batch norm keeps its first statistics."""
    training = plain(setting, norm=True)
    training.model.eval()
    return training
