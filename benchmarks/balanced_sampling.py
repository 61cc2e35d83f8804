"""Uneven classes with and without `--sampling balanced`: the mean recall after as many steps.

    python benchmarks/balanced_sampling.py FOOD10 --out DIR

FOOD10 is a folder in the homework's layout. Of the classes, 300, 212, 150, ... photos are linked to train on, down to
13, and 60 of each to validate; the recipe is `quick`. Weights of the classes, which make up for rare ones in the loss
instead of in the batches, are the third side. Sides take turns, seed by seed.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.class_choice import confusion_matrix
from thalweg.report.scores import class_scores
from thalweg.runs.answers import Answers
from thalweg.training import train


if TYPE_CHECKING:
    from thalweg.runs import Run

LARGEST, VALIDATED = 300, 60
SIDES = {
    "shuffled": {},
    "sampling balanced": {"sampling": "balanced"},
    "class-weights balanced": {"class_weights": "balanced"},
}
RARE = 4  # classes with the fewest photos


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="a folder for links and runs")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--size", type=int, default=48)
    options = parser.parse_args()
    counts = link_photos(options.photos.resolve(), options.out / "photos")
    print("photos to train on:", *counts, f"({sum(counts)})", flush=True)
    for seed in range(options.seeds):
        for name, changes in SIDES.items():
            began, out = time.monotonic(), options.out / f"{name.replace(' ', '-')}-{seed}"
            fixed = {"size": options.size, "epochs": options.epochs, "seed": seed, "threads": 1, "precision": "bf16"}
            run = train(options.out / "photos", out=out, recipe="quick", **{**fixed, **changes})
            recall, rare = recalls(run)
            steps, took = run.summary()["steps"], time.monotonic() - began
            scores = f"mean recall {recall:.3f}, of the {RARE} rarest {rare:.3f}"
            print(f"seed {seed}, {name}: {scores}; {steps} steps, {took:.0f} s", flush=True)


def link_photos(photos: Path, home: Path) -> list[int]:
    """Link fewer and fewer photos of the classes; return how many are to train on."""
    counts = []
    for split, most in (("training", LARGEST), ("validation", VALIDATED)):
        by_class: dict[int, list[Path]] = {}
        for path in sorted((photos / split).iterdir()):
            by_class.setdefault(int(path.name.partition("_")[0]), []).append(path)
        (home / split).mkdir(parents=True, exist_ok=True)
        for place, label in enumerate(sorted(by_class)):
            count = int(most / 2 ** (place / 2)) if split == "training" else most
            for path in by_class[label][:count]:
                (home / split / path.name).symlink_to(path)
            if split == "training":
                counts.append(min(count, len(by_class[label])))
    return counts


def recalls(run: Run) -> tuple[float, float]:
    """The mean recall of all classes, and of those with the fewest photos."""
    answers = Answers(run.outputs(), len(run.classes))
    matrix_CC = confusion_matrix(answers.labels_N, answers.predicted_N, len(run.classes))
    recall_C = [one.recall for one in class_scores(matrix_CC)]
    rarest = np.argsort(run.data["class_shares"])[:RARE]
    return float(np.mean(recall_C)), float(np.mean([recall_C[label] for label in rarest]))


if __name__ == "__main__":
    main()
