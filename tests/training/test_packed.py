"""Convolutions whose kernels are packed once for many calls: the bits are those of torch's own."""

import copy

import pytest
import torch
from torch import nn

from thalweg.models.conv_norm import ConvNorm
from thalweg.training import packed
from thalweg.training.lanes import Lanes
from thalweg.training.packed import PackedWeights


pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this torch has no oneDNN")
GEOMETRIES = [
    {},
    {"padding": 1},
    {"padding": (0, 2), "stride": (2, 1)},
    {"padding": 1, "stride": 2},
    {"padding": 3, "stride": 3, "dilation": 2},
]


@pytest.fixture(autouse=True)
def _small_ones_too(monkeypatch):
    monkeypatch.setattr(packed, "_FEWEST", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def channels_last(module_or_maps):
    return module_or_maps.to(memory_format=torch.channels_last)


def pair_of(network):
    """A network, and a copy of it whose kernels are packed."""
    network = channels_last(network)
    twin, kernels = copy.deepcopy(network), PackedWeights(network)
    for own, shared in zip(twin.parameters(), network.parameters(), strict=True):
        own.data = shared.data
    kernels.put_into(twin)
    return network, twin, kernels


def results_of(network, maps):
    maps = channels_last(maps).requires_grad_()
    output = network(maps)
    gradients = torch.autograd.grad(output.square().sum(), [maps, *network.parameters()])
    return [output.detach(), *gradients]


def calls_of(monkeypatch):
    """Count the convolutions with packed kernels."""
    calls, inner = [], packed._Convolution.apply
    monkeypatch.setattr(packed._Convolution, "apply", lambda *given: calls.append(1) or inner(*given))
    return calls


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("kernel", [1, 3])
def test_the_bits_are_those_of_torch(monkeypatch, geometry, kernel):
    torch.manual_seed(0)
    network, twin, kernels = pair_of(nn.Conv2d(32, 48, kernel, bias=False, **geometry))
    calls = calls_of(monkeypatch)
    for count, sides in ((4, (13, 10)), (3, (13, 10)), (4, (16, 17))):  # another size comes, as photos grow
        maps = torch.randn(count, 32, *sides)
        assert all(map(torch.equal, results_of(network, maps), results_of(twin, maps)))
        with torch.no_grad():
            network.weight.mul_(1.5)
        kernels.renew(Lanes(2))
    assert len(calls) == 3


def test_what_is_no_plain_convolution_is_left_to_torch(monkeypatch):
    calls = calls_of(monkeypatch)
    others = [{"groups": 2}, {"bias": True}, {"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}]
    for options in others:
        network, twin, _ = pair_of(nn.Conv2d(16, 16, 3, **{"bias": False, **options}))
        maps = torch.randn(2, 16, 8, 8)
        assert all(map(torch.equal, results_of(network, maps), results_of(twin, maps)))
    folded, twin, _ = pair_of(ConvNorm(nn.Conv2d(16, 16, 3, bias=False), nn.BatchNorm2d(16)).eval())
    assert all(map(torch.equal, results_of(folded, maps), results_of(twin, maps)))
    with torch.autocast("cpu", torch.bfloat16):
        assert twin[0](channels_last(maps)).dtype == torch.bfloat16
    twin[0](maps.contiguous())
    assert calls == []
    twin[0](channels_last(maps))
    assert calls == [1]


def test_frozen_kernels_and_maps_have_no_gradient():
    network, twin, _ = pair_of(nn.Sequential(nn.Conv2d(16, 16, 3, bias=False), nn.Conv2d(16, 16, 3, bias=False)))
    twin[1].weight.requires_grad_(requires_grad=False)
    twin(channels_last(torch.randn(2, 16, 8, 8))).sum().backward()  # the photos need none
    assert twin[0].weight.grad.shape == network[0].weight.shape
    assert twin[1].weight.grad is None


def test_threads_that_begin_at_once_have_the_same_kernels():
    network, _, kernels = pair_of(nn.Conv2d(64, 64, 3, bias=False))
    twins = [copy.deepcopy(network) for _ in range(3)]
    for twin in twins:
        twin.weight.data = network.weight.data
        kernels.put_into(twin)
    maps = torch.randn(2, 64, 9, 9)
    expected = results_of(network, maps)
    for found in Lanes(3).map(lambda _, twin: results_of(twin, maps), twins):
        assert all(map(torch.equal, expected, found))
