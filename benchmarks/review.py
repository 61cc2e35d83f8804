"""Photos with wrong labels: those that `thalweg review` finds, beside those of cleanlab, on the same probabilities.

    python benchmarks/review.py --food FOOD10 --cleanlab PYTHON --out DIR       # both sets: minutes each
    python benchmarks/review.py --scores                                        # how the score was chosen: a minute

Of each set, 5 % of the labels are replaced, by seed, with another class. Five folds of

    thalweg train DIR --weights efficientnet-lite0 --recipe linear --folds 5

say what they think of the photos that they did not see. PYTHON is an interpreter that has cleanlab; it gets the same
probabilities, and its `find_label_issues` and `rank` answer. `--scores` needs neither photos nor cleanlab: classes are
Gaussians, the classifier is a logistic regression, out of fold, and wrong labels come in four kinds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np


SHARE = 0.05
FLAGS = ("--weights", "efficientnet-lite0", "--recipe", "linear", "--folds", "5")
SMALL = ("--size", "96")  # the built-in photos have 28 pixels


def flipped_set(photos: list[tuple[str, Path]], out: Path, seed: int) -> dict[str, tuple[str, str]]:
    """Copy photos to `out/training/LABEL_N`, some under another label.

    Args:
        photos: class and file of each.
        out: the folder, new.
        seed: of the flips.

    Returns:
        For each path below `out`: the true class, and the given one.
    """
    random = np.random.default_rng(seed)
    classes = sorted({label for label, _ in photos}, key=int)
    flipped = set(random.permutation(len(photos))[: round(SHARE * len(photos))].tolist())
    truth = {}
    (out / "training").mkdir(parents=True)
    for number, (label, path) in enumerate(photos):
        others = [one for one in classes if one != label]
        given = others[random.integers(len(others))] if number in flipped else label
        name = f"training/{given}_{number}{path.suffix}"
        shutil.copy(path, out / name)
        truth[name] = (label, given)
    (out.parent / f"{out.name}-truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return truth


def photos_in(folder: Path) -> list[tuple[str, Path]]:
    """The labeled photos of the homework's layout, CLASS_N, with their classes."""
    paths = [path for split in ("training", "validation") for path in sorted((folder / split).iterdir())]
    return [(path.name.partition("_")[0], path) for path in paths]


def unpacked_builtin(out: Path) -> Path:
    """The built-in set as files."""
    from thalweg.data.builtin import ARCHIVE

    with zipfile.ZipFile(ARCHIVE) as archive:
        archive.extractall(out)
    return out


def train_folds(photos: Path, out: Path, flags: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "thalweg", "train", str(photos), *FLAGS, *flags, "--out", str(out)]
    subprocess.run(command, check=True, stdout=sys.stderr)
