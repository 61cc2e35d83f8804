"""Accuracy of the learning rate search: compared with a grid and with other range tests.

    python benchmarks/find_lr.py               # all tasks; creates an environment for the peer in build/peers-rate
    python benchmarks/find_lr.py --keep FILE   # keeps the grid's losses for another run

A task is a problem of `rate_tasks.REPORTED` and an optimizer. Its grid is 13 rates from 1e-5 to 10, each trained for
300 steps with a rate that falls to zero, with two seeds; the best rate has the lowest mean loss on held-out data. Each
side answers with one rate per task, from weights and an order of a third seed (`--seed`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rate_tasks import OPTIMIZERS, REPORTED, TUNING, Problem, final_losses, split
from torch.utils.data import DataLoader, TensorDataset


if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[1]
PEERS = ROOT / "build" / "peers-rate"
REQUIREMENTS = ("torch-lr-finder==0.2.2", "scikit-learn")

RATES = [10 ** (-5 + k / 2) for k in range(13)]
SEEDS, STEPS = 2, 300
FACTOR = 3.0
TOLERANCE = 0.01  # of the best rate's gain: rates within it count as equally good
START = 100  # seed of weights and order that are in no grid
PEER_STEPS = 100
TRAINED, HELD = 0, 1  # indices of the losses
SIDES = ("thalweg", "torch-lr-finder", "Lightning's rule")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--keep", type=Path, help="file that keeps the grid's losses between runs")
    arguments.add_argument("--peers", type=Path, default=PEERS, help="virtual environment of the peer")
    arguments.add_argument("--tuning", action="store_true", help="the problems that the constants were chosen on")
    arguments.add_argument("--seed", type=int, default=START, help="of the weights and the order that each side gets")
    arguments.add_argument("--answer", action="store_true", help="what the peer's process runs")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    tasks = [(problem, optimizer) for problem in (TUNING if chosen.tuning else REPORTED) for optimizer in OPTIMIZERS]
    if chosen.answer:
        print(json.dumps({name_of(*task): torch_lr_finder(*task, chosen.seed) for task in tasks}))
        return
    print(f"{time.strftime('%Y-%m-%d')}, torch {torch.__version__}, one thread, load {os.getloadavg()[0]:.1f}")
    table(tasks, peer_answers(chosen), grids(tasks, chosen.keep), chosen.seed)


def name_of(problem: Problem, optimizer: str) -> str:
    return f"{problem.name}|{optimizer}"


def grids(tasks: list[tuple[Problem, str]], keep: Path | None) -> dict[str, list[list[list[float]]]]:
    """Return the losses of every task: by seed, by rate, on training and held-out data."""
    known = json.loads(keep.read_text(encoding="utf-8")) if keep and keep.exists() else {}
    for task in tasks:
        if name_of(*task) not in known:
            known[name_of(*task)] = [
                [final_losses(*task, rate, steps=STEPS, seed=seed) for rate in RATES] for seed in range(SEEDS)
            ]
    if keep:
        keep.write_text(json.dumps(known), encoding="utf-8")
    return known


def table(tasks: list[tuple[Problem, str]], theirs: dict[str, float | None], known: dict[str, Any], seed: int) -> None:
    """Print one row per task: the best rates, and each side's answer as a multiple of the best."""
    print(f"\n{'task':37}{'best rates':>22}" + "".join(f"{side:>19}" for side in SIDES) + f"{'steps':>7}{'seconds':>9}")
    right: dict[str, list[list[bool]]] = {side: [] for side in SIDES}
    for task in tasks:
        best, as_good = best_rates(known[name_of(*task)], HELD)
        trained, _ = best_rates(known[name_of(*task)], TRAINED)
        ours, steps, seconds = thalweg(*task, seed)
        cells = []
        for side, rate in zip(SIDES, (ours, theirs[name_of(*task)], lightning(*task, seed)), strict=True):
            right[side].append([near(rate, [best]), near(rate, as_good), near(rate, [trained])])
            cells.append("none" if rate is None else f"{rate:.2g} ({rate / best:.2g}x)")
        span = f"{best:.2g} ({min(as_good):.1g}..{max(as_good):.1g})"
        row = "".join(f"{cell:>19}" for cell in cells)
        print(f"{task[0].name:28}{task[1]:9}{span:>22}{row}{steps:7}{seconds:9.1f}", flush=True)
    print(f"\nwithin a factor {FACTOR:g} of: the best rate; a rate within {TOLERANCE:.0%} of the best's gain;")
    print("the best rate, evaluated on the training data")
    for side, results in right.items():
        shares = (
            f"{sum(column)}/{len(results)} = {sum(column) / len(results):.0%}" for column in zip(*results, strict=True)
        )
        print(f"{side:20}" + "".join(f"{share:>16}" for share in shares))


def best_rates(losses: list[list[list[float]]], judged: int) -> tuple[float, list[float]]:
    """Return the rate with the lowest mean loss, and all rates that are equally good.

    Args:
        losses: by seed and rate; on training and on held-out data.
        judged: index of the data to evaluate on.
    """
    means = [sum(seed[k][judged] for seed in losses) / len(losses) for k in range(len(RATES))]
    lowest = min(means)
    start = means[0]  # at 1e-5, almost nothing is learned
    return RATES[means.index(lowest)], [
        rate for rate, mean in zip(RATES, means, strict=True) if mean <= lowest + TOLERANCE * (start - lowest)
    ]


def near(rate: float | None, best: list[float]) -> bool:
    return rate is not None and any(1 / FACTOR <= rate / one <= FACTOR for one in best)


def fresh(problem: Problem, seed: int) -> tuple[nn.Module, DataLoader[Any]]:
    """Return a network and a loader that are in no grid."""
    torch.manual_seed(seed)
    model = problem.network()
    data = TensorDataset(*split(problem)[0])
    generator = torch.Generator().manual_seed(seed)
    return model, DataLoader(data, problem.batch_size, shuffle=True, generator=generator)


def thalweg(problem: Problem, optimizer: str, seed: int) -> tuple[float | None, int, float]:
    from thalweg import find_lr

    model, loader = fresh(problem, seed)
    began = time.perf_counter()
    sweep = find_lr(model, OPTIMIZERS[optimizer], loader, problem.loss, seed=seed)
    return sweep.suggestion, sweep.steps, time.perf_counter() - began


def lightning(problem: Problem, optimizer: str, seed: int) -> float | None:
    """Apply the rule documented by pytorch-lightning 2.6, reimplemented because it is not installed.

    100 steps from 1e-8 to 1, losses as an exponential mean of 0.98, the end at four times the lowest; then the rate at
    which the loss falls fastest per unit of rate, without the first ten and the last.
    """
    import numpy as np

    model, loader = fresh(problem, seed)
    stepper = OPTIMIZERS[optimizer](model.parameters())
    batches = cycle(loader)
    rates, losses, mean = [], [], 0.0
    for step, rate in enumerate(np.geomspace(1e-8, 1.0, PEER_STEPS)):
        for group in stepper.param_groups:
            group["lr"] = float(rate)
        x, y = batches[step]
        loss = problem.loss(model(x), y)
        stepper.zero_grad()
        loss.backward()
        stepper.step()
        mean = 0.98 * mean + 0.02 * loss.item()
        rates.append(float(rate))
        losses.append(mean / (1 - 0.98 ** (step + 1)))
        if step > 1 and not losses[-1] <= 4 * min(losses):
            break
    kept = np.array(losses[10:-1])
    if len(kept) < 2 or not np.isfinite(kept).all():
        return None
    return rates[10 + int(np.gradient(kept, np.array(rates[10:-1])).argmin())]


def cycle(loader: DataLoader[Any]) -> list[Any]:
    batches: list[Any] = []
    while len(batches) < PEER_STEPS:
        batches.extend(loader)
    return batches


def torch_lr_finder(problem: Problem, optimizer: str, seed: int) -> float | None:
    """The range test of torch-lr-finder from 1e-7 to 10, and the steepest point that it suggests."""
    from matplotlib.figure import Figure
    from torch_lr_finder import LRFinder

    model, loader = fresh(problem, seed)
    stepper = OPTIMIZERS[optimizer](model.parameters())
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        finder = LRFinder(model, stepper, problem.loss)
        finder.range_test(loader, start_lr=1e-7, end_lr=10, num_iter=PEER_STEPS)
        _, rate = finder.plot(suggest_lr=True, ax=Figure().subplots())
    return None if rate is None or not math.isfinite(rate) else float(rate)


def peer_answers(chosen: argparse.Namespace) -> dict[str, float | None]:
    """Return the suggestions of torch-lr-finder, from a process in its own environment."""
    python = chosen.peers / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", chosen.peers], check=True)
        versions = [f"torch=={str(torch.__version__).split('+')[0]}", "numpy", "pillow", "matplotlib"]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *versions, *REQUIREMENTS], check=True)
    command = [
        python,
        "-W",
        "ignore",
        __file__,
        "--answer",
        "--seed",
        str(chosen.seed),
        *(["--tuning"] if chosen.tuning else []),
    ]
    paths = {"PYTHONPATH": str(ROOT / "src"), "MPLBACKEND": "agg"}
    done = subprocess.run(command, env={**os.environ, **paths}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
