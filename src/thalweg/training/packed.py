"""Weights of convolutions in oneDNN's own order, made once for all shards of a step.

oneDNN brings the weights of a convolution into an order of its own in each call, forward and backward: a step in four
shards does so four times. Here all shards and threads share what is made once; no bit of the results changes.

Shape suffixes: N photos, C channels, H height, W width; O outputs and I inputs of a kernel.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeGuard

import torch
from torch import nn


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.training.lanes import Lanes

_FEWEST = 2**18  # weights of a kernel; fewer take little time
# torch.compile uses them as well
_COMPUTE, _COMPUTE_BACK = "_convolution_pointwise", "_convolution_transpose_pointwise"
_ORDER, _ORDER_BACK = "_reorder_convolution_weight", "_reorder_convolution_transpose_weight"
_NOTHING_ELSE = ("none", [], "")  # computed along with a convolution


class PackedWeights:
    """The kernels of a network's large convolutions in oneDNN's two orders: twice their memory.

    Args:
        model: the network.
    """

    def __init__(self, model: nn.Module) -> None:
        names = (_COMPUTE, _COMPUTE_BACK, _ORDER, _ORDER_BACK)
        can = torch.backends.mkldnn.is_available() and all(hasattr(torch.ops.mkldnn, name) for name in names)
        self._kernels = {at: _Kernel(conv) for at, conv in enumerate(model.modules()) if can and _fits(conv)}

    def put_into(self, twin: nn.Module) -> None:
        """Let a copy of the network that has the same weights compute with them."""
        for at, conv in enumerate(twin.modules()):
            if at in self._kernels and isinstance(conv, nn.Conv2d):
                forward: Any = _Forward(conv, self._kernels[at])
                conv._conv_forward = forward  # noqa: SLF001 - torch's own, for subclasses

    def renew(self, lanes: Lanes) -> None:
        """Make them again from the weights that a step has changed."""
        list(lanes.map(lambda _, kernel: kernel.renew(), self._kernels.values()))


class _Kernel:
    """One kernel in two orders, for the passes forward and backward over maps of one size."""

    def __init__(self, conv: nn.Conv2d) -> None:
        self._weight_OIHW = conv.weight
        self.geometry = [list(conv.stride), list(conv.dilation), 1]
        self.padding = [int(side) for side in conv.padding]
        self._input_NCHW: list[int] = []
        self._making = threading.Lock()

    def expect(self, maps_NCHW: Tensor) -> None:
        """Be ready for such maps."""
        with self._making:
            if self._input_NCHW[2:] != list(maps_NCHW.shape[2:]):
                self._input_NCHW = list(maps_NCHW.shape)
                self.renew()

    @torch.no_grad()
    def renew(self) -> None:
        """Make both orders again, if maps have come."""
        if not self._input_NCHW:
            return
        self.forward = self.backward = None  # memory that is freed is used again
        weight_OIHW, (stride, *rest) = self._weight_OIHW.detach(), self.geometry
        count, _, *sides = self._input_NCHW
        output_NCHW = [count, len(weight_OIHW), *map(self._outputs, range(2), sides)]
        self.forward = _operator(_ORDER)(weight_OIHW, self.padding, stride, *rest, self._input_NCHW)
        self.backward = _operator(_ORDER_BACK)(
            weight_OIHW, self.padding, self.left_over(sides), stride, *rest, output_NCHW
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
        self._kernel.expect(maps_NCHW)
        return _Convolution.apply(maps_NCHW, weight_OIHW, self._kernel)


class _Convolution(torch.autograd.Function):
    """The convolution; its gradient by the maps is a transposed convolution with the kernel in another order."""

    @staticmethod
    def forward(ctx: Any, maps_NCHW: Tensor, weight_OIHW: Tensor, kernel: _Kernel) -> Tensor:
        ctx.save_for_backward(maps_NCHW, weight_OIHW)
        ctx.kernel = kernel
        return _operator(_COMPUTE)(maps_NCHW, kernel.forward, None, kernel.padding, *kernel.geometry, *_NOTHING_ELSE)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (maps_NCHW, weight_OIHW), kernel = ctx.saved_tensors, ctx.kernel
        gradient_NCHW = gradients[0].contiguous(memory_format=torch.channels_last)
        by_maps = by_weight = None
        if ctx.needs_input_grad[0]:
            left_over = kernel.left_over(list(maps_NCHW.shape[2:]))
            by_maps = _operator(_COMPUTE_BACK)(
                gradient_NCHW, kernel.backward, None, kernel.padding, left_over, *kernel.geometry, *_NOTHING_ELSE
            )
        if ctx.needs_input_grad[1]:
            stride, dilation, groups = kernel.geometry
            transposed, none = False, [0, 0]
            _, by_weight, _ = torch.ops.aten.convolution_backward(
                gradient_NCHW, maps_NCHW, weight_OIHW, None, stride, kernel.padding, dilation, transposed, none, groups,
                [False, True, False],
            )  # fmt: skip
        return by_maps, by_weight, None


def _operator(name: str) -> Any:
    return getattr(torch.ops.mkldnn, name)


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
