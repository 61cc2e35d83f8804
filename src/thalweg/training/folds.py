"""One training a fold, and the predictions of every photo by the one training that did not see it.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg._files import write_text
from thalweg.errors import RunError, UsageError
from thalweg.training.calibration import probabilities
from thalweg.training.listener import Listener
from thalweg.training.run import FOLDS, Run
from thalweg.training.start import resume, train


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thalweg.training.config import TrainingConfig


def train_folds(
    photos: Path | str, config: TrainingConfig, out: Path, *, listener: Listener | None = None
) -> list[Run]:
    """Train `config.folds` runs into `out/folds/0`, `1`, ..., each validated on the photos that the others train on.

    When all have ended, `out/out-of-fold.csv` has the probabilities of every labelled photo, by the run that was not
    trained on it, and `out/summary.json` the accuracy over all of them. A budget is divided among the folds.

    Args:
        photos: as `train` takes them.
        config: with `folds`, and no `fold`.
        out: the folder; must not hold anything yet, or be one that was interrupted, of the same configuration.
        listener: is told how each goes.

    Returns:
        The runs; fewer than `folds` if somebody asked to stop.

    Raises:
        UsageError: no folds, or the folder is taken.
        DataError: the photos cannot be used.
        TrainingError: the loss of a fold became no number.
        RunError: the same has happened before.
    """
    if not config.folds:
        raise UsageError("training.no_folds")
    if not (out / FOLDS).is_dir() and out.exists() and any(out.iterdir()):
        raise UsageError("training.out_taken", path=out)
    listener = listener or Listener()
    budget = None if config.budget is None else config.budget / config.folds
    runs: list[Run] = []
    for fold in range(config.folds):
        path = out / FOLDS / str(fold)
        listener.note("training.fold", fold=fold + 1, folds=config.folds)
        runs.append(_trained(photos, replace(config, fold=fold, budget=budget), path, listener))
        if runs[-1].summary()["stopped"] == "interrupted":
            return runs
    _write_out_of_fold(runs, out)
    return runs


def resume_folds(out: Path, *, listener: Listener | None = None) -> list[Run]:
    """Go on with `train_folds` where it was interrupted.

    Raises:
        RunError: no folder of folds, or the loss of one became no number.
    """
    if not (out / FOLDS / "0" / "config.toml").exists():
        raise RunError("training.not_a_run", path=out, reason=f"{FOLDS}/0")
    first = Run.open(out / FOLDS / "0")
    budget = None if first.config.budget is None else first.config.budget * (first.config.folds or 1)
    return train_folds(first.data["path"], replace(first.config, fold=None, budget=budget), out, listener=listener)


def _trained(photos: Path | str, config: TrainingConfig, path: Path, listener: Listener) -> Run:
    """One fold's run, from wherever it stands."""
    if not (path / "config.toml").exists():
        return train(photos, config, path, listener=listener)
    run = Run.open(path)
    stopped = run.summary().get("stopped", "interrupted")
    if stopped == "nan":  # would end so again, and without its predictions the others are in vain
        raise RunError("training.fold_failed", run=path, reason=" ".join(run.summary().get("messages", [])))
    if stopped != "interrupted":
        return run
    return resume(path, listener=listener)


def _write_out_of_fold(runs: Sequence[Run], out: Path) -> None:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    classes = runs[0].classes
    writer.writerow(["path", "fold", "label", "predicted", *classes])
    accuracies, right, count = [], 0, 0
    for fold, run in enumerate(runs):
        outputs = run.outputs()
        probability_NC, label_N = probabilities(outputs["logits"]), outputs["labels"]
        for path, label, probability_C in zip(_validated(run), label_N, probability_NC, strict=True):
            shares = [f"{probability:.6f}" for probability in probability_C]
            writer.writerow([path, fold, classes[label], classes[int(probability_C.argmax())], *shares])
        hits = int(np.count_nonzero(probability_NC.argmax(axis=1) == label_N))
        accuracies.append(hits / len(label_N))
        right, count = right + hits, count + len(label_N)
    write_text(out / "out-of-fold.csv", lines.getvalue())
    summary: dict[str, Any] = {"folds": len(runs), "accuracy": right / count, "count": count, "by_fold": accuracies}
    write_text(out / "summary.json", json.dumps(summary, indent=2) + "\n")


def _validated(run: Run) -> list[str]:
    """The photos of the validation split, in the order of its logits."""
    text = (run.path / "split.csv").read_text(encoding="utf-8")
    return [row["path"] for row in csv.DictReader(io.StringIO(text)) if row["split"] == "valid"]
