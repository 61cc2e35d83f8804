"""A step in shards against a step on the whole batch, and two processes of one thread against one of two.

    python benchmarks/distributed.py [--size 128] [--batch 64] [--rounds 20] [--optimizer adamw]

All variants take turns step by step, so that other load slows all equally; the figures of each are those of its best
step. Processor time, of all processes of a variant, hardly depends on other load. Photos are noise: the time of a step
does not depend on what they show.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import Batches
from thalweg.distributed.joining import join
from thalweg.distributed.team import Team
from thalweg.models import build
from thalweg.runs import TrainingConfig
from thalweg.training.losses import Objective
from thalweg.training.machine import ready_machine
from thalweg.training.number_format import Format
from thalweg.training.optimizers import build_optimizer
from thalweg.training.progress import State
from thalweg.training.step import Gradients
from thalweg.training.stepping import batch_step


if TYPE_CHECKING:
    from collections.abc import Callable


class Step(NamedTuple):
    """Seconds of a step: of the clock, of all processes' processor time, of the sum over shards, of the optimizer."""

    took: float
    processor: float
    summing: float
    optimizing: float


def steps(options: argparse.Namespace, shards: int | None, threads: int) -> None:
    """Take a step for each line of the input, and print it."""
    group = join()
    team = group or Team()
    summing = Watch(team.total)
    team.total = summing
    if group is not None and not torch.distributed.is_initialized():
        group.meet()
    ready_machine(1 if shards else threads)
    config = TrainingConfig(
        model=options.model, batch_size=options.batch, shards=shards, optimizer=options.optimizer, lr=1e-3
    ).settle(options.size)
    torch.manual_seed(0)
    form = Format("fp32", "channels-last")
    model = build(config.model, classes=10, size=config.size).to(memory_format=form.memory_format).train()
    optimizer = build_optimizer(model, config)
    photos = np.random.default_rng(0).integers(0, 256, (options.batch, config.size, config.size, 3), dtype=np.uint8)
    batches = Batches(
        HostAugmenter(photos, [0.5] * 3, [0.25] * 3),
        np.arange(options.batch),
        np.arange(options.batch) % 10,
        size=config.size,
        batch_size=options.batch,
        policy=augmentation("standard"),
        seed=0,
    )
    gradients = Gradients(model, Objective("cross-entropy", 0.1), form)
    _, take, update = batch_step(
        config, batches, gradients, optimizer, device=torch.device("cpu"), team=team, threads=threads
    )
    for step in count():
        if not all_go_on(team):
            return
        began, processor, summing.seconds = time.perf_counter(), time.process_time(), 0.0
        take(State(step=step, epoch=step), config.size, mixes=False)
        middle = time.perf_counter()
        update()
        optimizer.zero_grad(set_to_none=True)
        ended, spent = time.perf_counter(), torch.tensor([time.process_time() - processor])
        spent = torch.cat(team.gather([spent], [1] * team.processes)).sum().item()
        if team.first:
            print(json.dumps(Step(ended - began, spent, summing.seconds, ended - middle)), flush=True)


def all_go_on(team: Team) -> bool:
    """Wait for the next line of the first process's input; whether there is one."""
    go = torch.tensor([float(team.first and bool(sys.stdin.readline()))])
    return bool(torch.cat(team.gather([go], [1] * team.processes))[0])


class Watch:
    """A function, and the seconds that calls of it took."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.seconds = function, 0.0

    def __call__(self, *arguments: Any) -> Any:
        """Call it."""
        began = time.perf_counter()
        result = self.function(*arguments)
        self.seconds += time.perf_counter() - began
        return result


class Running:
    """The processes of a variant, which wait for a line before each step."""

    def __init__(self, options: argparse.Namespace, name: str) -> None:
        shards, processes, threads = VARIANTS[name]
        flags = [f"--{key}={value}" for key, value in vars(options).items() if key != "child"]
        command = [sys.executable, "-W", "ignore", __file__, f"--child={shards or 0},{threads}", *flags]
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        pipes: dict[str, Any] = {"text": True}
        self._processes = []
        for rank in range(processes):
            variables = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            if processes > 1:
                variables |= {**address, "RANK": str(rank), "WORLD_SIZE": str(processes)}
            ends = subprocess.PIPE if rank == 0 else subprocess.DEVNULL
            self._processes.append(subprocess.Popen(command, env=variables, stdin=ends, stdout=ends, **pipes))

    def step(self) -> Step:
        """Take one step."""
        first: Any = self._processes[0]
        first.stdin.write("\n")
        first.stdin.flush()
        return Step(*json.loads(first.stdout.readline()))

    def end(self) -> None:
        """Let them end."""
        self._processes[0].communicate()
        for process in self._processes:
            process.wait()


# shards of a batch, processes, threads of each
VARIANTS: dict[str, tuple[int | None, int, int]] = {
    "whole batch, 1 process × 2 threads": (None, 1, 2),
    "4 shards, 1 process × 2 threads": (4, 1, 2),
    "4 shards, 1 process × 1 thread": (4, 1, 1),
    "4 shards, 2 processes × 1 thread": (4, 2, 1),
}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=TrainingConfig().batch_size)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--child", default="")
    options = parser.parse_args()
    if options.child:
        shards, threads = map(int, options.child.split(","))
        steps(options, shards or None, threads)
        return
    running = {name: Running(options, name) for name in VARIANTS}
    found: dict[str, list[Step]] = {name: [] for name in VARIANTS}
    for turn in range(1 + options.rounds):
        for name, processes in running.items():
            step = processes.step()
            if turn:  # the first warms up
                found[name].append(step)
    for name, some in found.items():
        running[name].end()
        took, processor, summing, optimizing = (1000 * min(part) for part in zip(*some, strict=True))
        print(
            f"{name:36} {1000 * options.batch / took:6.1f} photos/s, {took:5.0f} ms ({processor:.0f} of the processor),"
            f" sum {summing:.1f} ms, optimizer {optimizing:.1f} ms"
        )


if __name__ == "__main__":
    main()
