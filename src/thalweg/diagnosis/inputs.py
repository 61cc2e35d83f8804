"""Diagnose what is not a watched loop: runs, folders of `watch.save`, logs, and traces of the lab."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.diagnosis import trials
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.collect import ask, decay_measures, wiring_measures
from thalweg.diagnosis.measures.table import OLD_NAMES
from thalweg.diagnosis.measures.trends import of_history
from thalweg.diagnosis.watching import FORMAT
from thalweg.errors import DataError, RunError
from thalweg.i18n import t
from thalweg.probes import Wiring
from thalweg.probes.batches import Batch
from thalweg.runs import files, schema
from thalweg.runs.options import shown
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Trial, Verdict
    from thalweg.paths import Trace
    from thalweg.probes.batches import LossFunction
    from thalweg.training.loop import TrainingLoop

    Progress = Callable[[str, float, float], None]

# Of a run: a few photos are enough for curvature and rates, and a CPU is slow.
BATCHES, PHOTOS = 4, 32

_WATCH = {"measures": schema.by_name(), "problems": schema.texts()}


# The stages of a diagnosis, and how long each usually takes, in steps of the training.
STAGES = {
    "batch": 8,
    "graph": 4,
    "mixing": 4,
    "symmetry": 1,
    "sequence": 4,
    "noise": 4,
    "curvature": 200,
    "short_runs": 250,
    "cures": 250,
    "dropout": 240,
    "trial": 80,
}


def diagnose_path(
    source: Path | str,
    *,
    try_fix: bool = False,
    photos: Path | str | None = None,
    listener: Listener | None = None,
) -> Verdict:
    """Diagnose a folder: a run, or a folder of `watch.save`.

    Args:
        source: the folder.
        try_fix: try the first fix on a copy; needs a run.
        photos: where the run's photos are now, if they have moved.
        listener: receives the progress.

    Raises:
        RunError: the folder is neither, or another version wrote it.
    """
    source = Path(source)
    if (source / "watch.json").exists():
        if try_fix:
            raise RunError("diagnosis.try_needs_run")
        return diagnose_folder(source)
    if (source / files.CONFIG).exists():
        return diagnose_run(source, try_fix=try_fix, photos=photos, listener=listener)
    raise RunError("diagnosis.not_a_source", path=source)


def diagnose_folder(folder: Path | str) -> Verdict:
    """Diagnose a folder of `watch.save`.

    It holds the measures of a batch if `watch.diagnose` was given one before `watch.save`.

    Raises:
        RunError: the folder is not of `watch.save`, or another version wrote it.
    """
    folder = Path(folder)
    file = folder / "watch.json"
    if not file.exists():
        raise RunError("diagnosis.not_a_source", path=folder)
    facts = schema.checked(schema.read_json(file), {}, file)
    if facts.get("format") != FORMAT:
        raise RunError("diagnosis.other_watch", path=folder, found=shown(facts.get("format")), expected=FORMAT)
    schema.checked(facts, _WATCH, file)
    measures = {
        str(OLD_NAMES.get(name, name)): math.nan if value is None else float(value)
        for name, value in facts["measures"].items()
    }
    return judge(measures, problems=[name for name in facts["problems"] if _has_text(name)])


def _has_text(problem: str) -> bool:
    """Whether this version has words for a problem: another may name others."""
    try:
        return bool(t(f"diagnosis.unchecked_{problem}"))
    except KeyError:
        return False


def diagnose_csv(path: Path | str) -> Verdict:
    """Diagnose a log of any tool; `unchecked` of the verdict lists what a log does not contain.

    Args:
        path: a table with a header and a column `loss` (or `train_loss`, `train/loss`); `step`, `lr`, `grad_norm`
            and `val_loss` are read if present.

    Raises:
        DataError: the file is not a table, or has no losses.
    """
    table = read_table(Path(path))
    columns = dict(table.columns)
    validation = columns.pop("valid", np.array([]))
    return judge(of_history(columns, valid_loss=validation), problems=["holes"] if table.holes else [])


@dataclass(frozen=True, slots=True)
class OpenedRun:
    """A run that is open for measurements.

    Attributes:
        model: with the weights of the last checkpoint.
        optimizer: with its state of the last checkpoint.
        loss_fn: what the run minimizes.
        batches: some of its training batches.
        measures: of the run's history.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFunction
    batches: Sequence[Batch]
    measures: dict[str, float] = field(default_factory=dict)

    def verdict(self, *, seconds: float = 30.0, progress: Progress = lambda _stage, _done, _total: None) -> Verdict:
        """Measure, and name the cause."""
        asked, failed = ask(
            self.model, self.optimizer, self.loss_fn, self.batches, self.measures, seconds=seconds, progress=progress
        )
        return judge({**self.measures, **asked}, problems=failed)

    def try_fix(
        self,
        verdict: Verdict,
        *,
        fix: str | None = None,
        steps: int | None = None,
        progress: Progress = lambda _stage, _done, _total: None,
    ) -> Trial:
        """Try a fix of a verdict on a copy, on the run's own batches."""
        return trials.try_fix(
            verdict,
            self.model,
            self.optimizer,
            self.loss_fn,
            self.batches,
            fix=fix,
            steps=steps or trials.RUN_STEPS,
            progress=partial(progress, "trial"),
        )


def in_stages(listener: Listener, *, try_fix: bool) -> Progress:
    """Pass the progress of each stage to a listener, as a part of the whole."""
    costs = {stage: cost for stage, cost in STAGES.items() if try_fix or stage != "trial"}

    def progress(stage: str, done: float, total: float) -> None:
        before = sum(islice(costs.values(), list(costs).index(stage)))
        listener.working(stage, before + costs[stage] * done / total, sum(costs.values()))

    return progress


def diagnose_run(
    path: Path | str,
    *,
    try_fix: bool = False,
    threads: int | None = None,
    photos: Path | str | None = None,
    listener: Listener | None = None,
) -> Verdict:
    """Diagnose a run: its history, and its last checkpoint, measured with its own photos.

    Args:
        path: the run's folder, which stays unchanged.
        try_fix: try the first fix on a copy, beside a copy without it.
        threads: CPU threads; None: as many as the run used.
        photos: where its photos are now, if they have moved.
        listener: receives the progress.

    Raises:
        RunError: the folder is not a run, another version wrote it, or its photos have changed.
    """
    listener = listener or Listener()
    opened = open_run(Path(path), threads=threads, photos=photos, listener=listener)
    progress = in_stages(listener, try_fix=try_fix)
    verdict = opened.verdict(progress=progress)
    if not (try_fix and verdict.fixes):
        return verdict
    return replace(verdict, trial=opened.try_fix(verdict, progress=progress))


def open_run(
    path: Path, *, threads: int | None = None, photos: Path | str | None = None, listener: Listener | None = None
) -> OpenedRun:
    """Open a run at its last checkpoint, for measurements.

    Args:
        path: the run's folder.
        threads: CPU threads; None: as many as the run used.
        photos: where its photos are now, if they have moved.
        listener: receives the progress of decoding its photos.

    Raises:
        RunError: the folder is not a run, another version wrote it, or its photos have changed.
    """
    from thalweg.training.session import reopen

    training = reopen(path, photos=photos, threads=threads, listener=listener)
    batches = []
    for index in range(min(BATCHES, len(training.batches))):
        images_NCHW, labels_N = training.batches(0, index)
        batches.append(Batch(images_NCHW[:PHOTOS].clone(), labels_N[:PHOTOS].clone()))

    training.model.train()
    _restore_rate(training.optimizer, training.run.steps())
    return OpenedRun(training.model, training.optimizer, training.batch_loss, batches, run_measures(training))


def run_measures(training: TrainingLoop) -> dict[str, float]:
    """Measure a run's histories and its wiring."""
    run = training.run
    steps, epochs = run.steps(), run.epochs()
    found = of_history(
        {name: steps[name] for name in steps.units},
        layers=run.layers() if (run.path / files.LAYERS).exists() else None,
        valid_loss=epochs["valid_loss"],
        train_loss=float(epochs["train_loss"][-1]) if len(epochs) else math.nan,
    )
    found |= wiring_measures(Wiring.of(training.model, training.optimizer))
    return found | decay_measures(training.optimizer, found)


def _restore_rate(optimizer: Optimizer, steps: Any) -> None:
    """Set the rate of the last step, which the history records; a checkpoint does not."""
    if len(steps):
        for group in optimizer.param_groups:
            group["lr"] = float(steps["lr"][-1])


def try_fix_on_run(
    path: Path | str,
    *,
    fix: str | None = None,
    steps: int | None = None,
    threads: int | None = None,
    listener: Listener | None = None,
) -> Trial:
    """Diagnose a run and try a fix from its last checkpoint, on its own batches.

    Args:
        path: the run's folder, which stays unchanged.
        fix: code of the fix; None: the first that can be tried on a copy.
        steps: number of steps of each copy; None: `trials.RUN_STEPS`.
        threads: CPU threads; None: as many as the run used.
        listener: receives the progress.

    Raises:
        RunError: the folder is not a run, another version wrote it, or its photos have changed.
    """
    listener = listener or Listener()
    opened = open_run(Path(path), threads=threads, listener=listener)
    progress = in_stages(listener, try_fix=True)
    return opened.try_fix(opened.verdict(progress=progress), fix=fix, steps=steps, progress=progress)


def diagnose_trace(trace: Trace) -> Verdict:
    """Diagnose a trace of the lab.

    Args:
        trace: from `paths.trace`.

    Example:
        >>> from thalweg import paths, surfaces
        >>> diagnose_trace(paths.trace(surfaces.get("bowl"), "sgd", lr=1e-5, steps=200)).code
        'lr_too_small'
    """
    from thalweg.diagnosis.measures.trace import of_trace

    return judge(of_trace(trace))


# Our names to those of other tools, the most common first; case is ignored, and - / . and spaces count as _.
NAMES: dict[str, tuple[str, ...]] = {
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "batch_loss"),
    "step": ("step", "global_step", "iteration", "iter", "steps", "epoch"),
    "lr": ("lr", "learning_rate", "train_learning_rate", "train_lr"),
    "gradient_norm": ("gradient_norm", "grad_norm", "train_grad_norm", "gradnorm", "grad"),
    "valid": ("val_loss", "valid_loss", "validation_loss", "eval_loss", "loss_val", "test_loss"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a log, under our names, in the order of the steps.

    Attributes:
        columns: name to numbers; always `loss`, without holes.
        holes: number of rows in which the loss is missing or not a number.
    """

    columns: Mapping[str, NDArray[np.float64]]
    holes: int


def read_table(path: Path) -> Table:
    """Read a log.

    Args:
        path: text with a header; comma, semicolon or tab separates the columns.

    Raises:
        DataError: the file cannot be read, is not a table, or has no losses.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "diagnosis.csv_unreadable", path=path, reason=getattr(error, "strerror", None) or error
        ) from error
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    header = [
        name for name in (rows[0] if rows else csv.DictReader([head], delimiter=delimiter).fieldnames or []) if name
    ]
    chosen = {ours: name for ours, theirs in NAMES.items() if (name := _find(header, theirs)) is not None}
    if "loss" not in chosen:
        raise DataError("diagnosis.csv_no_loss", path=path, found=", ".join(header) or "-")
    columns = {ours: np.array([_number(row.get(name)) for row in rows]) for ours, name in chosen.items()}
    known_S = ~np.isnan(columns["loss"]) | np.array([_is_nan_word(row.get(chosen["loss"])) for row in rows], dtype=bool)
    if not known_S.any():
        raise DataError("diagnosis.csv_empty", path=path)
    valid = columns.pop("valid", np.array([]))
    kept = {ours: values[known_S] for ours, values in columns.items()}
    if "step" in kept:
        order_S = np.argsort(kept["step"], kind="stable")
        kept = {ours: values[order_S] for ours, values in kept.items()}
    if len(valid):
        kept["valid"] = valid[~np.isnan(valid)]
    # a row with only a validation loss is not a hole
    blank = ~known_S & (np.isnan(valid) if len(valid) else True)
    return Table(kept, int(blank.sum()))


def _find(header: list[str], theirs: tuple[str, ...]) -> str | None:
    plain = {"".join("_" if sign in "-/. " else sign for sign in name.strip().lower()): name for name in header}
    return next((plain[name] for name in theirs if name in plain), None)


def _number(text: str | None) -> float:
    try:
        return float((text or "").strip())
    except ValueError:
        return math.nan


def _is_nan_word(text: str | None) -> bool:
    """Whether a cell says NaN: that is a finding, while an empty cell is a hole."""
    return (text or "").strip().lower() in {"nan", "-nan", "+nan"}
