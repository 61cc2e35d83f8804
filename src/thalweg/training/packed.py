"""Weights of convolutions in oneDNN's own order, made once for all shards of a step.

oneDNN brings the weights of a convolution into an order of its own in each call, forward and backward: a step in four
shards does so four times. Here all shards and threads share what is made once. The bits are those of torch's own
convolution, except for one or two photos and for outputs of one pixel: torch may round the gradient by those maps in
another way. Which photos came before, and in which process, changes no bit.

Shape suffixes: N photos, C channels, H height, W width; O outputs and I inputs of a kernel.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeGuard

import torch
from torch import nn


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from thalweg.training.lanes import Lanes

_FEWEST = 2**18  # weights of a kernel; fewer take little time
# torch.compile uses them as well
_COMPUTE, _COMPUTE_BACK = "_convolution_pointwise", "_convolution_transpose_pointwise"
_ORDER, _ORDER_BACK = "_reorder_convolution_weight", "_reorder_convolution_transpose_weight"
_NOTHING_ELSE = ("none", [], "")  # computed along with a convolution


class PackedWeights:
    """The kernels of a network's large convolutions in oneDNN's two orders: twice their memory.

    There are none where torch's own operators for this are missing, or give other results than its convolution.

    Args:
        model: the network.
    """

    def __init__(self, model: nn.Module) -> None:
        large = {at: conv for at, conv in enumerate(model.modules()) if _fits(conv)}
        self._kernels = {at: _Kernel(conv) for at, conv in large.items()} if large and _is_torchs() else {}

    def put_into(self, twin: nn.Module) -> None:
        """Let a copy of the network that has the same weights compute with them."""
        for at, conv in enumerate(twin.modules()):
            if at in self._kernels and isinstance(conv, nn.Conv2d):
                forward: Any = _Forward(conv, self._kernels[at])
                conv._conv_forward = forward  # noqa: SLF001 - torch's own, for subclasses

    def renew(self, lanes: Lanes) -> None:
        """Make them again from the weights that a step has changed."""
        list(lanes.map(lambda _, kernel: kernel.renew(), self._kernels.values()))


class _Orders(NamedTuple):
    """A kernel as the passes forward and backward need it."""

    forward: Tensor
    backward: Tensor


class _Kernel:
    """One kernel in two orders, for maps of one size."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self._weight_OIHW = conv.weight
        self.geometry = [list(conv.stride), list(conv.dilation), 1]
        self.padding = [int(side) for side in conv.padding]
        self._input_NCHW: list[int] = []
        self._orders: _Orders | None = None
        self._making = threading.Lock()

    def orders_for(self, maps_NCHW: Tensor) -> _Orders:
        """Return both orders for such maps; another thread may need them for others at the same time."""
        with self._making:
            if self._orders is None or self._input_NCHW[2:] != list(maps_NCHW.shape[2:]):
                self._input_NCHW = list(maps_NCHW.shape)
                self._orders = None  # memory that is freed is used again
                self._orders = self._made()
            return self._orders

    def renew(self) -> None:
        """Make both orders again, if maps have come."""
        if self._input_NCHW:
            self._orders = None
            self._orders = self._made()

    @torch.no_grad()
    def _made(self) -> _Orders:
        weight_OIHW, (stride, *rest) = self._weight_OIHW.detach(), self.geometry
        count, _, *sides = self._input_NCHW
        output_NCHW = [count, len(weight_OIHW), *map(self._outputs, range(2), sides)]
        return _Orders(
            _operator(_ORDER)(weight_OIHW, self.padding, stride, *rest, self._input_NCHW),
            _operator(_ORDER_BACK)(weight_OIHW, self.padding, self.left_over(sides), stride, *rest, output_NCHW),
        )

    def _reach(self, axis: int) -> int:
        """Inputs between the first and the last that one output needs."""
        return self.geometry[1][axis] * (self._weight_OIHW.shape[2 + axis] - 1)

    def _outputs(self, axis: int, side: int) -> int:
        return (side + 2 * self.padding[axis] - self._reach(axis) - 1) // self.geometry[0][axis] + 1

    def left_over(self, sides: list[int]) -> list[int]:
        """Return the last rows and columns of an input that no output needs."""
        return [
            (side + 2 * self.padding[axis] - self._reach(axis) - 1) % self.geometry[0][axis]
            for axis, side in enumerate(sides)
        ]


class _Forward:
    """What a convolution computes with its kernel; torch calls it with the maps, the weights and the bias."""

    def __init__(self, conv: nn.Conv2d, kernel: _Kernel) -> None:
        self._conv, self._kernel = conv, kernel

    def __call__(self, maps_NCHW: Tensor, weight_OIHW: Tensor, bias_O: Tensor | None) -> Tensor:
        plain = (
            weight_OIHW is not self._conv.weight  # a batch norm is folded into it
            or maps_NCHW.dtype != torch.float32
            or torch.is_autocast_enabled("cpu")
            or not maps_NCHW.is_contiguous(memory_format=torch.channels_last)
        )
        if plain:
            return nn.Conv2d._conv_forward(self._conv, maps_NCHW, weight_OIHW, bias_O)  # noqa: SLF001 - as above
        return _Convolution.apply(maps_NCHW, weight_OIHW, self._kernel, self._kernel.orders_for(maps_NCHW))


class _Convolution(torch.autograd.Function):
    """The convolution; its gradient by the maps is a transposed convolution with the kernel in another order."""

    @staticmethod
    def forward(ctx: Any, maps_NCHW: Tensor, weight_OIHW: Tensor, kernel: _Kernel, orders: _Orders) -> Tensor:
        ctx.save_for_backward(maps_NCHW, weight_OIHW)
        ctx.kernel, ctx.order = kernel, orders.backward
        return _operator(_COMPUTE)(maps_NCHW, orders.forward, None, kernel.padding, *kernel.geometry, *_NOTHING_ELSE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        (maps_NCHW, weight_OIHW), kernel = ctx.saved_tensors, ctx.kernel
        gradient_NCHW = gradients[0].contiguous(memory_format=torch.channels_last)
        by_maps = by_weight = None
        if ctx.needs_input_grad[0]:
            left_over = kernel.left_over(list(maps_NCHW.shape[2:]))
            by_maps = _operator(_COMPUTE_BACK)(
                gradient_NCHW, ctx.order, None, kernel.padding, left_over, *kernel.geometry, *_NOTHING_ELSE
            )
        if ctx.needs_input_grad[1]:
            stride, dilation, groups = kernel.geometry
            transposed, none = False, [0, 0]
            _, by_weight, _ = torch.ops.aten.convolution_backward(
                gradient_NCHW, maps_NCHW, weight_OIHW, None, stride, kernel.padding, dilation, transposed, none, groups,
                [False, True, False],
            )  # fmt: skip
        return by_maps, by_weight, None, None


def _operator(name: str) -> Any:
    return getattr(torch.ops.mkldnn, name)


@cache
def _is_torchs() -> bool:
    """Whether a small convolution comes out as from torch, whose operators for this may change: they are its own."""
    if not torch.backends.mkldnn.is_available():
        return False
    random = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(16, 32, 3, stride=2, padding=1, bias=False, device="meta").to_empty(device="cpu")
    conv.weight.data = torch.randn(32, 16, 3, 3, generator=random).contiguous(memory_format=torch.channels_last)
    maps_NCHW = torch.randn(4, 16, 9, 8, generator=random).contiguous(memory_format=torch.channels_last)
    maps_NCHW.requires_grad_()
    packed = _Forward(conv, _Kernel(conv))

    def computed(forward: Callable[..., Tensor], *given: Any) -> list[Tensor]:
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            output = forward(maps_NCHW, *given)
            return [output, *torch.autograd.grad(output.square().sum(), [maps_NCHW, conv.weight])]

    try:
        return all(map(torch.equal, computed(conv), computed(packed, conv.weight, None)))
    except (AttributeError, RuntimeError, TypeError, ValueError):  # an operator is missing, or takes something else
        return False


def _fits(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    """Whether it is a plain convolution, large enough."""
    return (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.bias is None
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.numel() >= _FEWEST
        and (module.weight.device.type, module.weight.dtype) == ("cpu", torch.float32)
    )
