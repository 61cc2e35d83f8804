"""Kill a training that is logged, resume it, and again; then count what the logger has: every row once.

    python benchmarks/logger_kills.py food10 tensorboard --kills 50

Every other kill takes the logger's process along.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from thalweg.runs import Run, TrainingConfig
from thalweg.training import resume, train


CONFIG = TrainingConfig(
    model="cnn",
    size=32,
    batch_size=16,
    precision="fp32",
    layout="channels-first",
    threads=1,
    augment="none",
    checkpoint_every=0.02,  # seconds: about after every step
)


def main() -> None:
    """Kill, resume, count."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("photos")
    options.add_argument("kind", choices=("tensorboard", "mlflow", "wandb", "trackio"))
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--epochs", type=int, default=100)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(tried(Path(folder), given.photos, given.kind, given.kills, given.epochs))


def tried(folder: Path, photos: str, kind: str, kills: int, epochs: int) -> int:
    """Kill and resume, then compare; return 1 if a row is missing or there twice."""
    os.environ |= {"WANDB_MODE": "offline", "TRACKIO_DIR": str(folder / "trackio")}
    places = {"tensorboard": folder / "tb", "mlflow": f"sqlite:///{folder / 'm.db'}"}
    target, out = f"{kind}:{places.get(kind, 'kills')}", folder / "run"
    steps, chance, done = out / "history" / "steps", random.Random(0), 0
    for number in range(kills):
        process = started(photos, out, target, epochs)
        wanted = _size(steps) + 56 * chance.randint(1, 9)
        while not (ended := os.waitpid(process, os.WNOHANG)[0]) and _size(steps) < wanted:
            time.sleep(0.002)
        if ended:
            break  # it came to its end
        time.sleep(chance.random())
        (os.killpg if number % 2 else os.kill)(process, signal.SIGKILL)
        os.waitpid(process, 0)
        done += 1
    if os.waitpid(started(photos, out, target, epochs), 0)[1]:
        return 1
    run = Run.open(out)
    expected = Counter(run.steps()["step"].astype(int).tolist())
    ends = Counter(run.epochs()["step"].astype(int).tolist())
    found, found_ends = counted(folder, kind, "train/loss"), counted(folder, kind, "valid/loss")
    lost = (expected - found).total() + (ends - found_ends).total()
    twice = (found - expected).total() + (found_ends - ends).total()
    print(f"{kind}: {done} kills, {len(expected)} steps and {len(ends)} epochs; {lost} rows lost, {twice} twice")
    return int(lost + twice > 0)


def started(photos: str, out: Path, target: str, epochs: int) -> int:
    """Start or resume the training in a process of its own; torch is loaded already."""
    if process := os.fork():
        return process
    try:
        os.setsid()
        if (out / "config.toml").exists():
            resume(out, log=target)
        else:
            train(photos, replace(CONFIG, epochs=epochs), out, log=target)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the process ends here
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    os._exit(1)


def counted(folder: Path, kind: str, name: str) -> Counter[int]:
    """How often the logger has each step of a name."""
    if kind == "tensorboard":
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        events = [event for path in folder.rglob("*.tfevents.*") for event in LegacyEventFileLoader(str(path)).Load()]
        return Counter(event.step for event in events for value in event.summary.value if value.tag == name)
    if kind == "mlflow":
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{folder / 'm.db'}")
        homes = [experiment.experiment_id for experiment in client.search_experiments()]
        runs = client.search_runs(homes)
        return Counter(one.step for run in runs for one in client.get_metric_history(run.info.run_id, name))
    if kind == "wandb":
        from thalweg.loggers.to_wandb import rows_in

        rows = [row for path in folder.rglob("*.wandb") if not _is_linked(path) for row in rows_in(path)]
        return Counter(step for step, names in rows if name in names)
    from trackio.sqlite_storage import SQLiteStorage

    names = SQLiteStorage.get_runs("kills")
    return Counter(row["step"] for run in names for row in SQLiteStorage.get_logs("kills", run) if name in row)


def _is_linked(path: Path) -> bool:
    return path.parent.is_symlink()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


if __name__ == "__main__":
    main()
