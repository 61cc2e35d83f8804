"""Trainings from weights on two cores, beside trainings from scratch; features beside bare forward passes.

    python benchmarks/fine_tuning.py --food FOOD10 --imagenette IMAGENETTE160  # every row: hours on a busy machine
    python benchmarks/fine_tuning.py --food FOOD10 --imagenette IMAGENETTE160 linear

FOOD10 has training/CLASS_N.jpg, validation/CLASS_N.jpg and test/ID.jpg without labels; IMAGENETTE160 has train/CLASS
and val/CLASS. Sets of 300 photos hold 75 of each of four classes, drawn with --seed; thalweg sets a fifth of them
aside, and all photos of the other split judge. ImageNet contains Imagenette, so weights of ImageNet have seen those
photos.

Each training is the command that is printed, in its own process with an empty cache; its seconds are those of the whole
process, decoding and drawing included. Where the test split has no labels, the path of the submission is printed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np


WEIGHTS = "efficientnet-lite0"
PER_CLASS, CLASSES = 75, 4
FEATURES, SIDE, ROUNDS = 3000, 224, 3


class Row(NamedTuple):
    """A training: its photos (`food`, `food-300`, `imagenette-300`) and the flags of `thalweg train`."""

    photos: str
    flags: tuple[str, ...]


OWN = ("--model", "resnet18-half", "--recipe", "standard", "--size", "96")
FROM_WEIGHTS = ("--weights", WEIGHTS)
ROWS = {
    "linear": Row("food", (*FROM_WEIGHTS, "--recipe", "linear")),
    "ten-minutes": Row("food", (*FROM_WEIGHTS, "--budget", "10m")),
    "imagenette-300": Row("imagenette-300", (*FROM_WEIGHTS, "--budget", "3m")),
    "imagenette-300-scratch": Row("imagenette-300", ("--budget", "3m")),
    "food-300": Row("food-300", (*FROM_WEIGHTS, "--budget", "3m")),
    "food-300-linear": Row("food-300", (*FROM_WEIGHTS, "--recipe", "linear")),
    "food-300-scratch": Row("food-300", ("--budget", "3m")),
    "food-scratch": Row("food", ("--budget", "10m")),
    "own-weights": Row("food", ("--weights", "{first}", "--recipe", "standard", "--epochs", "5")),
    "own-weights-finetune": Row("food", ("--weights", "{first}", "--epochs", "5")),
    "own-scratch": Row("food", (*OWN, "--epochs", "5")),
}
FIRST = (*OWN, "--epochs", "8")  # on Imagenette: whose weights the rows `own-weights…` take


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join([*ROWS, 'features'])}; none: all")
    arguments.add_argument("--food", type=Path, required=True)
    arguments.add_argument("--imagenette", type=Path, required=True)
    arguments.add_argument("--seed", type=int, default=0, help="of the chosen photos and of the trainings")
    arguments.add_argument("--photos", type=int, default=FEATURES, help="of the row `features`, rounded up to blocks")
    arguments.add_argument("--out", type=Path, help="folder for sets and runs, which stay; without it they are removed")
    given = arguments.parse_args()
    unknown = set(given.rows) - {*ROWS, "features"}
    if unknown:
        arguments.error(f"no such row: {', '.join(sorted(unknown))}")
    out = given.out or Path(tempfile.mkdtemp())
    photos = {"food": given.food}
    try:
        for name in given.rows or [*ROWS, "features"]:
            if name == "features":
                measure_features(given.food, out, given.photos)
                continue
            row = ROWS[name]
            if row.photos not in photos:
                source = given.food if row.photos == "food-300" else given.imagenette
                photos[row.photos] = small_set(source, out / "photos" / row.photos, given.seed)
            if name.startswith("own-weights") and not (out / "first").exists():
                train("own-weights, first", given.imagenette, FIRST, out / "first", given.seed)
            flags = tuple(flag.format(first=out / "first") for flag in row.flags)
            train(name, photos[row.photos], flags, out / name, given.seed)
    finally:
        if given.out is None:
            shutil.rmtree(out)


def train(name: str, photos: Path, flags: tuple[str, ...], out: Path, seed: int) -> None:
    """Train as the command line does, and print what it took and gave."""
    command = ["thalweg", "train", str(photos), *flags, "--seed", str(seed), "--out", str(out)]
    with tempfile.TemporaryDirectory() as cache:
        began = time.monotonic()
        subprocess.run(
            [sys.executable, "-m", *command], check=True, env={**os.environ, "THALWEG_CACHE": cache}, stdout=sys.stderr
        )
        seconds = time.monotonic() - began
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    print(f"{name}: {shlex.join(command)}")
    inner, steps = summary["seconds"]["total"], summary["steps"]
    print(f"  seed {seed}, {seconds:.0f} s, of which training {inner:.0f} s; {steps} steps")
    print(f"  validation accuracy {summary['valid']['accuracy']:.4f} of {summary['valid']['count']} photos")
    if summary.get("test"):
        print(f"  test accuracy {summary['test']['accuracy']:.4f} of {summary['test']['count']} photos")
    elif (out / "submission.csv").exists():
        print(f"  submission: {out / 'submission.csv'}")


def small_set(source: Path, out: Path, seed: int) -> Path:
    """Link 75 training photos of each of four classes, and all photos of these classes in the other split as a test."""
    random = np.random.default_rng(seed)
    splits = [("train", "val"), ("training", "validation")]
    train_name, test_name = next(pair for pair in splits if (source / pair[0]).is_dir())
    by_class = photos_by_class(source / train_name)
    chosen = sorted(random.choice(sorted(by_class), CLASSES, replace=False).tolist())
    judges = photos_by_class(source / test_name)
    for name in chosen:
        drawn = random.permutation(len(by_class[name]))[:PER_CLASS]
        folder = f"class {name}" if name.isdigit() else name  # a number would be taken for a position
        link([by_class[name][at] for at in sorted(drawn)], out / "train" / folder)
        link(judges[name], out / "test" / folder)
    print(f"{out.name}: classes {', '.join(chosen)}, {PER_CLASS} photos each, seed {seed}")
    return out


def photos_by_class(folder: Path) -> dict[str, list[Path]]:
    """Return the photos below a folder of class folders, or in a folder of photos named CLASS_N."""
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.*")):
        if path.is_file():
            name = path.parent.name if path.parent != folder else path.name.partition("_")[0]
            found.setdefault(name, []).append(path)
    return found


def link(photos: list[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for path in photos:
        (folder / path.name).symlink_to(path.resolve())


def measure_features(photos: Path, out: Path, count: int) -> None:
    """Compare features with the bare forward passes for as many photos, taking turns; the best counts.

    Processor time is measured, so other work on the machine slows neither.
    """
    import torch

    from thalweg.training import resolve
    from thalweg.training.features import BATCH, Features
    from thalweg.training.loop import TrainingLoop
    from thalweg.training.prepare import Plan, Preparation
    from thalweg.training.progress import Listener

    config = resolve("linear", {"weights": WEIGHTS, "size": SIDE})
    prepared = Preparation.of(Plan.of(photos, config, Listener()), out / "features", Listener())
    loop = TrainingLoop(prepared.run, prepared.cache, initial=prepared.initial)
    rows = loop.cache.rows("train")[:count]
    best = {"features": float("inf"), "forward": float("inf")}
    images = torch.randn(BATCH, 3, SIDE, SIDE).to(memory_format=torch.channels_last)
    loop.model.eval()
    computed = len(rows)

    def count_computed(_done: int, total: int) -> None:  # whole blocks of the cache
        nonlocal computed
        computed = total

    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as cache, torch.inference_mode():
            os.environ["THALWEG_CACHE"] = cache
            features = Features(loop.model, loop.augmenter, loop.cache, loop.run)
            began = time.process_time()
            features(rows, count_computed)
            best["features"] = min(best["features"], time.process_time() - began)
            began = time.process_time()
            for start in range(0, computed, BATCH):
                loop.model(images[: computed - start])
            best["forward"] = min(best["forward"], time.process_time() - began)
    times = best["features"] / best["forward"]
    print(f"features: {computed} photos at {SIDE} px, {torch.get_num_threads()} threads, best of {ROUNDS}")
    seconds = f"features {best['features']:.1f} s, bare forward passes {best['forward']:.1f} s"
    print(f"  processor time: {seconds}: {times:.2f} times")


if __name__ == "__main__":
    main()
