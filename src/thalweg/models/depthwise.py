"""A depthwise convolution, each channel by itself, whose backward pass is ours on CPUs.

oneDNN computes the gradients of some depthwise convolutions one number at a time: by the input with a stride in bf16,
by the weights of kernels of 5 × 5 in both precisions. Of the time for the convolutions of EfficientNet-Lite0, gradients
of depthwise ones took a third in fp32, and four fifths in bf16.

Shape suffixes: N photos, C channels, H height, W width; h and w those of the output; K × K the kernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import pad

from thalweg.models.depthwise_passes import KINDS, DepthwisePasses, Padding, compile_passes, vectors
from thalweg.models.observed import is_taken_apart


if TYPE_CHECKING:
    from torch import Tensor

_TIMMS_SAME = "timm.layers.conv2d_same.Conv2dSame"  # of networks that were trained in TensorFlow
_PLAIN = (torch.Tensor, nn.Parameter)  # subclasses may stand for other tensors


def depthwise_conv2d(
    input_NCHW: Tensor, weight: Tensor, bias_C: Tensor | None, stride: int, padding: Padding
) -> Tensor:
    """Convolve each channel with its own kernel: torch's result and gradients, sooner.

    `y[n, c, h, w] = b[c] + Σ_ij k[c, i, j] · x[n, c, s·h + i - above, s·w + j - left]`, with zeros beyond the edges.

    On a CPU with AVX2 or AVX-512, gradients in fp32 or bf16 are our own. Elsewhere they are torch's, as they are where
    second derivatives are wanted, or something traces the calls. Weights gather their gradient in float32 under
    autocast, too.

    Args:
        input_NCHW: the maps.
        weight: the kernels, (C, 1, K, K).
        bias_C: one number a channel, or none.
        stride: s, of rows and columns alike.
        padding: less than K on each side.

    Returns:
        The maps, (N, C, h, w).

    Example:
        >>> maps, kernels = torch.ones(1, 16, 4, 4), torch.ones(16, 1, 3, 3)
        >>> depthwise_conv2d(maps, kernels, None, 2, Padding(0, 0, 1, 1))[0, 0]
        tensor([[9., 6.],
                [6., 4.]])
    """
    if not (_is_wanted(input_NCHW, weight, bias_C) and _is_covered(input_NCHW, weight, bias_C, padding)):
        return padded_conv2d(input_NCHW, weight, bias_C, stride, padding, weight.shape[0])
    if torch.is_autocast_enabled("cpu"):
        input_NCHW = input_NCHW.to(torch.get_autocast_dtype("cpu"))
    return _Depthwise.apply(input_NCHW, weight, bias_C, stride, padding)


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise `nn.Conv2d` with the same result and gradients, and the same weights by the same names.

    See `depthwise_conv2d`.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 - torch's name
        if torch.jit.is_scripting():  # pyright: ignore[reportPrivateImportUsage] - TorchScript knows this name
            return torch.conv2d(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        above, left = (int(side) for side in self.padding)
        return depthwise_conv2d(input, weight, bias, self.stride[0], Padding(above, left, above, left))


class SameConv2d(nn.Conv2d):
    """A convolution whose output has ⌈side / stride⌉ pixels; an odd pixel of padding comes after the maps, not before.

    torch's own padding comes before and after alike, which shifts the maps of a network that was trained in TensorFlow
    by half a pixel at each halving.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # noqa: A002 - torch's name
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = input.shape[2:]
        below, right = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in (height, width))
        padding = Padding(below // 2, right // 2, below - below // 2, right - right // 2)
        if is_depthwise(self):
            return depthwise_conv2d(input, weight, bias, stride, padding)
        return padded_conv2d(input, weight, bias, stride, padding, self.groups)


def quicken(model: nn.Module) -> None:
    """Let the depthwise convolutions of anybody's model compute with `depthwise_conv2d`, those that it covers."""
    for module in model.modules():
        if not isinstance(module, nn.Conv2d) or not is_depthwise(module) or isinstance(module.padding, str):
            continue
        if type(module) is nn.Conv2d:
            module.__class__ = DepthwiseConv2d
        elif f"{type(module).__module__}.{type(module).__name__}" == _TIMMS_SAME:
            module.__class__ = SameConv2d


def compile_depthwise(model: nn.Module) -> None:
    """Compile what the steps of a network need, before any of them is timed."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and type(layer) is not nn.Conv2d]
    for kernel, stride in sorted({(layer.kernel_size[0], layer.stride[0]) for layer in layers if is_depthwise(layer)}):
        compile_passes(kernel, stride)


def is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether `depthwise_conv2d` computes what a convolution does: square, padded with zeros, no dilation."""
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.groups > 1
        and len({*conv.kernel_size}) == len({*conv.stride}) == 1
        and {*conv.dilation} == {1}
        and conv.padding_mode == "zeros"
        and (isinstance(conv.padding, str) or max(conv.padding) < conv.kernel_size[0])
    )


def padded_conv2d(  # noqa: PLR0917 - as torch's
    input_NCHW: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: Padding, groups: int
) -> Tensor:
    """Return torch's convolution, with other paddings after a map than before; these are written out."""
    above, left, below, right = padding
    if not padding.is_even:
        input_NCHW, above, left = pad(input_NCHW, (left, right, above, below)), 0, 0
    return torch.conv2d(input_NCHW, weight, bias, stride, (above, left), 1, groups)


def _is_wanted(*given: Tensor | None) -> bool:
    """Whether a gradient is wanted by one of the tensors, and nothing takes the calls apart."""
    tensors = [one for one in given if one is not None]
    if is_taken_apart() or not all(type(one) in _PLAIN for one in tensors):
        return False
    return torch.is_grad_enabled() and any(one.requires_grad for one in tensors)


def _is_covered(input_NCHW: Tensor, weight: Tensor, bias_C: Tensor | None, padding: Padding) -> bool:
    """Whether our loops can compute the gradients. What nobody can compute is left to torch, which says so."""
    vector = vectors()
    given = [one for one in (input_NCHW, weight, bias_C) if one is not None]
    if vector is None or any(one.device.type != "cpu" or one.is_neg() for one in given):
        return False
    channels, kernel = len(weight), weight.shape[-1]
    if input_NCHW.ndim != 4 or not input_NCHW.numel() or weight.shape != (input_NCHW.shape[1], 1, kernel, kernel):
        return False
    above, left, below, right = padding
    height, width = input_NCHW.shape[2:]
    fits = min(height + above + below, width + left + right) >= kernel and 0 <= min(padding) <= max(padding) < kernel
    kinds = {one.dtype for one in given}
    if torch.is_autocast_enabled("cpu"):
        kinds.add(torch.get_autocast_dtype("cpu"))
    elif len(kinds) > 1:
        return False
    return fits and channels % vector.lanes == 0 and kinds <= KINDS.keys()


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0917 - torch passes what `apply` got
        ctx: Any, input_NCHW: Tensor, weight: Tensor, bias_C: Tensor | None, stride: int, padding: Padding
    ) -> Tensor:
        ctx.save_for_backward(input_NCHW, weight, bias_C)
        ctx.stride, ctx.padding = stride, padding
        precision = input_NCHW.dtype
        with torch.autocast("cpu", enabled=False):
            if not padding.is_even:  # torch would write its zeros out
                return DepthwisePasses(input_NCHW, weight, stride, padding).output(bias_C)
            bias = None if bias_C is None else bias_C.to(precision)
            return padded_conv2d(input_NCHW, weight.to(precision), bias, stride, padding, weight.shape[0])

    @staticmethod
    def backward(ctx: Any, gradient_NChw: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override] - torch names it *grad_outputs
        input_NCHW, weight, _ = ctx.saved_tensors
        if torch.is_grad_enabled() or is_taken_apart(gradient_NChw):  # second derivatives, or many gradients at once
            found = _torchs_gradients(ctx, gradient_NChw)
        else:
            passes = DepthwisePasses(input_NCHW, weight, ctx.stride, ctx.padding)
            by_input = passes.by_input(gradient_NChw) if ctx.needs_input_grad[0] else None
            by_weights = passes.by_weights(gradient_NChw) if any(ctx.needs_input_grad[1:3]) else (None, None)
            found = (by_input, *by_weights)
        return *(one if wanted else None for one, wanted in zip(found, ctx.needs_input_grad, strict=False)), None, None


def _torchs_gradients(ctx: Any, gradient_NChw: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients by input, weights and bias, by the derivatives that torch knows of its own convolution."""
    is_differentiated = torch.is_grad_enabled()
    wanted = [one for one, asked in zip(ctx.saved_tensors, ctx.needs_input_grad, strict=False) if asked]
    input_NCHW, weight, bias_C = ctx.saved_tensors
    precision = input_NCHW.dtype
    with torch.autocast("cpu", enabled=False), torch.enable_grad():
        bias = None if bias_C is None else bias_C.to(precision)
        output_NChw = padded_conv2d(input_NCHW, weight.to(precision), bias, ctx.stride, ctx.padding, len(weight))
    found = iter(torch.autograd.grad(output_NChw, wanted, gradient_NChw, create_graph=is_differentiated))
    return tuple(next(found) if asked else None for asked in ctx.needs_input_grad[:3])
