"""The gradients of a depthwise convolution on a CPU: compiled loops over blocks of channels, shared among threads.

Shape suffixes: N photos, C channels, H height, W width; h and w those of the output; K × K the kernel.
"""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from thalweg._native import Kernel, Part, get_kernel
from thalweg.models.depthwise_loops import GEOMETRY, build_input, build_weights, scratch_size


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

KINDS = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
_SOURCES = (Path(__file__).parent / "depthwise_loops.py", Path(__file__).parents[1] / "_native" / "vectors.py")


class Padding(NamedTuple):
    """Rows and columns of zeros around each map."""

    above: int
    left: int
    below: int
    right: int


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


class DepthwiseGradients:
    """Both gradients of one convolution, on as many threads as torch has; their number changes no bit.

    Args:
        input_NCHW: the maps that were convolved, float32 or bfloat16.
        weight: the kernels, (C, 1, K, K); C is a multiple of a vector's lanes.
        gradient_NChw: the gradient by the output.
        stride: of rows and columns alike.
        padding: less than K on each side.
    """

    def __init__(
        self, input_NCHW: Tensor, weight: Tensor, gradient_NChw: Tensor, stride: int, padding: Padding
    ) -> None:
        vector = vectors()
        if vector is None:
            raise RuntimeError("these loops are for x86-64 with AVX2 or AVX-512")
        last = torch.channels_last
        self._input_NCHW = input_NCHW.contiguous(memory_format=last)
        self._gradient_NChw = gradient_NChw.to(input_NCHW.dtype).contiguous(memory_format=last)
        self._weight, self._stride, self._vector = weight, stride, vector
        count, channels, height, width = input_NCHW.shape
        self._geometry = (count, height, width, channels, *gradient_NChw.shape[2:], padding.above, padding.left)
        self._kernel, self._blocks = weight.shape[-1], channels // vector.lanes
        self._room = scratch_size(self._kernel, stride, height, width, vector.lanes)

    def by_input(self) -> Tensor:
        """The gradient by the input, (N, C, H, W), of its type."""
        used = self._weight.to(self._input_NCHW.dtype).float()  # as the forward pass rounded them
        found_NCHW = torch.empty_like(self._input_NCHW, memory_format=torch.channels_last)
        self._run("input", self._gradient_NChw, used.flatten(1).T.contiguous(), found_NCHW)
        return found_NCHW

    def by_weights(self) -> tuple[Tensor, Tensor]:
        """The gradients by the weights, (C, 1, K, K), and by the bias, (C,), in float32."""
        taps, lanes = self._kernel**2, self._vector.lanes
        found = torch.empty(self._blocks, taps + 1, lanes)
        self._run("weights", self._input_NCHW, self._gradient_NChw, found)
        by_channel = found.transpose(1, 2).reshape(self._blocks * lanes, taps + 1)
        return by_channel[:, :taps].reshape(self._weight.shape), by_channel[:, taps].contiguous()

    def _run(self, which: str, *tensors: Tensor) -> None:
        kind = KINDS[self._input_NCHW.dtype]
        compiled = _compiled(which, self._kernel, self._stride, kind, self._vector)
        addresses = [tensor.data_ptr() for tensor in tensors]

        def run(first: int, last: int) -> None:
            scratch = torch.empty(self._room)
            compiled(*self._geometry, first, last, *addresses, scratch.data_ptr())

        _in_threads(run, self._blocks)


def _in_threads(run: Callable[[int, int], None], blocks: int) -> None:
    """Share blocks among as many threads as torch has for the caller."""
    threads = min(torch.get_num_threads(), blocks)
    if threads == 1:
        run(0, blocks)
        return
    bounds = [blocks * at // threads for at in range(threads + 1)]
    others = [_pool(threads - 1).submit(run, *bounds[at : at + 2]) for at in range(1, threads)]
    run(*bounds[:2])
    for other in others:
        other.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="depthwise")


@cache
def _compiled(which: str, kernel: int, stride: int, kind: str, vector: Vectors) -> Kernel:
    symbol = f"depthwise_{which}_{kernel}_{stride}_{kind}"

    def build() -> str:
        if which == "weights":
            return build_weights(symbol, kernel=kernel, stride=stride, kind=kind, lanes=vector.lanes, sums=vector.sums)
        return build_input(symbol, kernel=kernel, stride=stride, kind=kind, lanes=vector.lanes)

    source = "\n".join((f"{symbol} {vector}", *(path.read_text(encoding="utf-8") for path in _SOURCES)))
    return get_kernel(Part(symbol, "i" * len(GEOMETRY) + "ffff", source, build))
