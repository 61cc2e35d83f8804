"""The backward pass of depthwise convolutions beside torch's, and what it does to a step of EfficientNet-Lite0.

    OMP_NUM_THREADS=1 python benchmarks/depthwise.py kernels --rounds 5  # each of the network's convolutions
    python benchmarks/depthwise.py step --rounds 10                      # forward and backward, photos per second

Both take turns, in one process; the best counts. Kernels are compiled, or found on disk, before anything is timed.
"""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, NamedTuple
from unittest.mock import patch

import torch

from thalweg import models
from thalweg.models import depthwise
from thalweg.models.depthwise_passes import DepthwisePasses, Padding
from thalweg.models.efficientnet_lite0 import STAGES, STEM
from thalweg.models.freezing import freeze
from thalweg.training.number_format import Format


if TYPE_CHECKING:
    from collections.abc import Callable

SIDE = 224
FORMATS = [Format("bf16", "channels-last"), Format("fp32", "channels-last")]


class Shape(NamedTuple):
    """A depthwise convolution over square maps."""

    channels: int
    kernel: int
    stride: int
    side: int


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", choices=["kernels", "step"])
    arguments.add_argument("--photos", type=int, default=16)
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {given.photos} photos, best of {given.rounds}"
    )
    (kernels if given.what == "kernels" else step)(given.photos, given.rounds)


def kernels(photos: int, rounds: int) -> None:
    print("channels kernel stride side: by input torch's and ours, by weights torch's and ours, in milliseconds")
    for precision in (torch.float32, torch.bfloat16):
        name = str(precision).removeprefix("torch.")
        totals = torch.zeros(4)
        for shape in convolutions():
            found = torch.tensor(best_of(turns_of(shape, photos, precision), rounds)) * 1000
            totals += found
            print(
                f"  {name:9} {shape.channels:4} {shape.kernel} {shape.stride} {shape.side:3}: {row(found)}", flush=True
            )
        print(f"  {name:9} all of them: {row(totals)}")


def row(milliseconds: torch.Tensor) -> str:
    return "  ".join(f"{one:6.1f}" for one in milliseconds.tolist())


def convolutions() -> list[Shape]:
    """The network's depthwise convolutions."""
    found, inputs, side = [], STEM, SIDE // 2
    for blocks, kernel, first, expansion, channels in STAGES:
        for block in range(blocks):
            stride = first if block == 0 else 1
            found.append(Shape(inputs * expansion, kernel, stride, side))
            inputs, side = channels, side // stride
    return found


def turns_of(shape: Shape, photos: int, precision: torch.dtype) -> list[Callable[[], object]]:
    """The gradient by the input with torch's and ours, by weights and bias with torch's and ours."""
    channels, kernel, stride, side = shape
    around, outputs, last = kernel // 2, -(-side // stride), torch.channels_last
    x = torch.randn(photos, channels, side, side).to(precision).to(memory_format=last)
    dy = torch.randn(photos, channels, outputs, outputs).to(precision).to(memory_format=last)
    weight = torch.randn(channels, 1, kernel, kernel)
    theirs = weight.to(precision).to(memory_format=last)
    is_transposed = False

    def torchs(*mask: bool) -> Callable[[], object]:
        geometry = ([stride] * 2, [around] * 2, [1, 1], is_transposed, [0, 0], channels)
        return lambda: torch.ops.aten.convolution_backward(dy, x, theirs, [channels], *geometry, list(mask))

    ours = DepthwisePasses(x, weight, stride, Padding(around, around, around, around))
    wanted = True
    return [
        torchs(wanted, not wanted, not wanted),
        lambda: ours.by_input(dy),
        torchs(not wanted, wanted, wanted),
        lambda: ours.by_weights(dy),
    ]


def step(photos: int, rounds: int) -> None:
    model = models.build("efficientnet-lite0", classes=10, size=SIDE).to(memory_format=torch.channels_last).train()
    freeze(model, None, "frozen")
    images_NCHW = torch.randn(photos, 3, SIDE, SIDE).to(memory_format=torch.channels_last)

    def taken(number_format: Format) -> None:
        with number_format.autocast(torch.device("cpu")):
            loss = model(images_NCHW).float().square().mean()
        loss.backward()

    def torchs(number_format: Format) -> None:
        with patch.object(depthwise, "vectors", lambda: None):
            taken(number_format)

    for number_format in FORMATS:
        turns = [lambda one=number_format: torchs(one), lambda one=number_format: taken(one)]
        theirs, ours = (photos / seconds for seconds in best_of(turns, rounds))
        print(f"  {number_format.precision} {number_format.layout}: torch's {theirs:.1f}, ours {ours:.1f} photos/s")


def best_of(turns: list[Callable[[], object]], rounds: int) -> list[float]:
    """The fewest seconds of each, taking turns. Each runs twice: the first finds its kernels and its memory."""
    best = [float("inf")] * len(turns)
    for _ in range(rounds):
        for at, turn in enumerate(turns):
            turn()
            began = time.perf_counter()
            turn()
            best[at] = min(best[at], time.perf_counter() - began)
    return best


if __name__ == "__main__":
    main()
