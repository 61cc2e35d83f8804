"""One run per fold, and predictions of every photo by the one run that did not train on it.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg._files import write_text
from thalweg.data.label_sets import written
from thalweg.errors import RunError, UsageError
from thalweg.loggers.live import opened
from thalweg.runs import Run, files
from thalweg.runs.answers import LARGEST, Answers
from thalweg.runs.tasks import scores_of_ranks
from thalweg.training.printing import heard
from thalweg.training.request import extended, read
from thalweg.training.session import claimed, resume, train


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from thalweg.loggers.live import Live
    from thalweg.runs import TrainingConfig
    from thalweg.runs.tasks import Task
    from thalweg.training.progress import Listener

_BYTES_A_VALUE = 9  # of `out-of-fold.csv`


def train_folds(
    photos: Path | str,
    config: TrainingConfig,
    out: Path | str | None = None,
    *,
    listener: Listener | None = None,
    verbose: bool | None = None,
    log: Live | str | Iterable[str] = (),
) -> list[Run]:
    """Train `config.folds` runs in `out/folds/0`, `1`, ..., each validated on a part that the others train on.

    When all are done, `out/out-of-fold.csv` holds the probabilities of every labeled photo, by the run that did not
    train on it; where that would be more than 200 MB, only that of the predicted class, and the rank of the label, 1 if
    it is the prediction. `out/summary.json` holds the accuracy over all photos. The folds share a budget.

    Args:
        photos: as `train` takes them.
        config: the configuration, with `folds` and without `fold`.
        out: the folder: empty, new, or interrupted with the same configuration. None: the first unused name below
            `runs/`.
        listener: receives the progress of each run.
        verbose: as for `train`.
        log: loggers, as for `train`; each fold is a run of its own.

    Returns:
        The runs; fewer than `folds` after an interrupt.

    Raises:
        UsageError: `folds` is missing, or the folder is taken.
        DataError: the photos cannot be used.
        TrainingError: the loss of a fold became NaN or infinite.
        RunError: this already happened to a fold in an earlier session.
    """
    if not config.folds:
        raise UsageError("training.no_folds")
    with heard(listener, verbose) as told, opened(log, told.note) as loggers:
        if out is not None and (Path(out) / files.FOLDS).is_dir():
            return _train_all(photos, config, Path(out), told, loggers)
        with claimed(out, photos) as folder:
            return _train_all(photos, config, folder, told, loggers)


def resume_folds(
    out: Path | str,
    *,
    photos: Path | str | None = None,
    listener: Listener | None = None,
    verbose: bool | None = None,
    log: Live | str | Iterable[str] | None = None,
    **ends: Any,
) -> list[Run]:
    """Resume `train_folds` after an interrupt, or with another end.

    Args:
        out: the folder of folds.
        photos: where the photos are now, if they have moved.
        listener: receives the progress of each run.
        verbose: as for `train`.
        log: loggers, as for `resume`.
        **ends: as for `resume`; the folds share a budget.

    Raises:
        RunError: this is not a folder of folds, or the loss of a fold became NaN or infinite.
        UsageError: an end is invalid, or a fold is already past it.
    """
    first = Run.open(Path(out) / files.FOLDS / "0", photos=photos)
    folds = first.config.folds or 1
    budget = None if first.config.budget is None else first.config.budget * folds
    table = None if first.corrections is None else str(first.corrections)
    config = extended(replace(first.config, fold=None, budget=budget, corrections=table), ends)
    own = {name: getattr(config, name) for name in read(ends)}
    if own.get("budget"):
        own["budget"] /= folds
    moved = None if photos is None else first.data["path"]
    begun = sorted((Path(out) / files.FOLDS).iterdir())
    with heard(listener, verbose) as told, opened(log, told.note, before=begun) as loggers:
        return _train_all(first.data["path"], config, Path(out), told, loggers, moved=moved, ends=own)


def _train_all(
    photos: Path | str,
    config: TrainingConfig,
    out: Path,
    listener: Listener,
    loggers: Live,
    *,
    moved: Path | str | None = None,
    ends: Mapping[str, Any] | None = None,
) -> list[Run]:
    folds = config.folds or 0
    budget = None if config.budget is None else config.budget / folds
    runs: list[Run] = []
    for fold in range(folds):
        path = out / files.FOLDS / str(fold)
        listener.note("training.fold", fold=fold + 1, folds=folds)
        if not (path / files.CONFIG).exists():
            own = replace(config, fold=fold, budget=budget)
            runs.append(train(photos, own, path, listener=listener, log=loggers))
        else:
            runs.append(_resumed(path, listener, loggers, moved, ends or {}))
        if runs[-1].summary()["stopped"] == "interrupted":
            return runs
    _write_out_of_fold(runs, out)
    return runs


def _resumed(path: Path, listener: Listener, loggers: Live, photos: Path | str | None, ends: Mapping[str, Any]) -> Run:
    """Return the run of one fold, resumed or already finished."""
    run = Run.open(path)
    stopped = run.summary().get("stopped", "interrupted")
    if stopped == "nan":  # it would fail again, and the other folds are useless without it
        raise RunError("training.fold_failed", run=path, reason=" ".join(run.summary().get("messages", [])))
    reached = all(getattr(run.config, name) == value for name, value in ends.items())  # in an earlier session
    if stopped != "interrupted" and reached:
        return run
    return resume(path, photos=photos, listener=listener, log=loggers, **({} if reached else ends))


def _write_out_of_fold(runs: Sequence[Run], out: Path) -> None:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    classes, task = runs[0].classes, runs[0].task
    found = [run.outputs() for run in runs]
    values = len(classes) * sum(len(outputs["labels"]) for outputs in found)
    large = values * _BYTES_A_VALUE > LARGEST and not task.several
    writer.writerow(["path", "fold", "label", "predicted", *(("probability", "rank") if large else classes)])
    by_fold: list[dict[str, float]] = []
    parts: list[tuple[NDArray[np.float64], NDArray[np.integer]]] = []
    for fold, (run, outputs) in enumerate(zip(runs, found, strict=True)):
        paths = run.read_split("valid")
        if len(paths) != len(outputs["labels"]):
            raise RunError("runs.outputs_do_not_fit", path=run.evaluation)
        if task.several:
            parts.append((run.probabilities(), outputs["labels"]))
            by_fold.append(task.scores(*parts[-1], run.thresholds))
            rows = _rows_of_several(run, *parts[-1])
        else:
            answers = Answers(outputs, len(classes), run.temperature)
            by_fold.append(scores_of_ranks(answers.rank_N, len(classes)))
            rows = _rows(answers, classes, None if large else run.probabilities())
        writer.writerows([path, fold, *row] for path, row in zip(paths, rows, strict=True))
    write_text(out / files.OUT_OF_FOLD, lines.getvalue())
    counts = [len(outputs["labels"]) for outputs in found]
    summary: dict[str, Any] = {"folds": len(runs)} | _over_all(by_fold, counts, parts, task) | {"count": sum(counts)}
    summary["by_fold"] = [one.get("mean_average_precision", one["accuracy"]) for one in by_fold]
    write_text(out / files.SUMMARY, json.dumps(summary, indent=2) + "\n")


def _rows(
    answers: Answers, classes: Sequence[str], probability_NC: NDArray[np.float64] | None
) -> Iterator[tuple[object, ...]]:
    """Label, predicted class, and the probability of each class; or that of the predicted one, and the label's rank."""
    for row, (label, predicted) in enumerate(zip(answers.labels_N.tolist(), answers.predicted_N.tolist(), strict=True)):
        named = (classes[label], classes[predicted])
        if probability_NC is None:
            yield *named, f"{answers.probability_N[row]:.6f}", int(answers.rank_N[row]) + 1
        else:
            yield *named, *(f"{probability:.6f}" for probability in probability_NC[row])


def _rows_of_several(
    run: Run, probability_NC: NDArray[np.float64], labels_NC: NDArray[np.integer]
) -> Iterator[list[str]]:
    """Labels, given classes, and the probability of each class."""
    given_NC = run.task.decided(probability_NC, run.thresholds)
    for true_C, given_C, probability_C in zip(labels_NC > 0, given_NC, probability_NC, strict=True):
        named = (_names(which_C, run.classes) for which_C in (true_C, given_C))
        yield [*named, *(f"{probability:.6f}" for probability in probability_C)]


def _names(which_C: NDArray[np.bool_], classes: Sequence[str]) -> str:
    return written(classes[label] for label in np.flatnonzero(which_C).tolist())


def _over_all(
    by_fold: Sequence[Mapping[str, float]],
    counts: Sequence[int],
    parts: Sequence[tuple[NDArray[np.float64], NDArray[np.integer]]],
    task: Task,
) -> dict[str, float]:
    """The accuracy over the photos of all folds, each with its fold's decisions; top-5; and mean average precision."""
    names = [name for name in ("accuracy", "top5_accuracy") if name in by_fold[0]]
    right = {name: sum(one[name] * count for one, count in zip(by_fold, counts, strict=True)) for name in names}
    scores = {name: round(right[name]) / sum(counts) for name in names}
    if task.several:
        probability_NC, labels = (np.concatenate(some) for some in zip(*parts, strict=True))
        scores["mean_average_precision"] = task.scores(probability_NC, labels)["mean_average_precision"]
    return scores
