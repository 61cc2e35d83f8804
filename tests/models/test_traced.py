"""Whoever takes a depthwise convolution apart gets torch's own, and a probe that only listens changes nothing."""

from __future__ import annotations

import io
from contextlib import nullcontext

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.func import functional_call, grad, vmap
from torch.utils.flop_counter import FlopCounterMode

from made import depthwise_and_twin
from thalweg.models.depthwise import DepthwiseConv2d, Padding, SameConv2d, depthwise_conv2d
from thalweg.models.relu6 import ReLU6
from thalweg.probes import ActivationProbe


def test_many_gradients_at_once_are_torchs() -> None:
    found = []
    *layers, maps_NCHW = depthwise_and_twin()
    for layer in layers:
        jacobian = torch.autograd.functional.jacobian(layer, maps_NCHW[:1, :, :2, :2], vectorize=True)
        gradients = torch.randn(3, *maps_NCHW.shape, generator=torch.Generator().manual_seed(0))
        several = torch.autograd.grad(layer(maps_NCHW), list(layer.parameters()), gradients, is_grads_batched=True)
        found.append([jacobian, *several])
    assert all(torch.allclose(one, two, atol=1e-4) for one, two in zip(*found, strict=True))


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch uses it
def test_forward_mode_derivatives_are_torchs() -> None:
    *layers, maps_NCHW = depthwise_and_twin()
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(maps_NCHW, torch.ones_like(maps_NCHW))
        ours, theirs = (forward_ad.unpack_dual(layer(dual)).tangent for layer in layers)
    assert torch.allclose(ours, theirs, atol=1e-5)


def test_tensors_without_memory_are_torchs() -> None:
    """A pointer into them would end the process."""
    with FakeTensorMode():
        weight = torch.ones(16, 1, 3, 3, requires_grad=True)
        for padding in (Padding(0, 0, 1, 1), Padding(1, 1, 1, 1)):
            depthwise_conv2d(torch.ones(2, 16, 8, 8), weight, None, 2, padding).sum().backward()
    assert weight.grad.shape == weight.shape


def test_a_counter_of_operations_sees_all_of_them() -> None:
    *layers, maps_NCHW = depthwise_and_twin()
    counted = []
    for layer in layers:
        with FlopCounterMode(display=False) as counter:
            layer(maps_NCHW).sum().backward()
        counted.append(counter.get_total_flops())
    assert counted[0] == counted[1] > 0


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("is_traced", [True, False])
def test_torchscript_holds_torchs_convolution(*, is_traced: bool) -> None:
    layer, _, maps_NCHW = depthwise_and_twin()
    file = io.BytesIO()
    torch.jit.save(torch.jit.trace(layer, (maps_NCHW,)) if is_traced else torch.jit.script(layer), file)
    file.seek(0)
    assert torch.equal(torch.jit.load(file)(maps_NCHW), layer(maps_NCHW))


def test_torch_fx_and_export_hold_torchs_convolution() -> None:
    layer, _, maps_NCHW = depthwise_and_twin()
    exported = torch.export.export(layer, (maps_NCHW,)).graph
    traced = torch.fx.symbolic_trace(nn.Sequential(layer)).graph
    for graph in (exported, traced):
        assert any("conv2d" in str(node.target) for node in graph.nodes)
        assert not any("Depthwise" in str(node.target) for node in graph.nodes)


def test_a_probe_that_listens_changes_no_bit() -> None:
    """A training that is watched is the training that is not."""
    torch.manual_seed(0)
    model = nn.Sequential(SameConv2d(16, 16, 5, 2, groups=16), ReLU6(), DepthwiseConv2d(16, 16, 3, groups=16))
    images_NCHW, found = torch.randn(2, 16, 32, 32), []
    for listener in (nullcontext(), ActivationProbe()):
        model.zero_grad()
        with listener:
            output_NC = model(images_NCHW)
        output_NC.square().sum().backward()
        found.append([parameter.grad.clone() for parameter in model.parameters()])
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))


def test_gradients_of_single_photos_are_torchs() -> None:
    """`torch.func` takes layers apart, which no loop of ours may stand in the way of."""
    torch.manual_seed(0)
    model = nn.Sequential(DepthwiseConv2d(16, 16, 3, padding=1, groups=16))
    images_NCHW = torch.randn(3, 16, 6, 6)
    given = dict(model.named_parameters())

    def loss(parameters: dict[str, Tensor], image_CHW: Tensor) -> Tensor:
        return functional_call(model, parameters, (image_CHW[None],)).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(given, images_NCHW)["0.weight"]
    for image_CHW, one in zip(images_NCHW, found, strict=True):
        model.zero_grad()
        model(image_CHW[None]).square().sum().backward()
        assert torch.allclose(one, model[0].weight.grad, atol=1e-4)
