"""Accuracy of the search of `thalweg find-lr PHOTOS` and `--lr auto` on small sets: compared with real trainings.

    python benchmarks/find_lr_photos.py --photos FOLDER --keep FILE    # FOLDER holds food10 and imagenette160
    python benchmarks/find_lr_photos.py ... --tuning                   # the sets that the rules were chosen on

A set of `rate_photos` is trained with `thalweg.train` at its recipe's rate times 3^k, k = -3 to 3: each rate with one
seed, the three best and the recipe's with two. A training is judged on 600 photos that are in none of its splits. The
search answers once, with a third seed. Every result goes to FILE at once; the next call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from rate_photos import REPORTED, TESTED, TUNING, PhotoSet

from thalweg.errors import TrainingError
from thalweg.training import train
from thalweg.training.rate import search_photos


ROOT = Path(__file__).parents[1]
RUNGS = (0, -2, 2, -1, 1, -3, 3)
FACTOR = 3.0
SEEDS = (0, 1)
SEARCH = 11  # seed of the search
BEST = 3  # rates that get the second seed, besides the recipe's


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--photos", type=Path, required=True, help="folder that holds food10 and imagenette160")
    arguments.add_argument("--keep", type=Path, required=True, help="file that keeps the results between runs")
    arguments.add_argument("--sets", type=Path, default=ROOT / "build" / "rate-photos", help="where sets are written")
    arguments.add_argument("--tuning", action="store_true", help="the sets that the rules were chosen on")
    arguments.add_argument("--minutes", type=float, default=math.inf, help="begin no training after this time")
    arguments.add_argument("--only", choices=("grid", "search"), help="a part of the work")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    results = Results(chosen.keep, time.monotonic() + 60 * chosen.minutes)
    print(f"{time.strftime('%Y-%m-%d')}, torch {torch.__version__}, one thread, load {os.getloadavg()[0]:.1f}")
    sets = TUNING if chosen.tuning else REPORTED
    for photo_set in sets:
        folder = photo_set.write(chosen.sets, chosen.photos)
        if chosen.only != "grid":
            results.once(f"{photo_set.name}|search", lambda s=photo_set, f=folder: searched(s, f))
        if chosen.only != "search":
            grid(photo_set, folder, results)
    table(sets, results.known)


class Results:
    """Results by name, in a file that is written after each."""

    def __init__(self, keep: Path, until: float) -> None:
        self._keep, self._until = keep, until
        self.known: dict[str, Any] = json.loads(keep.read_text(encoding="utf-8")) if keep.exists() else {}

    def once(self, name: str, work: Any) -> Any:
        """Return a result, and make it if it is missing and there is time."""
        if name not in self.known:
            if time.monotonic() > self._until:
                sys.exit("time is up; the next call goes on")
            self.known[name] = work()
            self._keep.write_text(json.dumps(self.known), encoding="utf-8")
            print(name, self.known[name], flush=True)
        return self.known[name]


def grid(photo_set: PhotoSet, folder: Path, results: Results) -> None:
    """Train at every rate, and again at those that matter."""

    def accuracy(rung: int, seed: int) -> float:
        return results.once(f"{photo_set.name}|{rung}|{seed}", lambda: trained(photo_set, folder, rung, seed))[0]

    first = {rung: accuracy(rung, SEEDS[0]) for rung in RUNGS}
    best = sorted(first, key=lambda rung: -first[rung])[:BEST]
    found = results.known.get(f"{photo_set.name}|search", {"rung": 0})["rung"]
    for rung in {0, found, *best}:
        for seed in SEEDS:
            accuracy(rung, seed)


def trained(photo_set: PhotoSet, folder: Path, rung: int, seed: int) -> list[Any]:
    """Return accuracy and loss on test and validation photos, steps, and seconds of the processor."""
    began = time.process_time()
    config = photo_set.config(lr=photo_set.config().lr * 3.0**rung, seed=seed)
    with tempfile.TemporaryDirectory() as home:
        try:
            summary = train(folder, config, Path(home) / "run").summary()
        except TrainingError as error:  # it blew up
            return [0.0, None, 0.0, None, str(error), time.process_time() - began]
    if summary["stopped"] == "interrupted":
        raise KeyboardInterrupt
    scores = [summary[split][name] for split in ("test", "valid") for name in ("accuracy", "loss")]
    return [*scores, summary["steps"], time.process_time() - began]


def searched(photo_set: PhotoSet, folder: Path) -> dict[str, Any]:
    began = time.process_time()
    config = photo_set.config(seed=SEARCH)
    sweep = search_photos(folder, config)
    rate = config.lr if sweep.suggestion is None else sweep.suggestion
    rung = round(math.log(rate / config.lr, 3))
    return {"rung": rung, "reason": sweep.reason, "steps": sweep.steps, "seconds": time.process_time() - began}


def table(sets: list[PhotoSet], known: dict[str, Any]) -> None:
    """Print one row per set: rates as multiples of the recipe's, with the accuracy on the test photos."""
    print(
        f"\n{'set':42}{'best':>7}{'as good':>12}{'found':>7}{'best':>8}{'found':>8}{'recipe':>8}{'± ':>7}{'steps':>8}"
    )
    near, strict, not_worse, count = 0, 0, 0, 0
    for one in sets:
        answer = known.get(f"{one.name}|search")
        by_rung = {rung: _accuracies(known, one, rung) for rung in sorted(RUNGS)}
        if answer is None or not all(by_rung.values()) or not _accuracies(known, one, answer["rung"]):
            continue
        means = {rung: sum(seeds) / len(seeds) for rung, seeds in by_rung.items()}
        best = max(means, key=lambda rung: means[rung])
        error = (means[best] * (1 - means[best]) / (TESTED * len(SEEDS))) ** 0.5
        as_good = [rung for rung, mean in means.items() if mean >= means[best] - error]
        found = _accuracies(known, one, answer["rung"])
        reached = sum(found) / len(found)
        count += 1
        strict += abs(answer["rung"] - best) <= 1
        near += min(abs(answer["rung"] - rung) for rung in as_good) <= 1
        not_worse += reached >= means[0] - error
        span = f"{3.0 ** min(as_good):.2g}..{3.0 ** max(as_good):.2g}"
        print(
            f"{one.name:42}{3.0**best:>7.2g}{span:>12}{3.0 ** answer['rung']:>7.2g}"
            f"{means[best]:>8.1%}{reached:>8.1%}{means[0]:>8.1%}{error:>7.1%}{answer['steps']:>6}"
            f"/{known[f'{one.name}|0|0'][4]} {answer['reason'] or ''}"
        )
    print(
        f"within a factor {FACTOR:g} of the best: {strict}/{count}; of a rate within its standard error: {near}/{count}"
    )
    print(f"not worse than the recipe's rate by more than a standard error: {not_worse}/{count}")


def _accuracies(known: dict[str, Any], one: PhotoSet, rung: int) -> list[float]:
    return [known[name][0] for seed in SEEDS if (name := f"{one.name}|{rung}|{seed}") in known]


if __name__ == "__main__":
    main()
