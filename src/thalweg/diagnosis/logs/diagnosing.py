"""The verdict on a log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.diagnosis.fixes import FIXES_OF
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.logs.reading import read_table
from thalweg.diagnosis.measures.constants import constant_measures
from thalweg.diagnosis.measures.trends import accuracy_trends, of_history
from thalweg.diagnosis.verdict import UNSURE, Fix


if TYPE_CHECKING:
    from thalweg.diagnosis.logs.reading import Table
    from thalweg.diagnosis.verdict import Verdict


def diagnose_csv(path: Path | str, *, loss: str | None = None) -> Verdict:
    """Diagnose a log of any tool; `unchecked` of the verdict lists what a log does not contain.

    Args:
        path: an event file of TensorBoard or a folder of them, a run's folder of MLflow, `trainer_state.json`, JSON, a
            table with a column such as `loss` or `train/loss`, or lines of text such as `step 10 loss 2.3`. Steps,
            learning rates, gradient norms, validation losses and accuracies are read if present. Without losses, one
            minus the accuracy is judged. `verdict.source` has the columns that were taken.
        loss: the column of training losses, or the run, where the names do not tell it or several could be meant.

    Raises:
        DataError: the file is no log, has no losses, or has several runs.
    """
    table = read_table(Path(path), loss=loss)
    return replace(_judged(table), source=table.source)


def _judged(table: Table) -> Verdict:
    columns = dict(table.columns)
    valid, valid_accuracy = (columns.pop(name, np.array([])) for name in ("valid", "valid_accuracy"))
    accuracy = columns.pop("accuracy", np.array([]))
    problems = ["holes"] if table.holes else []
    found = None
    if "loss" in columns:
        measures = of_history(columns, valid_loss=valid)
        measures |= constant_measures(columns["loss"], accuracy if len(accuracy) else valid_accuracy)
        measures |= accuracy_trends(accuracy, valid_accuracy)
        found = _with_next_steps(judge(measures, problems=problems))
    if found is None or (not found.ill and np.isfinite(accuracy).any()):
        errors = {**columns, "loss": 1 - accuracy[np.isfinite(accuracy)]}
        errors = {name: values for name, values in errors.items() if len(values) == len(errors["loss"])}
        told = judge(of_history(errors, valid_loss=1 - valid_accuracy), problems=["error_rate", *problems])
        if found is None or told.code == "overfitting":
            return told
    return found


def _with_next_steps(verdict: Verdict) -> Verdict:
    """Add to an undecided verdict on a loss that is flat at a constant answer's what leads there, and what to do."""
    if verdict.code != UNSURE or not ({"guessed_classes", "guessed_variance"} & set(verdict.measures)):
        return verdict
    still = verdict.measures.get("late_noise", 0.0) < 1e-6  # no batch moves it: the outputs do not change at all
    codes = ("dead_units", "symmetric_weights") if still else ("lr_too_large", "bad_targets")
    fixes = tuple(Fix(code, {}) for code in FIXES_OF[UNSURE])
    return replace(verdict, fixes=fixes, alternatives=tuple((code, None) for code in codes))
