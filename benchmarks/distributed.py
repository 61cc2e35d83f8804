"""A step in shards against a step on the whole batch, and two processes of one thread against one of two.

    python benchmarks/distributed.py [--size 128] [--batch 64] [--rounds 5] [--optimizer adamw]

All variants take turns, so that other load slows all equally; the figure of each is its best round. Photos are noise:
the time of a step does not depend on what they show.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
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
from thalweg.training.sharing import update_of
from thalweg.training.step import Gradients
from thalweg.training.stepping import batch_step


if TYPE_CHECKING:
    from collections.abc import Callable


class Step(NamedTuple):
    """A step: its photos per second, and which parts of its time the sum over the shards and the optimizer take."""

    rate: float
    summing: float
    optimizing: float


def best_step(options: argparse.Namespace, shards: int | None, threads: int) -> Step:
    """Return the fastest of some steps, after one that warms up."""
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
    lanes, take = batch_step(
        config, batches, gradients, optimizer, device=torch.device("cpu"), team=team, threads=threads
    )
    update = update_of(optimizer, lanes)
    best = Step(0.0, 0.0, 0.0)
    for step in range(options.steps + 1):
        began, summing.seconds = time.perf_counter(), 0.0
        take(State(step=step, epoch=step), config.size, mixes=False)
        middle = time.perf_counter()
        update()
        optimizer.zero_grad(set_to_none=True)
        took = time.perf_counter() - began
        if step:
            optimizing = time.perf_counter() - middle
            best = max(best, Step(options.batch / took, summing.seconds / took, optimizing / took))
    return best


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


def child(options: argparse.Namespace, name: str) -> Step:
    """Measure one variant in processes of its own."""
    shards, processes, threads = VARIANTS[name]
    flags = [f"--{key}={value}" for key, value in vars(options).items() if key not in {"child", "rounds"}]
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, "-W", "ignore", *launch, __file__, f"--child={shards or 0},{threads}", *flags]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Step(*json.loads(done.stdout.splitlines()[-1]))


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
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--child", default="")
    options = parser.parse_args()
    if options.child:
        shards, threads = map(int, options.child.split(","))
        found = best_step(options, shards or None, threads)
        if (join() or Team()).first:
            print(json.dumps(found), flush=True)
        return
    best = dict.fromkeys(VARIANTS, Step(0.0, 0.0, 0.0))
    for _ in range(options.rounds):
        for name in VARIANTS:
            best[name] = max(best[name], child(options, name))
    for name, (rate, summing, optimizing) in best.items():
        print(f"{name:40} {rate:7.1f} photos/s, of the step: sum {summing:5.1%}, optimizer {optimizing:5.1%}")


if __name__ == "__main__":
    main()
