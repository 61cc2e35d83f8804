"""Faults of units, first weights and capacity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from thalweg.playground.loop import Fault
from thalweg.playground.network import linear_layers
from thalweg.playground.presets.base import preset


if TYPE_CHECKING:
    from torch import nn

    from thalweg.playground.case import Case

_DEEP: Final = (16,) * 10


@torch.no_grad()
def _kill_units(model: nn.Sequential) -> None:
    """Biases at which every ReLU outputs zero."""
    for layer in linear_layers(model)[:-1]:
        layer.bias.fill_(-20.0)


@torch.no_grad()
def _saturate_units(model: nn.Sequential) -> None:
    """Biases at which every tanh is at one of its ends."""
    for layer in linear_layers(model)[:-1]:
        layer.bias.copy_(torch.where(torch.arange(len(layer.bias)) % 2 == 0, 10.0, -10.0))


@torch.no_grad()
def _shrink_weights(model: nn.Sequential) -> None:
    """Weights so small that every product of two layers vanishes."""
    for layer in linear_layers(model):
        layer.weight.mul_(1e-4)
        layer.bias.zero_()


CASES: Final[tuple[Case, ...]] = (
    preset("dead_units", Fault(network=_kill_units), points="circles"),
    preset("dropout_too_strong", dropout=0.95, lr=0.02, activation="leaky_relu", repair={"dropout": 0.0}),
    preset(
        "exploding_gradients",
        init="large",
        widths=(16, 16, 16, 16),
        optimizer="sgd",
        lr=0.1,
        repair={"init": "he"},
    ),
    preset("model_too_small", activation="linear", points="circles", repair={"activation": "relu"}),
    # an odd batch: with as many points of one class as of the other, not even the last bias had a gradient at first
    preset("saddle", Fault(network=_shrink_weights), activation="tanh", optimizer="sgd", lr=0.1, batch=47),
    preset("saturated_units", Fault(network=_saturate_units), activation="tanh"),
    preset(
        "symmetric_weights",
        init="same",
        activation="tanh",
        optimizer="sgd",
        lr=0.1,
        points="circles",
        repair={"init": "xavier", "optimizer": "momentum"},
    ),
    preset(
        "vanishing_gradients",
        activation="sigmoid",
        widths=_DEEP,
        optimizer="sgd",
        lr=0.1,
        repair={"activation": "relu", "init": "he"},
    ),
)
