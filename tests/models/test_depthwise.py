"""Depthwise convolutions against torch's in float64, on every kind of maps, kernels, paddings and threads."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from made import depthwise_and_twin
from thalweg import models
from thalweg._native.team import run_on_team
from thalweg.models import depthwise, depthwise_passes
from thalweg.models.depthwise import (
    DepthwiseConv2d,
    Padding,
    SameConv2d,
    compile_depthwise,
    depthwise_conv2d,
    quicken,
)
from thalweg.models.depthwise_loops import GEOMETRY
from thalweg.models.depthwise_passes import Vectors, vectors


if TYPE_CHECKING:
    from collections.abc import Iterator

    from thalweg._native import Kernel

# channels, kernel, stride, height, width, padding
SHAPES = [
    (32, 3, 1, 9, 11, Padding(1, 1, 1, 1)),
    (32, 3, 2, 10, 13, Padding(0, 0, 1, 1)),  # more zeros after than before
    (48, 5, 2, 14, 14, Padding(1, 1, 2, 2)),
    (16, 5, 1, 7, 7, Padding(2, 2, 2, 2)),
    (16, 7, 1, 15, 9, Padding(3, 3, 3, 3)),  # more sums than registers: in groups of rows
    (16, 3, 3, 10, 10, Padding(0, 0, 0, 0)),
    (16, 2, 2, 9, 8, Padding(0, 0, 0, 0)),  # the last row reaches no output
    (16, 1, 1, 4, 4, Padding(0, 0, 0, 0)),
    (16, 1, 2, 5, 5, Padding(0, 0, 0, 0)),  # most pixels reach no output
    (16, 5, 1, 2, 3, Padding(4, 1, 3, 4)),  # a kernel wider than the maps
]
needs_ours = pytest.mark.skipif(vectors() is None, reason="our loops are for x86-64 with AVX2 or AVX-512")


class Case:
    """A convolution, and a gradient by its output."""

    def __init__(self, shape: tuple[int, int, int, int, int, Padding], *, photos: int = 3) -> None:
        channels, kernel, self.stride, height, width, self.padding = shape
        random = torch.Generator().manual_seed(channels * kernel)
        maps_NCHW = torch.randn(photos, channels, height, width, generator=random)
        weight = torch.randn(channels, 1, kernel, kernel, generator=random)
        self.given = (maps_NCHW.to(memory_format=torch.channels_last), weight, torch.randn(channels, generator=random))
        self.gradient = torch.randn(self.reference(*self.given).shape, generator=random)

    def reference(self, maps_NCHW: Tensor, weight: Tensor, bias_C: Tensor | None) -> Tensor:
        above, left, below, right = self.padding
        return torch.conv2d(pad(maps_NCHW, (left, right, above, below)), weight, bias_C, self.stride, 0, 1, len(weight))

    def ours(self, maps_NCHW: Tensor, weight: Tensor, bias_C: Tensor | None) -> Tensor:
        return depthwise_conv2d(maps_NCHW, weight, bias_C, self.stride, self.padding)

    def exact(self) -> tuple[Tensor, ...]:
        """Output and gradients in float64, by torch."""
        given = [one.double().requires_grad_() for one in self.given]
        output = self.reference(*given)
        return output, *torch.autograd.grad(output, given, self.gradient.double())

    def found(self) -> tuple[Tensor, ...]:
        given = [one.clone().requires_grad_() for one in self.given]
        output = self.ours(*given)
        return output, *torch.autograd.grad(output, given, self.gradient.to(output.dtype))


def error(found: Tensor, exact: Tensor) -> float:
    found, exact = found.detach().double(), exact.detach()
    return float((found - exact).abs().max() / exact.abs().max())


# Each kind of vectors; LLVM splits those that the processor does not have.
CASES = [(Vectors(16, 25), shape) for shape in SHAPES] + [(Vectors(8, 10), shape) for shape in SHAPES[1:5]]


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Case:
    for module in (depthwise, depthwise_passes):
        monkeypatch.setattr(module, "vectors", lambda: request.param[0])
    return Case(request.param[1])


def test_output_and_gradients_are_torchs(case: Case) -> None:
    for found, exact in zip(case.found(), case.exact(), strict=True):
        assert found.dtype == torch.float32
        assert error(found, exact) < 2e-6


def test_the_scratch_is_large_enough_and_cleared(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is full of NaN at first, and what lies around it stays NaN."""
    guard = 64

    def guarded(kernel: Kernel, fields: list[int], threads: int) -> None:
        room = fields[GEOMETRY.index("room")]
        memory = torch.full((guard + threads * room + guard,), float("nan"))
        run_on_team(kernel, [*fields[:-1], memory[guard:].data_ptr()], threads)
        assert memory[:guard].isnan().all()
        assert memory[-guard:].isnan().all()

    monkeypatch.setattr(depthwise_passes, "run_on_team", guarded)
    for found, exact in zip(case.found(), case.exact(), strict=True):
        assert error(found, exact) < 2e-6


@pytest.mark.slow
def test_under_autocast_only_maps_are_rounded(case: Case) -> None:
    """Against float64 with the rounded maps, weights and gradient: the sums are float32."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, by_maps, by_weight, by_bias = case.found()
    case.given = tuple(one.bfloat16().float() for one in case.given)
    case.gradient = case.gradient.bfloat16().float()
    exact = case.exact()
    assert error(by_maps, exact[1]) < 2**-8  # written as bfloat16 once
    assert error(by_weight, exact[2]) < 2e-6
    assert error(by_bias, exact[3]) < 2e-6


@needs_ours
def test_it_is_ours_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(depthwise_passes, "_compiled", refuse)
    with pytest.raises(InterruptedError):
        Case(SHAPES[0]).found()


@needs_ours
def test_the_number_of_threads_changes_no_bit(one_thread_after: None) -> None:
    case = Case(SHAPES[2])
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(case.found()[1:])
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other, strict=True))


@pytest.fixture
def one_thread_after() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_only_what_is_wanted_gets_a_gradient() -> None:
    case = Case(SHAPES[0])
    exact = case.exact()
    for wanted in range(3):
        given = [one.clone().requires_grad_(at == wanted) for at, one in enumerate(case.given)]
        case.ours(*given).backward(case.gradient)
        for at, one in enumerate(given):
            assert one.grad is None if at != wanted else error(one.grad, exact[1 + at]) < 2e-6
    maps_NCHW, weight, _ = (one.clone().requires_grad_() for one in case.given)
    case.ours(maps_NCHW, weight, None).backward(case.gradient)
    assert error(weight.grad, exact[2]) < 2e-6


@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_a_bad_gradient_stays_visible(poison: float) -> None:
    case = Case(SHAPES[0])
    case.gradient[0, 0, 0, 0] = poison
    for context in (torch.autocast("cpu", enabled=False), torch.autocast("cpu", dtype=torch.bfloat16)):
        with context:
            _, by_maps, by_weight, by_bias = case.found()
        assert not by_maps[0, 0].isfinite().all()
        assert by_maps[0, 1:].isfinite().all()
        assert not by_weight[0].isfinite().any() or poison == float("inf")
        assert not by_bias[0].isfinite()


def test_second_derivatives_are_torchs() -> None:
    case = Case(SHAPES[2])
    directions = [torch.randn_like(one) for one in case.given]

    def product(function: object, given: list[Tensor]) -> tuple[Tensor, ...]:
        output = function(*given).square()  # type: ignore[operator]
        first = torch.autograd.grad(output.sum(), given, create_graph=True)
        along = sum((one * two.to(one)).sum() for one, two in zip(first, directions, strict=True))
        return torch.autograd.grad(along, given)

    found = product(case.ours, [one.clone().requires_grad_() for one in case.given])
    exact = product(case.reference, [one.double().requires_grad_() for one in case.given])
    assert all(error(one, two) < 1e-5 for one, two in zip(found, exact, strict=True))


@pytest.mark.parametrize("channels", [1, 3, 17])
def test_channels_that_fill_no_vector_are_torchs(channels: int) -> None:
    case = Case((channels, 3, 2, 8, 8, Padding(1, 1, 1, 1)))
    assert all(error(one, two) < 2e-6 for one, two in zip(case.found(), case.exact(), strict=True))


def test_float64_and_no_photos_are_torchs() -> None:
    case = Case(SHAPES[0])
    case.given = tuple(one.double() for one in case.given)
    assert all(torch.equal(one, two) for one, two in zip(case.found(), case.exact(), strict=True))
    nothing = torch.empty(0, 32, 9, 11, requires_grad=True)
    weight = torch.ones(32, 1, 3, 3, requires_grad=True)
    depthwise_conv2d(nothing, weight, None, 1, Padding(1, 1, 1, 1)).sum().backward()
    assert not weight.grad.any()


def test_maps_in_any_order_of_memory() -> None:
    case = Case(SHAPES[0])
    exact = case.exact()
    for maps_NCHW in (case.given[0].contiguous(), case.given[0].transpose(2, 3).contiguous().transpose(2, 3)):
        case.given = (maps_NCHW, *case.given[1:])
        assert all(error(one, two) < 2e-6 for one, two in zip(case.found(), exact, strict=True))


def test_a_network_learns_the_same() -> None:
    """Gradients of EfficientNet-Lite0 with kept statistics, against its copy in float64."""
    torch.manual_seed(0)
    model = models.build("efficientnet-lite0", classes=4, size=64).eval()
    twin = copy.deepcopy(model).double()
    images_NCHW = torch.randn(2, 3, 64, 64)
    model.to(memory_format=torch.channels_last)(images_NCHW).square().sum().backward()
    twin(images_NCHW.double()).square().sum().backward()
    for (name, ours), theirs in zip(model.named_parameters(), twin.parameters(), strict=True):
        assert error(ours.grad, theirs.grad) < 1e-4, name


class Somebodys(nn.Module):
    """Depthwise and other convolutions, as other libraries build them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.deep = nn.Conv2d(16, 16, 5, stride=2, padding=2, groups=16, bias=False)
        self.tall = nn.Conv2d(16, 16, (3, 1), padding=(1, 0), groups=16)
        self.wide = nn.Conv2d(16, 16, 3, padding=2, dilation=2, groups=16)
        self.mirrored = nn.Conv2d(16, 16, 3, padding=1, groups=16, padding_mode="reflect")
        self.same = nn.Conv2d(16, 16, 3, padding="same", groups=16)
        self.twice = nn.Conv2d(16, 32, 3, groups=16)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        for layer in self.children():
            images_NCHW = layer(images_NCHW)
        return images_NCHW


def test_a_model_of_others_is_quickened_where_it_is_depthwise() -> None:
    torch.manual_seed(0)
    model = Somebodys()
    twin = copy.deepcopy(model).double()
    quicken(model)
    assert [name for name, layer in model.named_children() if isinstance(layer, DepthwiseConv2d)] == ["deep"]
    assert list(model.state_dict()) == list(twin.state_dict())
    images_NCHW = torch.randn(2, 3, 17, 17)
    model(images_NCHW).square().sum().backward()
    twin(images_NCHW.double()).square().sum().backward()
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert error(ours.grad, theirs.grad) < 1e-5


class Conv2dSame(nn.Conv2d):
    """What timm's layer of this name computes: zeros are written around the maps, the odd one behind them."""

    __module__ = "timm.layers.conv2d_same"

    def forward(self, maps_NCHW: Tensor) -> Tensor:
        height, width = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, kernel, stride in zip(maps_NCHW.shape[2:], self.kernel_size, self.stride, strict=True)
        )
        maps_NCHW = pad(maps_NCHW, (width // 2, width - width // 2, height // 2, height - height // 2))
        return torch.conv2d(maps_NCHW, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (3, 1), (2, 3)])
@pytest.mark.parametrize("side", [17, 16])
def test_timms_layer_with_the_padding_of_tensorflow_is_quickened(kernel: int, stride: int, side: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(Conv2dSame(3, 16, 3, 2), Conv2dSame(16, 16, kernel, stride, groups=16))
    twin = copy.deepcopy(model).double()
    quicken(model)
    assert [type(layer) for layer in model] == [Conv2dSame, SameConv2d]
    images_NCHW = torch.randn(2, 3, 2 * side, 2 * side - 5)
    (found := model(images_NCHW)).square().sum().backward()
    (expected := twin(images_NCHW.double())).square().sum().backward()
    assert error(found.detach(), expected.detach()) < 1e-5
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert error(ours.grad, theirs.grad) < 1e-5


def test_one_photo_without_a_batch_learns() -> None:
    ours, theirs, maps_NCHW = depthwise_and_twin()
    for layer in (ours, theirs):
        layer(maps_NCHW[0]).square().sum().backward()
    assert torch.allclose(ours.weight.grad, theirs.weight.grad, atol=1e-4)


def test_a_view_of_opposite_numbers() -> None:
    """Conjugate views of complex numbers have gradients whose memory holds them with the other sign."""
    ours, theirs, maps_NCHW = depthwise_and_twin()
    maps_NCHW = maps_NCHW.contiguous(memory_format=torch.channels_last)
    for given, gradient in ((torch._neg_view(maps_NCHW), maps_NCHW), (maps_NCHW, torch._neg_view(maps_NCHW))):
        first, second = (torch.autograd.grad(layer(given), layer.weight, gradient)[0] for layer in (ours, theirs))
        assert torch.allclose(first, second, atol=1e-4)


@pytest.mark.parametrize(
    ("maps", "kernel", "padding"),
    [
        ((1, 32, 8, 8), (16, 1, 3, 3), Padding(0, 0, 1, 1)),  # other channels
        ((1, 16, 1, 1), (16, 1, 5, 5), Padding(0, 0, 1, 1)),  # nothing fits
    ],
)
def test_what_does_not_fit_is_torchs_to_refuse(
    maps: tuple[int, ...], kernel: tuple[int, ...], padding: Padding
) -> None:
    with pytest.raises(RuntimeError, match=r"channels|Kernel size"):
        depthwise_conv2d(torch.ones(maps), torch.ones(kernel, requires_grad=True), None, 2, padding)


@pytest.mark.parametrize(("kernel", "padding"), [((16, 1, 3, 5), (1, 1, 1, 1)), ((16, 1, 3, 3), (5, 4, 3, 0))])
def test_kernels_and_paddings_that_are_not_covered_are_torchs(
    kernel: tuple[int, ...], padding: tuple[int, ...]
) -> None:
    maps_NCHW, weight = torch.randn(2, 16, 6, 6), torch.randn(kernel, requires_grad=True)
    above, left, below, right = padding
    expected = torch.conv2d(pad(maps_NCHW, (left, right, above, below)), weight, None, 1, 0, 1, 16)
    found = depthwise_conv2d(maps_NCHW, weight, None, 1, Padding(*padding))
    first, second = (torch.autograd.grad(one.square().sum(), weight)[0] for one in (found, expected))
    assert torch.allclose(found, expected, atol=1e-5)
    assert torch.allclose(first, second, rtol=1e-4, atol=1e-3)


@pytest.mark.slow
@needs_ours
def test_a_network_is_compiled_before_its_first_step(monkeypatch: pytest.MonkeyPatch) -> None:
    model = models.build("efficientnet-lite0", classes=2, size=64)
    depthwise_passes._compiled.cache_clear()
    compile_depthwise(model)
    monkeypatch.setattr(depthwise_passes, "get_kernel", lambda *_: pytest.fail("a kernel was not compiled yet"))
    for precision in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == torch.bfloat16):
            loss = model(torch.randn(2, 3, 64, 64)).float().sum()
        loss.backward()
