"""A convolution with kept statistics is one convolution, and ReLU6 keeps only its output: the same functions."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn
from torch.nn.functional import relu6

from thalweg.models import build, freeze
from thalweg.models.conv_norm import ConvNorm
from thalweg.models.depthwise import SameConv2d
from thalweg.models.network import conv_norm
from thalweg.models.relu6 import ReLU6
from thalweg.probes.activations import ActivationProbe


LAYERS = {
    "plain": lambda: conv_norm(4, 6, stride=2),
    "one pixel": lambda: conv_norm(4, 6, kernel=1),
    "depthwise": lambda: ConvNorm(SameConv2d(4, 4, 5, 2, groups=4, bias=False), nn.BatchNorm2d(4, eps=1e-3)),
}


def trained(make) -> ConvNorm:
    """Layers in float64 whose statistics, gains and biases are not those of the start."""
    torch.manual_seed(0)
    layers = make().double()
    for tensor in (layers[1].running_mean, layers[1].weight, layers[1].bias):
        nn.init.normal_(tensor)
    nn.init.uniform_(layers[1].running_var, 0.1, 4.0)
    return layers.eval()


def one_after_another(layers: ConvNorm, images: torch.Tensor) -> torch.Tensor:
    return layers[1](layers[0](images))


@pytest.mark.parametrize("make", LAYERS.values(), ids=LAYERS)
def test_value_gradients_and_second_derivatives_are_those_of_both_layers(make):
    layers, images = trained(make), torch.randn(3, 4, 9, 9, dtype=torch.double, requires_grad=True)
    found = []
    for function in (layers, lambda maps: one_after_another(layers, maps)):
        wanted = [images, *layers.parameters()]
        output = function(images)
        first = torch.autograd.grad(output.tanh().sum(), wanted, create_graph=True)
        second = torch.autograd.grad(sum(one.square().sum() for one in first), wanted)
        found.append([output, *first, *second])
    for folded, plain in zip(*found, strict=True):
        torch.testing.assert_close(folded, plain, rtol=1e-9, atol=1e-9)


def test_statistics_of_the_batch_are_used_and_kept_while_they_train():
    layers, images = trained(LAYERS["plain"]).train(), torch.randn(3, 4, 9, 9, dtype=torch.double)
    twin = deepcopy(layers)
    assert torch.equal(layers(images), one_after_another(twin, images))
    assert torch.equal(layers[1].running_mean, twin[1].running_mean)


@pytest.mark.parametrize("inner", [0, 1])
def test_a_hook_sees_what_its_layer_gives(inner):
    layers, images = trained(LAYERS["plain"]), torch.randn(3, 4, 9, 9, dtype=torch.double)
    expected, seen = [layers[0](images), one_after_another(layers, images)], []
    layers[inner].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    layers(images)
    torch.testing.assert_close(seen, [expected[inner]])


def test_another_norm_in_its_place_is_used():
    layers, images = trained(LAYERS["plain"]), torch.randn(3, 4, 9, 9, dtype=torch.double)
    layers[1] = nn.GroupNorm(2, 6).double()
    assert torch.equal(layers(images), layers[1](layers[0](images)))


@pytest.mark.parametrize("name", ["efficientnet-lite0", "resnet18-half"])
def test_a_frozen_network_keeps_none_of_the_maps_before_its_norms(name):
    network = build(name, classes=3, size=64)
    freeze(network, None, "frozen")
    kept = [0, 0]
    for case in range(2):
        if case == 1:
            for module in list(network.modules()):
                if isinstance(module, nn.BatchNorm2d):
                    module.register_forward_hook(lambda *_: None)

        def count(tensor: torch.Tensor, case: int = case) -> torch.Tensor:
            kept[case] += tensor.ndim == 4 and tensor.shape[0] == 2 and tensor.shape[2] > 1
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            network(torch.randn(2, 3, 64, 64)).sum().backward()
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert kept[1] - kept[0] == norms  # one map each


def test_relu6_and_its_gradients_are_torchs():
    points = torch.tensor([-2.0, -0.0, 0.0, 1.5, 6.0, 6.5, float("nan")], dtype=torch.double, requires_grad=True)
    found = []
    for function in (ReLU6(), relu6):
        output = function(points * points.sign().abs())  # not a leaf, equal to the points
        (first,) = torch.autograd.grad((output**3).sum(), points, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), points)
        found.append([output, first, second])
    torch.testing.assert_close(*found, equal_nan=True)


def test_relu6_works_in_place_and_stays_visible():
    maps = torch.randn(2, 3, 4, 4, requires_grad=True) * 1.0
    assert ReLU6()(maps).data_ptr() == maps.data_ptr()
    with ActivationProbe() as probe:
        ReLU6()(-torch.ones(2, 3, requires_grad=True) * 1.0)
    assert probe.worst_dead() == 1
    gradient = torch.func.grad(lambda point: ReLU6()(point * 1.0).sum())(torch.tensor([-1.0, 1.0]))
    assert gradient.tolist() == [0, 1]
