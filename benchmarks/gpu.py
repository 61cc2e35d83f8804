"""A whole epoch on a GPU: photos per second with augmentation, and the GPU's idle time.

    python benchmarks/gpu.py PHOTOS --batches 64,256,512

Each row is a separate run; its first epoch, in which kernels are chosen and steps recorded, does not count.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
from torch.profiler import ProfilerActivity, profile

from thalweg.training import recipe
from thalweg.training.loop import TrainingLoop
from thalweg.training.machine import matmul_gflops
from thalweg.training.number_format import wait
from thalweg.training.prepare import Plan, Preparation
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Event

    from thalweg.data import Cache
    from thalweg.runs import Run

PROFILED_AFTER, PROFILED = 40, 40  # steps


class Clocked(TrainingLoop):
    """Keeps the seconds of each epoch's steps, without its evaluation."""

    def __init__(self, run: Run, cache: Cache) -> None:
        super().__init__(run, cache)
        self.epoch_seconds: list[float] = []
        self.busy: float | None = None

    def _epoch(self, asked_to_stop: Event) -> str:
        wait(self.device)
        self._began = time.perf_counter()
        return super()._epoch(asked_to_stop)

    def _end_epoch(self) -> None:
        wait(self.device)
        self.epoch_seconds.append(time.perf_counter() - self._began)
        super()._end_epoch()


class Profiled(Clocked):
    """Profiles some steps on the device."""

    def _step(self) -> None:
        if self.state.step == PROFILED_AFTER:
            wait(self.device)
            self._profile = profile(activities=[ProfilerActivity.CUDA])
            self._profile.__enter__()
        super()._step()
        if self.state.step == PROFILED_AFTER + PROFILED:
            wait(self.device)
            self._profile.__exit__(None, None, None)
            self.busy = _busy(self._profile)


def _busy(seen: profile) -> float:
    """Share of the time between the first and the last kernel in which a kernel runs."""
    spans = sorted(_spans(seen))
    covered, end = 0.0, spans[0][0]
    for first, last in spans:
        covered += max(0.0, last - max(first, end))
        end = max(end, last)
    return covered / (end - spans[0][0])


def _spans(seen: profile) -> Iterator[tuple[float, float]]:
    for event in seen.events() or []:
        if event.device_type == torch.autograd.DeviceType.CUDA and "step#" not in event.name:  # a bracket, not a kernel
            yield event.time_range.start, event.time_range.end


def trained(kind: type[Clocked], options: argparse.Namespace, batch: int, optimizer: str) -> Clocked:
    """Train with the augmentation and mixing of `standard` at one size."""
    config = replace(
        recipe("standard"),
        model=options.model,
        size=options.size,
        smaller_sizes=(),
        epochs=options.epochs,
        evaluate_every=options.epochs,
        batch_size=batch,
        optimizer=optimizer,
        lr=1e-3,
    )
    plan = Plan.of(options.photos, config, Listener())
    prepared = Preparation.of(plan, Path(tempfile.mkdtemp()), Listener())
    training = kind(prepared.run, prepared.cache)
    training.run_to_end(Listener())
    return training


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--batches", default="64,256,512")
    parser.add_argument("--optimizers", default="adamw,muon")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    product = {kind: round(gflops) for kind, gflops in matmul_gflops(device).items()}
    print(f"{name}, torch {torch.__version__}, product of 1,024² {product} GFLOP/s")
    for optimizer in options.optimizers.split(","):
        for batch in map(int, options.batches.split(",")):
            training = trained(Clocked, options, batch, optimizer)
            rates = [training.run.data["train"] / seconds for seconds in training.epoch_seconds[1:]]
            best, middle, form = max(rates), median(rates), training.format
            line = f"{options.model}, batch {batch}, {optimizer}: {best:,.0f} photos/s, median {middle:,.0f}"
            if device.type == "cuda":
                busy = trained(Profiled, options, batch, optimizer).busy
                line += "; too few steps to profile" if busy is None else f"; busy {busy:.1%} of the time"
            print(line, f"({form.precision} {form.layout})", flush=True)


if __name__ == "__main__":
    main()
