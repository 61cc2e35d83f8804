"""The cost of watching: the same steps with and without, in turns, best of n.

    python benchmarks/watching.py --rounds 9
    OMP_NUM_THREADS=1 python benchmarks/watching.py --cpu --batch 128     # processor time, beside other work
    OMP_NUM_THREADS=1 torchrun --standalone --nproc-per-node 2 benchmarks/watching.py --cpu --batch 128  # two replicas

Two perceptrons have steps of about 2 and more than 10 milliseconds. A round is 100 steps of each side, after 20
uncounted ones (the first ten of a watched run are measured in full); rounds of both sides alternate.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import distributed, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

import thalweg


if TYPE_CHECKING:
    from collections.abc import Callable

STEPS, WARM_UP, BATCH = 100, 20, 256
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


def seconds_a_step(
    widths: tuple[int, ...], size: int, *, watched: bool, clock: Callable[[], float] = time.perf_counter
) -> float:
    model, optimizer = training(widths)
    inputs, labels = torch.randn(size, widths[0]), torch.arange(size) % 10
    watching = thalweg.watch(model, optimizer) if watched else None
    if watching is not None:
        watching.__enter__()
    began = 0.0
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            began = clock()
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), labels)
        loss.backward()
        optimizer.step()
        if watching is not None:
            watching.step(loss)
    return (clock() - began) / STEPS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--cpu", action="store_true", help="count the processor time of all threads, not the clock's")
    chosen = parser.parse_args()
    if "RANK" in os.environ:
        distributed.init_process_group("gloo")
    clock, rounds = time.process_time if chosen.cpu else time.perf_counter, chosen.rounds
    print(f"python {platform.python_version()}, torch {torch.__version__}, {torch.get_num_threads()} threads", end=", ")
    print(f"{'processor time' if chosen.cpu else 'by the clock'}, load {os.getloadavg()[0]:.1f}")
    for name, widths in SIDES.items():
        best = {False: float("inf"), True: float("inf")}
        for _ in range(rounds):
            for watched in (False, True):
                best[watched] = min(best[watched], seconds_a_step(widths, chosen.batch, watched=watched, clock=clock))
        plain, watched = best[False] * 1e3, best[True] * 1e3
        print(f"{name}: {plain:.2f} ms, watched {watched:.2f} ms, {100 * (watched / plain - 1):+.1f} %")


if __name__ == "__main__":
    main()
