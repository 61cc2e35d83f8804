"""What can be diagnosed beside a training that is being watched: runs, folders, logs, and paths of the lab."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.trends import layer_trends, trends, validation_trends
from thalweg.diagnosis.tables import read_table
from thalweg.diagnosis.watching import FORMAT, decay_measures, wiring_measures
from thalweg.errors import RunError
from thalweg.history import HistoryLog


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.measures.twins import Batch, LossFunction
    from thalweg.diagnosis.verdict import Verdict

# What a run is asked with: few photos tell as much about curvature and rates as many, and a processor is slow.
BATCHES, PHOTOS = 4, 32


def diagnose_path(source: Path | str, *, prove: bool = False) -> Verdict:
    """Diagnose a folder, whichever it is: a run of this project, or what `watch.save` has left.

    Args:
        source: the folder.
        prove: try the first remedy on a copy; needs a run.

    Raises:
        RunError: neither the one nor the other, or of another version.
    """
    source = Path(source)
    if (source / "watch.json").exists():
        if prove:
            raise RunError("diagnosis.prove_needs_run")
        return diagnose_folder(source)
    if (source / "config.toml").exists():
        return diagnose_run(source, prove=prove)
    raise RunError("diagnosis.not_a_source", path=source)


def diagnose_folder(folder: Path) -> Verdict:
    """Diagnose what `watch.save` has left: the history, and the answers that were asked for before it was saved.

    Raises:
        RunError: not such a folder, or of another version.
    """
    try:
        facts = json.loads((folder / "watch.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError("diagnosis.not_a_source", path=folder) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        found = facts.get("format") if isinstance(facts, dict) else None
        raise RunError("diagnosis.other_watch", path=folder, found=found, expected=FORMAT)
    measures = {name: math.nan if value is None else float(value) for name, value in facts["measures"].items()}
    return judge(measures, problems=facts["problems"])


def diagnose_csv(path: Path | str) -> Verdict:
    """Diagnose a log from anywhere; what a log cannot tell is named as not looked at.

    Args:
        path: a table with a header; a column `loss` (or `train_loss`, `train/loss`), and, where there are some,
            `step`, `lr`, `grad_norm`, `val_loss`.

    Raises:
        DataError: no table, or no losses in it.
    """
    table = read_table(Path(path))
    columns = dict(table.columns)
    validation = columns.pop("valid", np.array([]))
    found = trends(columns)
    found |= validation_trends({"loss": validation}, found.get("loss_last", math.nan))
    return judge(found, problems=["holes"] if table.holes else [])


@dataclass(frozen=True, slots=True)
class RunPatient:
    """A run, opened to be asked.

    Attributes:
        model: with the weights of the last checkpoint.
        optimizer: with its state of then.
        loss_fn: what the run minimizes.
        batches: some of its training batches.
        measures: what its history says.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFunction
    batches: Sequence[Batch]
    measures: dict[str, float] = field(default_factory=dict)

    def verdict(self, *, seconds: float = 30.0) -> Verdict:
        """Ask, and judge."""
        from thalweg.diagnosis.questions import ask

        asked, failed = ask(self.model, self.optimizer, self.loss_fn, self.batches, self.measures, seconds=seconds)
        return judge({**self.measures, **asked}, problems=failed)


def diagnose_run(path: Path | str, *, prove: bool = False, threads: int | None = None) -> Verdict:
    """Diagnose a run of this project: its history, and questions to its last checkpoint with its own photos.

    Args:
        path: the run's folder; it is not changed.
        prove: try the first remedy on a copy, beside the unchanged training.
        threads: of the processor; None: as many as the run had.

    Raises:
        RunError: not a run, of another version, or its photos are no longer what they were.
    """
    from dataclasses import replace

    patient = open_patient(Path(path), threads=threads)
    verdict = patient.verdict()
    if not (prove and verdict.remedies):
        return verdict
    from thalweg.diagnosis.proof import RUN_STEPS
    from thalweg.diagnosis.proof import prove as try_first

    proof = try_first(verdict, patient.model, patient.optimizer, patient.loss_fn, patient.batches, steps=RUN_STEPS)
    return replace(verdict, proof=proof)


def open_patient(path: Path, *, threads: int | None = None) -> RunPatient:
    """Open a run for questions, as its last checkpoint left it.

    Args:
        path: the run's folder.
        threads: of the processor; None: as many as the run had.

    Raises:
        RunError: not a run, of another version, or its photos are no longer what they were.
    """
    from thalweg.probes import Wiring
    from thalweg.training.losses import loss_of
    from thalweg.training.start import reopen

    training = reopen(path, threads=threads)
    config, run = training.config, training.run
    batches = []
    for index in range(min(BATCHES, len(training.batches))):
        images_NCHW, labels_N = training.batches(0, index)
        batches.append((images_NCHW[:PHOTOS].clone(), labels_N[:PHOTOS].clone()))

    def loss_fn(logits_NC: Tensor, labels_N: Tensor) -> Any:
        return loss_of(config.loss, logits_NC, labels_N, config.label_smoothing)

    training.model.train()
    _restore_rate(training.optimizer, run.steps())
    return RunPatient(training.model, training.optimizer, loss_fn, batches, run_measures(path, training, Wiring))


def run_measures(path: Path, training: Any, wiring: Any) -> dict[str, float]:
    """What the histories of a run say."""
    run = training.run
    steps = run.steps()
    found = trends({name: steps[name] for name in steps.units})
    layers = path / "history" / "layers"
    if layers.exists():
        found |= layer_trends(HistoryLog.read(layers))
    epochs = run.epochs()
    found |= validation_trends({"loss": epochs["valid_loss"]}, _last(epochs["train_loss"]))
    found |= wiring_measures(wiring.of(training.model, training.optimizer))
    return found | decay_measures(training.optimizer, found)


def _restore_rate(optimizer: Optimizer, steps: Any) -> None:
    """The rate of the last step is in the history, not in the checkpoint, which computes it from the schedule."""
    if len(steps):
        for group in optimizer.param_groups:
            group["lr"] = float(steps["lr"][-1])


def _last(values: np.ndarray) -> float:
    return float(values[-1]) if len(values) else math.nan
