"""Shares of dead and saturated units, for every way to call an activation function."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from thalweg.probes import ActivationProbe


RELUS = {
    "module": nn.ReLU(),
    "in place": nn.ReLU(inplace=True),
    "function": functional.relu,
    "torch": torch.relu,
    "method": lambda x: x.relu(),
    "relu6": functional.relu6,
    "relu6 as module": nn.ReLU6(),
}


@pytest.mark.parametrize("name", RELUS)
def test_dead_units_of_a_layer(name):
    inputs = torch.randn(40, 8)
    inputs[:, :3] = -inputs[:, :3].abs()
    with ActivationProbe() as probe:
        RELUS[name](inputs.clone())
    assert probe.worst_dead().item() == pytest.approx(3 / 8)


def test_channels_of_maps_and_features_of_tokens_are_units():
    maps = torch.rand(4, 5, 3, 3) + 0.1
    maps[:, 2] = -1
    tokens = torch.rand(4, 7, 10) + 0.1
    tokens[..., :5] = -1
    for inputs, share in ((maps, 1 / 5), (tokens, 1 / 2)):
        with ActivationProbe() as probe:
            torch.relu(inputs)
        assert probe.worst_dead().item() == pytest.approx(share)


@pytest.mark.parametrize(("function", "slope"), [(torch.tanh, 1.0), (torch.sigmoid, 0.25)])
def test_saturated_is_a_slope_under_a_hundredth(function, slope):
    inputs = torch.linspace(-12, 12, 4001)[None].requires_grad_()
    with ActivationProbe() as probe:
        output = function(inputs)
    (derivative,) = torch.autograd.grad(output.sum(), inputs)
    assert probe.worst_saturated().item() == pytest.approx((derivative < 0.01 * slope).float().mean().item(), abs=2e-3)


def test_an_activation_that_goes_below_zero_has_no_dead_units():
    with ActivationProbe() as probe:
        for function in (nn.Hardtanh(), nn.LeakyReLU(), nn.GELU(), nn.ELU()):
            function(-torch.rand(4, 3))
    assert probe.worst_dead() is None


def test_a_transformer_layer_is_seen_without_doing_anything():
    with ActivationProbe() as probe:
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(torch.randn(2, 3, 8))
    assert len(probe.dead) == 1
    assert probe.worst_saturated() is None
