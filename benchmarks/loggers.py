"""What a logger costs a training whose steps take about 10 ms: with and without one, in turns.

    python benchmarks/loggers.py food10 tensorboard --turns 5

The time is that from the start to the end of the last epoch, for each step. The processor time of the logger's process
is its own: it does not depend on who else uses the machine.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from thalweg.runs import TrainingConfig
from thalweg.training import train
from thalweg.training.progress import Listener


class Watch(Listener):
    """Notes when steps begin and end."""

    def started(self, _run: Path, _facts: Any) -> None:
        """Start."""
        self.began = time.monotonic()

    def epoch_ended(self, row: Any) -> None:
        """Take the steps so far."""
        self.last, self.steps = time.monotonic(), int(row["step"])

    @property
    def milliseconds(self) -> float:
        """Of a step."""
        return 1e3 * (self.last - self.began) / self.steps


def main() -> None:
    """Train in turns, and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("photos")
    options.add_argument("kind", choices=("tensorboard", "mlflow", "wandb", "trackio"))
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--epochs", type=int, default=300)
    options.add_argument("--batch-size", type=int, default=16)
    given = options.parse_args()
    config = TrainingConfig(
        model="resnet-small",
        size=32,
        epochs=given.epochs,
        batch_size=given.batch_size,
        precision="fp32",
        layout="channels-first",
        threads=1,
        augment="none",
        keep="last",
    )
    times: dict[str, list[float]] = {"alone": [], "logged": []}
    processor: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"WANDB_MODE": "offline", "TRACKIO_DIR": f"{folder}/trackio"}
        place = {"tensorboard": f"{folder}/tb", "mlflow": f"sqlite:///{folder}/m.db"}.get(given.kind, "benchmark")
        for turn in range(given.turns):
            for name, found in times.items():
                watch, before = Watch(), _of_children()
                log = f"{given.kind}:{place}" if name == "logged" else ()
                train(given.photos, config, Path(folder) / f"{name}-{turn}", listener=watch, log=log)
                found.append(watch.milliseconds)
                if name == "logged":
                    processor.append(_of_children() - before)
        steps = watch.steps
    for name, found in times.items():
        print(f"{name}: {min(found):.2f} ms a step at best, median {statistics.median(found):.2f}, n={len(found)}")
    ratios = [logged / alone - 1 for alone, logged in zip(*times.values(), strict=True)]
    best = min(times["logged"]) / min(times["alone"]) - 1
    print(f"overhead: median {statistics.median(ratios):+.2%} of pairs, {best:+.2%} at best")
    print(f"the logger's process: {statistics.median(processor):.2f} s of processor time for {steps} steps")


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
