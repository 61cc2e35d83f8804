"""Diagnose what is not a watched loop: runs, folders of `watch.save`, and traces of the lab; `logs` reads logs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis import trials
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.logs import diagnose_csv, is_log_folder
from thalweg.diagnosis.measures.collect import ask, decay_measures, wiring_measures
from thalweg.diagnosis.measures.run import of_run
from thalweg.diagnosis.measures.table import OLD_NAMES
from thalweg.diagnosis.stages import in_stages
from thalweg.diagnosis.watching import FORMAT
from thalweg.errors import RunError
from thalweg.i18n import t
from thalweg.probes import Wiring
from thalweg.probes.batches import Batch
from thalweg.runs import files, schema
from thalweg.runs.options import shown
from thalweg.training.printing import heard


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.stages import Progress
    from thalweg.diagnosis.verdict import Fix, Trial, Verdict
    from thalweg.paths import Trace
    from thalweg.probes.batches import LossFunction
    from thalweg.training.loop import TrainingLoop
    from thalweg.training.progress import Listener

# Of a run: a few photos are enough for curvature and rates, and a CPU is slow.
BATCHES, PHOTOS = 4, 32
SECONDS = 30.0  # of a run's diagnosis

_WATCH = {"measures": schema.by_name(), "problems": schema.texts()}


def diagnose_path(
    source: Path | str,
    *,
    try_fix: bool = False,
    photos: Path | str | None = None,
    loss: str | None = None,
    listener: Listener | None = None,
) -> Verdict:
    """Diagnose a folder or a log: a run, a folder of `watch.save`, or what `diagnose_csv` reads.

    Args:
        source: the folder or the file.
        try_fix: try the first fix on a copy; needs a run.
        photos: where the run's photos are now, if they have moved.
        loss: of a log: the column of training losses, or the run.
        listener: receives the progress.

    Raises:
        RunError: the folder is neither, or another version wrote it.
        DataError: the log cannot be read.
    """
    source = Path(source)
    if source.is_file():
        if try_fix:
            raise RunError("diagnosis.try_needs_run")
        return diagnose_csv(source, loss=loss)
    if (source / "watch.json").exists():
        if try_fix:
            raise RunError("diagnosis.try_needs_run")
        return diagnose_folder(source)
    if (source / files.CONFIG).exists():
        return diagnose_run(source, try_fix=try_fix, photos=photos, listener=listener)
    if source.is_dir() and is_log_folder(source):
        if try_fix:
            raise RunError("diagnosis.try_needs_run")
        return diagnose_csv(source, loss=loss)
    raise RunError("diagnosis.not_a_source", path=source, formats=t("diagnosis.log_formats"))


def diagnose_folder(folder: Path | str) -> Verdict:
    """Diagnose a folder of `watch.save`.

    It holds the measures of a batch if `watch.diagnose` was given one before `watch.save`.

    Raises:
        RunError: the folder is not of `watch.save`, or another version wrote it.
    """
    folder = Path(folder)
    file = folder / "watch.json"
    if not file.exists():
        raise RunError("diagnosis.not_a_source", path=folder, formats=t("diagnosis.log_formats"))
    facts = schema.checked(schema.read_json(file), {}, file)
    if facts.get("format") != FORMAT:
        raise RunError("diagnosis.other_watch", path=folder, found=shown(facts.get("format")), expected=FORMAT)
    schema.checked(facts, _WATCH, file)
    measures = {
        str(OLD_NAMES.get(name, name)): math.nan if value is None else float(value)
        for name, value in facts["measures"].items()
    }
    verdict = judge(measures, problems=[name for name in facts["problems"] if _has_text(name)])
    return replace(verdict, fixes=tuple(_with_edit(fix, facts.get("edits")) for fix in verdict.fixes))


def _with_edit(fix: Fix, edits: Any) -> Fix:
    """The fix with what to type, as the watch saw it; without, if this version has no such sentence."""
    edit = edits.get(fix.code) if isinstance(edits, dict) else None
    told = replace(fix, values={**fix.values, **edit}) if isinstance(edit, dict) else fix
    try:
        return told if isinstance(told.line, str) else fix
    except (KeyError, ValueError, AttributeError, IndexError, TypeError):
        return fix


def _has_text(problem: str) -> bool:
    """Whether this version has words for a problem: another may name others."""
    try:
        return bool(t(f"diagnosis.unchecked_{problem}"))
    except KeyError:
        return False


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

    def verdict(self, *, seconds: float = SECONDS, progress: Progress = lambda _stage, _done, _total: None) -> Verdict:
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
    with heard(listener) as told:
        opened = open_run(Path(path), threads=threads, photos=photos, listener=told)
        progress = in_stages(told, try_fix=try_fix, seconds=SECONDS)
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
    if not training.config.only_head:  # whose steps have lengths, not rates
        _restore_rate(training.optimizer, training.run.steps())
    return OpenedRun(training.model, training.optimizer, training.batch_loss, batches, run_measures(training))


def run_measures(training: TrainingLoop) -> dict[str, float]:
    """Measure a run's histories and its wiring."""
    run = training.run
    layers = run.layers() if (run.path / files.LAYERS).exists() else None
    found = of_run(run.steps(), run.epochs(), layers, configuration=run.config.to_dict(), processes=run.processes())
    found |= wiring_measures(Wiring.of(training.model, training.optimizer))
    return found | decay_measures(training.optimizer, found)


def _restore_rate(optimizer: Optimizer, steps: Any) -> None:
    """Set the rate of the last step, which the history records; a checkpoint does not."""
    from thalweg.training.optimizers import set_rate

    if len(steps):
        set_rate(optimizer, float(steps["lr"][-1]))


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
    with heard(listener) as told:
        opened = open_run(Path(path), threads=threads, listener=told)
        progress = in_stages(told, try_fix=True, seconds=SECONDS)
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
