"""The cost of watching: the same steps with and without, in turns.

    python benchmarks/watching.py
    OMP_NUM_THREADS=1 python benchmarks/watching.py --cpu --batch 128     # processor time, beside other work
    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 benchmarks/watching.py --cpu --batch 128  # two replicas

Two perceptrons have steps of about 2 and more than 10 milliseconds. Of each there are two, and each step of the one is
followed by one of the other, which is watched. A period is 20 steps of both, one of which is measured in full; two
uncounted periods come first, because a watched run begins with ten full steps. What is printed is the median period:
machines change their speed, which hits both of its sides alike.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from itertools import islice, pairwise
from statistics import median, quantiles
from typing import TYPE_CHECKING

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import thalweg


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PERIOD, BEGINNING, BATCH = 20, 2, 256  # steps, periods, samples
SIDES = {"a step of about 2 ms": (784, 256, 128, 10), "a step of more than 10 ms": (784, 1024, 1024, 10)}


def training(widths: tuple[int, ...]) -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    model: nn.Module = nn.Sequential(*layers[:-1])
    if distributed.is_initialized():
        model = DistributedDataParallel(model)
    return model, torch.optim.Adam(model.parameters(), fused=True)


def periods_of(
    widths: tuple[int, ...], size: int, clock: Callable[[], float] = time.perf_counter
) -> Iterator[tuple[float, float]]:
    """The seconds of each period without and with a watch, without end."""
    sides = [training(widths), training(widths)]
    inputs, labels = torch.randn(size, widths[0]), torch.arange(size) % 10
    with thalweg.watch(*sides[1]) as watching:
        while True:
            spent = [0.0, 0.0]
            for _ in range(PERIOD):
                for side, (model, optimizer) in enumerate(sides):
                    began = clock()
                    optimizer.zero_grad()
                    loss = cross_entropy(model(inputs), labels)
                    loss.backward()
                    optimizer.step()
                    if side:
                        watching.step(loss)
                    spent[side] += clock() - began
            yield spent[0], spent[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--periods", type=int, default=50)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--cpu", action="store_true", help="count the processor time of all threads, not the clock's")
    chosen = parser.parse_args()
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")
    clock = time.process_time if chosen.cpu else time.perf_counter
    print(f"python {platform.python_version()}, torch {torch.__version__}, {torch.get_num_threads()} threads", end=", ")
    print(f"{'processor time' if chosen.cpu else 'by the clock'}, load {os.getloadavg()[0]:.1f}")
    for name, widths in SIDES.items():
        periods = islice(periods_of(widths, chosen.batch, clock), BEGINNING, BEGINNING + chosen.periods)
        plain, watched = zip(*periods, strict=True)
        more = [100 * (one / other - 1) for one, other in zip(watched, plain, strict=True)]
        low, middle, high = quantiles(more, n=4)
        step = median(plain) / PERIOD * 1e3
        print(f"{name}: {step:.2f} ms, watched {middle:+.1f} %, quartiles {low:+.1f} to {high:+.1f} %")


if __name__ == "__main__":
    main()
