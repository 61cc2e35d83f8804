"""The passes of a depthwise convolution on a CPU: compiled loops over blocks of channels, shared among threads.

Shape suffixes: N photos, C channels, H height, W width; h and w those of the output; K × K the kernel.
"""

from __future__ import annotations

import platform
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from thalweg._native import Kernel, Part, get_kernel
from thalweg._native.team import run_on_team
from thalweg.models.depthwise_loops import build_input, build_output, build_weights, scratch_size


if TYPE_CHECKING:
    from torch import Tensor

KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_SOURCES = (Path(__file__).parent / "depthwise_loops.py", Path(__file__).parents[1] / "_native" / "vectors.py")


class Padding(NamedTuple):
    """Rows and columns of zeros around each map."""

    above: int
    left: int
    below: int
    right: int

    @property
    def is_even(self) -> bool:
        """Whether there are as many after a map as before."""
        return self.above == self.below and self.left == self.right


class Vectors(NamedTuple):
    """What a processor offers: numbers of float32 in a vector, and vectors of sums that its registers hold."""

    lanes: int
    sums: int


@cache
def vectors() -> Vectors | None:
    """Return this processor's; None: it is of a kind that the loops were not measured on."""
    if platform.machine().lower() not in {"x86_64", "amd64"}:
        return None
    return {"AVX512": Vectors(16, 25), "AVX2": Vectors(8, 10)}.get(torch.backends.cpu.get_cpu_capability())


class DepthwisePasses:
    """One convolution, on as many threads as torch has; their number changes no bit.

    Args:
        input_NCHW: the maps, float32 or bfloat16.
        weight: the kernels, (C, 1, K, K); C is a multiple of a vector's lanes.
        stride: of rows and columns alike.
        padding: less than K on each side.
    """

    def __init__(self, input_NCHW: Tensor, weight: Tensor, stride: int, padding: Padding) -> None:
        vector = vectors()
        if vector is None:
            raise RuntimeError("these loops are for x86-64 with AVX2 or AVX-512")
        self._input_NCHW = input_NCHW.contiguous(memory_format=torch.channels_last)
        self._weight, self._stride, self._padding, self._vector = weight, stride, padding, vector
        self._kernel, self._blocks = weight.shape[-1], len(weight) // vector.lanes

    def output(self, bias_C: Tensor | None) -> Tensor:
        """Return the maps, (N, C, h, w), of the input's type."""
        above, left, below, right = self._padding
        count, channels, height, width = self._input_NCHW.shape
        sides = ((side - self._kernel) // self._stride + 1 for side in (height + above + below, width + left + right))
        size = (count, channels, *sides)
        found_NChw = torch.empty(size, dtype=self._input_NCHW.dtype, memory_format=torch.channels_last)
        bias = torch.zeros(channels) if bias_C is None else bias_C.to(self._input_NCHW.dtype).float()
        self._run("output", found_NChw, self._input_NCHW, torch.cat([self._taps(), bias[None]]), found_NChw)
        return found_NChw

    def by_input(self, gradient_NChw: Tensor) -> Tensor:
        """Return the gradient by the input, (N, C, H, W), of its type."""
        gradient_NChw = self._like_input(gradient_NChw)
        found_NCHW = torch.empty_like(self._input_NCHW, memory_format=torch.channels_last)
        self._run("input", gradient_NChw, gradient_NChw, self._taps(), found_NCHW)
        return found_NCHW

    def by_weights(self, gradient_NChw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the gradients by the weights, (C, 1, K, K), and by the bias, (C,), in float32."""
        gradient_NChw = self._like_input(gradient_NChw)
        taps, lanes = self._kernel**2, self._vector.lanes
        found = torch.empty(self._blocks, taps + 1, lanes)
        self._run("weights", gradient_NChw, self._input_NCHW, gradient_NChw, found)
        by_channel = found.transpose(1, 2).reshape(self._blocks * lanes, taps + 1)
        return by_channel[:, :taps].reshape(self._weight.shape), by_channel[:, taps].contiguous()

    def _taps(self) -> Tensor:
        """The weights, rounded as the input is, (K², C), float32."""
        return self._weight.to(self._input_NCHW.dtype).float().flatten(1).T.contiguous()

    def _like_input(self, gradient_NChw: Tensor) -> Tensor:
        gradient_NChw = gradient_NChw.to(self._input_NCHW.dtype).resolve_neg()
        return gradient_NChw.contiguous(memory_format=torch.channels_last)

    def _run(self, which: str, output_NChw: Tensor, *tensors: Tensor) -> None:
        count, channels, height, width = self._input_NCHW.shape
        threads = min(torch.get_num_threads(), self._blocks)
        room = scratch_size(self._kernel, self._stride, height, width, self._vector.lanes)
        scratch = torch.empty(threads * room)
        addresses = [tensor.data_ptr() for tensor in (*tensors, scratch)]
        sides = (height, width, channels, *output_NChw.shape[2:])
        compiled = _compiled(which, self._kernel, self._stride, KINDS[self._input_NCHW.dtype], self._vector)
        run_on_team(compiled, [count, *sides, self._padding.above, self._padding.left, room, *addresses], threads)


def compile_passes(kernel: int, stride: int) -> None:
    """Compile the passes of a convolution, or find them on disk: a quarter of a second each, once on a machine.

    Args:
        kernel: side of the kernel.
        stride: of rows and columns alike; without one, zeros lie evenly around, and the forward pass is torch's.
    """
    vector = vectors()
    if vector is not None:
        for which, kind in product(
            ("input", "weights") if stride == 1 else ("input", "weights", "output"), KINDS.values()
        ):
            _compiled(which, kernel, stride, kind, vector)


@cache
def _compiled(which: str, kernel: int, stride: int, kind: str, vector: Vectors) -> Kernel:
    symbol = f"depthwise_{which}_{kernel}_{stride}_{kind}"

    def build() -> str:
        if which == "weights":
            return build_weights(symbol, kernel=kernel, stride=stride, kind=kind, lanes=vector.lanes, sums=vector.sums)
        maps = {"output": build_output, "input": build_input}
        return maps[which](symbol, kernel=kernel, stride=stride, kind=kind, lanes=vector.lanes)

    source = "\n".join((f"{symbol} {vector}", *(path.read_text(encoding="utf-8") for path in _SOURCES)))
    return get_kernel(Part(symbol, "q", source, build))
