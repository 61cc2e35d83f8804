"""Photos with wrong labels: those that `thalweg review` finds, beside those of cleanlab, on the same probabilities.

    python benchmarks/review.py food FOOD10 --cleanlab PYTHON --out DIR     # minutes
    python benchmarks/review.py builtin --cleanlab PYTHON --out DIR
    python benchmarks/review.py scores                                      # how score and set were chosen: a minute

5 % of the labels are replaced with another class, by seed. Five folds of

    thalweg train DIR --weights efficientnet-lite0 --recipe linear --folds 5

say what they think of the photos that they did not see. PYTHON is an interpreter that has cleanlab; its
`find_label_issues` and `get_label_quality_scores` get the same probabilities. FOOD10 has training/CLASS_N.jpg and
validation/CLASS_N.jpg.

`scores` needs no photos and no cleanlab. Classes are Gaussians that come in pairs which resemble each other, as dishes
do; a logistic regression predicts them out of fold; wrong labels are of four kinds: any other class, the next class,
any other class but in some classes more often, and the nearest other class.
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
from typing import TYPE_CHECKING

import numpy as np

from thalweg.diagnosis.doubts import confident_joint, find_doubts, pruned, thresholds


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SHARE = 0.05
FLAGS = ("--weights", "efficientnet-lite0", "--recipe", "linear", "--folds", "5")
SIZES = {"food": (), "builtin": ("--size", "64")}  # the built-in photos have 28 pixels
THEIRS = """
import sys, numpy
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
given = numpy.load(sys.argv[1])
P, labels = given["P"], given["labels"]
scores = {name: get_label_quality_scores(labels, P, method=name) for name in ("self_confidence", "normalized_margin")}
numpy.savez(sys.argv[2], issues=find_label_issues(labels, P, n_jobs=1), **scores)
"""
KINDS = ("any", "next", "some classes", "nearest")
SHARES = (0.02, 0.05, 0.1, 0.2)
WORLDS = ((4, 800, 8, 0.9), (10, 2000, 16, 0.8), (10, 1200, 16, 0.45), (20, 1500, 24, 0.7))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("what", choices=(*SIZES, "scores"))
    arguments.add_argument("photos", nargs="?", type=Path, help="FOOD10, for food")
    arguments.add_argument("--cleanlab", help="a Python that has cleanlab; without it, ours alone")
    arguments.add_argument("--out", type=Path, help="folder for the set and its folds, which stay, and are used again")
    arguments.add_argument("--seed", type=int, default=0, help="of the flips")
    given = arguments.parse_args()
    if given.what == "scores":
        compare_scores()
        return
    if given.what == "food" and given.photos is None:
        arguments.error("food needs the folder FOOD10")
    with tempfile.TemporaryDirectory() as temporary:
        out = given.out or Path(temporary)
        photos, folds = out / f"{given.what}-flipped", out / f"{given.what}-folds"
        if not photos.exists():
            plain = given.photos or unpacked_builtin(out / "plain")
            flipped_set(photos_in(plain), photos, given.seed)
        if not (folds / "out-of-fold.csv").exists():
            train_folds(photos, folds, SIZES[given.what])
        probabilities, labels, true = out_of_fold(folds, photos.with_suffix(".json"))
        print(f"{given.what}, seed {given.seed}: {len(labels):,} photos, {(labels != true).sum():,} labels flipped")
        compare(probabilities, labels, true, given.cleanlab)


def flipped_set(photos: list[tuple[str, Path]], out: Path, seed: int) -> None:
    """Copy photos to `out/training/LABEL_N`, some under another label.

    Args:
        photos: class and file of each.
        out: the folder, new.
        seed: of the flips.

    The true and the given class of each path are in the JSON file beside it.
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
    out.with_suffix(".json").write_text(json.dumps(truth), encoding="utf-8")


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
    """Train as the command line does; what was interrupted goes on."""
    request = ["--resume", str(out)] if out.exists() else [str(photos.resolve()), *FLAGS, *flags, "--out", str(out)]
    command = [sys.executable, "-m", "thalweg", "train", *request]
    subprocess.run(command, check=True, stdout=sys.stderr)


def out_of_fold(folds: Path, truth: Path) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Probabilities, given and true label of each photo."""
    from thalweg.runs import Run

    told = json.loads(truth.read_text(encoding="utf-8"))
    runs = [Run.open(folds / "folds" / str(fold)) for fold in range(5)]
    true = [int(told[path][0]) for run in runs for path in run.read_split("valid")]
    labels = np.concatenate([run.outputs()["labels"] for run in runs])
    return np.concatenate([run.probabilities() for run in runs]), labels, np.array(true)


def compare(
    probabilities: NDArray[np.float64], labels: NDArray[np.int64], true: NDArray[np.int64], python: str | None
) -> None:
    """Print precision and recall of what is doubted, and the average precision of the ranking, ours and cleanlab's."""
    wrong = labels != true
    found = find_doubts(probabilities, labels)
    print(f"  estimated share of wrong labels {found.wrong_share:.3f}")
    print(f"  ours: {quality(mask_of(found.doubted_M, len(labels)), wrong)}")
    print(f"  ours, ranked: average precision {average_precision(-found.own_N, wrong):.4f}")
    if python is None:
        return
    with tempfile.TemporaryDirectory() as home:
        files = [str(Path(home) / name) for name in ("given.npz", "found.npz")]
        np.savez(files[0], P=probabilities, labels=labels)
        subprocess.run([python, "-c", THEIRS, *files], check=True)
        with np.load(files[1]) as theirs:
            print(f"  cleanlab: {quality(theirs['issues'], wrong)}")
            for name in ("self_confidence", "normalized_margin"):
                print(f"  cleanlab, {name}: average precision {average_precision(-theirs[name], wrong):.4f}")


def mask_of(rows: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask


def scores_of(doubted: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Precision, recall and F1."""
    both = float((doubted & wrong).sum())
    precision, recall = both / max(doubted.sum(), 1), both / wrong.sum()
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def quality(doubted: NDArray[np.bool_], wrong: NDArray[np.bool_]) -> str:
    precision, recall, f1 = scores_of(doubted, wrong)
    return f"{doubted.sum()} doubted, precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}"


def average_precision(scores: NDArray[np.float64], wrong: NDArray[np.bool_]) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(wrong, scores))


def compare_scores() -> None:
    """Print the mean average precision of each score, and the mean precision, recall and F1 of each set."""
    ranked: dict[str, list[float]] = {}
    doubted: dict[str, list[tuple[float, float, float]]] = {}
    for probabilities, labels, true in worlds():
        wrong = labels != true
        for name, scores in all_scores(probabilities, labels).items():
            ranked.setdefault(name, []).append(average_precision(scores, wrong))
        for name, mask in all_sets(probabilities, labels).items():
            doubted.setdefault(name, []).append(scores_of(mask, wrong))
    for name, values in ranked.items():
        print(f"  {name:28} average precision {np.mean(values):.4f}")
    for name, rows in doubted.items():
        precision, recall, f1 = np.mean(rows, axis=0)
        print(f"  {name:28} precision {precision:.4f}, recall {recall:.4f}, F1 {f1:.4f}")


def worlds() -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
    """Probabilities out of fold, given and true labels of 64 synthetic sets."""
    for kind in KINDS:
        for share in SHARES:
            for size in WORLDS:
                yield _world(kind, share, size, round(100 * share) + sum(map(ord, kind)) + size[1])


def _world(
    kind: str, share: float, size: tuple[int, int, int, float], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    classes, count, features, spread = size
    random = np.random.default_rng(seed)
    pairs = (1.4 * spread * random.normal(size=(classes // 2, features))).repeat(2, axis=0)
    centers = pairs + 0.35 * spread * random.normal(size=(classes, features))
    true = random.choice(classes, count, p=random.dirichlet(np.full(classes, 5.0)))
    points = centers[true] + random.normal(size=(count, features))
    labels = true.copy()
    distances = ((points[:, None] - centers) ** 2).sum(axis=2)
    rows, others = _flips(kind, round(share * count), true, distances, random)
    labels[rows] = others
    probabilities = np.zeros((count, classes))
    for train, test in StratifiedKFold(5, shuffle=True, random_state=0).split(points, labels):
        model = LogisticRegression(max_iter=60).fit(points[train], labels[train])
        probabilities[np.ix_(test, model.classes_)] = model.predict_proba(points[test])
    return probabilities, labels, true


def _flips(
    kind: str,
    number: int,
    true: NDArray[np.int64],
    distances: NDArray[np.float64],
    random: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The photos whose labels are wrong, and these labels."""
    count, classes = distances.shape
    weights = np.ones(count)
    distances[np.arange(count), true] = np.inf
    if kind == "some classes":
        weights = random.exponential(size=classes)[true]
    elif kind == "nearest":
        nearest = distances.min(axis=1)
        weights = np.exp(-2 * nearest / nearest.mean())
    rows = random.choice(count, number, replace=False, p=weights / weights.sum())
    if kind == "nearest":
        return rows, distances[rows].argmin(axis=1)
    steps = np.ones(number, dtype=np.int64) if kind == "next" else random.integers(1, classes, number)
    return rows, (true[rows] + steps) % classes


def all_scores(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """The usual scores; the highest is the most doubted."""
    rows = np.arange(len(labels))
    found = find_doubts(probabilities, labels)
    own, other = found.own_N, found.other_N
    limits = thresholds(probabilities, labels)
    logs = [np.log(np.maximum(one, 1e-12)) for one in (own, other)]
    adjusted = np.maximum(probabilities - np.where(np.isfinite(limits), limits, 1), -1)
    own_adjusted = adjusted[rows, labels].copy()
    adjusted[rows, labels] = -np.inf
    return {
        "own probability": -own,
        "margin": other - own,
        "logarithm of the odds": logs[1] - logs[0],
        "half the odds": logs[1] / 2 - logs[0],
        "own, less the threshold": -own_adjusted,
        "margin, less the thresholds": adjusted.max(axis=1) - own_adjusted,
    }


def all_sets(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, NDArray[np.bool_]]:
    """The usual sets of doubted photos, without those whose given class is the most probable one; and ours."""
    found = find_doubts(probabilities, labels)
    misfit = found.other_N > found.own_N
    joint = confident_joint(probabilities, labels)
    limits = thresholds(probabilities, labels)
    reached = probabilities >= limits - 1e-9
    counted = np.where(reached, probabilities, -1.0).argmax(axis=1)
    estimate = round(joint.sum() - np.trace(joint))
    first = np.zeros(len(labels), dtype=bool)
    first[np.argsort(found.own_N, kind="stable")[:estimate]] = True
    return {
        "off the diagonal": reached.any(axis=1) & (counted != labels) & misfit,
        "by pairs of classes": pruned(joint, probabilities, labels) & misfit,
        "as many as estimated": first & misfit,
        "as many as by pairs (ours)": mask_of(found.doubted_M, len(labels)),
    }


if __name__ == "__main__":
    main()
