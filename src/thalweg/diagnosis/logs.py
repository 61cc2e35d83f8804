"""Logs of other tools: a table or lines of text become columns under our names, and a verdict."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.diagnosis.fixes import FIXES_OF
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.constants import constant_measures
from thalweg.diagnosis.measures.trends import accuracy_trends, of_history
from thalweg.diagnosis.verdict import UNSURE, Fix
from thalweg.errors import DataError


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from thalweg.diagnosis.verdict import Verdict

# Our names to those of other tools, the most common first; case is ignored, and - / . and spaces count as _.
NAMES: dict[str, tuple[str, ...]] = {
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "train_loss_epoch", "batch_loss"),
    "step": ("step", "global_step", "iteration", "iter", "steps", "epoch"),
    "lr": ("lr", "learning_rate", "train_learning_rate", "train_lr"),
    "gradient_norm": ("gradient_norm", "grad_norm", "train_grad_norm", "gradnorm", "grad"),
    "valid": ("val_loss", "valid_loss", "validation_loss", "eval_loss", "loss_val", "test_loss"),
    "accuracy": ("accuracy", "acc", "train_accuracy", "train_acc", "training_accuracy", "acc_train", "accuracy_train"),
    "valid_accuracy": (
        *("val_accuracy", "val_acc", "valid_accuracy", "valid_acc", "validation_accuracy", "validation_acc"),
        *("eval_accuracy", "eval_acc", "test_accuracy", "test_acc", "acc_val", "accuracy_val"),
    ),
}
_SPARSE = ("valid", "valid_accuracy")  # columns that few rows have
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf)\b"
_PAIR = re.compile(rf"([A-Za-z][\w./-]*(?: [A-Za-z]\w*)?)[\"']?\s*[:=\s]\s*({_NUMBER})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a log, under our names, in the order of the steps.

    Attributes:
        columns: name to numbers; always `loss` or `accuracy`; the loss is without holes.
        holes: number of rows in which the loss is missing or not a number.
    """

    columns: Mapping[str, NDArray[np.float64]]
    holes: int


def diagnose_csv(path: Path | str) -> Verdict:
    """Diagnose a log of any tool; `unchecked` of the verdict lists what a log does not contain.

    Args:
        path: a table with a header and a column `loss` (or `train_loss`, `train/loss`), or lines of text such as
            `step 10 loss 2.3`. `step`, `lr`, `grad_norm`, `val_loss` and accuracies are read if present. Without
            losses, one minus the accuracy is judged.

    Raises:
        DataError: the file is not a table, or has no losses.
    """
    table = read_table(Path(path))
    columns = dict(table.columns)
    valid, valid_accuracy = (columns.pop(name, np.array([])) for name in _SPARSE)
    accuracy = columns.pop("accuracy", np.array([]))
    problems = ["holes"] if table.holes else []
    found = None
    if "loss" in columns:
        measures = of_history(columns, valid_loss=valid) | constant_measures(columns["loss"], accuracy)
        measures |= accuracy_trends(accuracy, valid_accuracy)
        found = _with_next_steps(judge(measures, problems=problems))
    if (found is None or not found.ill) and np.isfinite(accuracy).any():
        errors = {**columns, "loss": 1 - accuracy[np.isfinite(accuracy)]}
        errors = {name: values for name, values in errors.items() if len(values) == len(errors["loss"])}
        told = judge(of_history(errors, valid_loss=1 - valid_accuracy), problems=["error_rate", *problems])
        if found is None or told.code == "overfitting":
            return told
    if found is None:
        raise DataError("diagnosis.csv_empty", path=path)
    return found


def _with_next_steps(verdict: Verdict) -> Verdict:
    """Add to an undecided verdict on a loss that is flat at a constant answer's what leads there, and what to do."""
    if verdict.code != UNSURE or not ({"guessed_classes", "guessed_variance"} & set(verdict.measures)):
        return verdict
    still = verdict.measures.get("late_noise", 0.0) < 1e-6  # no batch moves it: the outputs do not change at all
    codes = ("dead_units", "symmetric_weights") if still else ("lr_too_large", "bad_targets")
    fixes = tuple(Fix(code, {}) for code in FIXES_OF[UNSURE])
    return replace(verdict, fixes=fixes, alternatives=tuple((code, None) for code in codes))


def read_table(path: Path) -> Table:
    """Read a log.

    Args:
        path: text with a header, in which comma, semicolon or tab separates the columns; lines of names and numbers; or
            one loss a line.

    Raises:
        DataError: the file cannot be read, is not a table, or has no losses.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            "diagnosis.csv_unreadable", path=path, reason=getattr(error, "strerror", None) or error
        ) from error
    header, rows = _rows_of_table(text)
    chosen = _chosen(header)
    if not {"loss", "accuracy"} & set(chosen):
        told, rows = _rows_of_lines(text)
        chosen = _chosen(told)
        if not {"loss", "accuracy"} & set(chosen):
            raise DataError("diagnosis.csv_no_loss", path=path, found=", ".join(header) or "-")
    columns = {ours: np.array([_number(row.get(name)) for row in rows]) for ours, name in chosen.items()}
    main = "loss" if "loss" in chosen else "accuracy"
    known_S = ~np.isnan(columns[main]) | np.array([_is_nan_word(row.get(chosen[main])) for row in rows], dtype=bool)
    if not known_S.any():
        raise DataError("diagnosis.csv_empty", path=path)
    sparse = {name: columns.pop(name) for name in _SPARSE if name in columns}
    kept = {ours: values[known_S] for ours, values in columns.items()}
    if "step" in kept:
        order_S = np.argsort(kept["step"], kind="stable")
        kept = {ours: values[order_S] for ours, values in kept.items()}
    kept |= {name: values[~np.isnan(values)] for name, values in sparse.items()}
    kept |= {name: _share(kept[name]) for name in ("accuracy", "valid_accuracy") if name in kept}
    # a row with only a validation loss is not a hole
    other_S = np.any([~np.isnan(values) for values in sparse.values()], axis=0) if sparse else np.zeros_like(known_S)
    return Table(kept, int((~known_S & ~other_S).sum()))


def _rows_of_table(text: str) -> tuple[list[str], Sequence[Mapping[str, str | None]]]:
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(text.splitlines(), delimiter=delimiter)
    rows = list(reader)
    return [name for name in reader.fieldnames or [] if name], rows


def _rows_of_lines(text: str) -> tuple[list[str], Sequence[Mapping[str, str | None]]]:
    """The pairs of a name and a number in each line, such as `Epoch 3/20, train loss: 0.41`; or one number a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and all(not math.isnan(_number(line)) or _is_nan_word(line) for line in lines):
        return ["loss"], [{"loss": line} for line in lines]
    rows = [dict(_PAIR.findall(line)) for line in lines]
    rows = [row for row in rows if set(_chosen(list(row))) - {"step"}]
    return list(dict.fromkeys(name for row in rows for name in row)), rows


def _chosen(header: list[str]) -> dict[str, str]:
    return {ours: name for ours, theirs in NAMES.items() if (name := _find(header, theirs)) is not None}


def _find(header: list[str], theirs: tuple[str, ...]) -> str | None:
    plain = {"".join("_" if sign in "-/. " else sign for sign in name.strip().lower()): name for name in header}
    return next((plain[name] for name in theirs if name in plain), None)


def _share(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Accuracies as shares of one, also of percent."""
    return values / 100 if len(values) and np.nanmax(values) > 1 else values


def _number(text: str | None) -> float:
    try:
        return float((text or "").strip())
    except ValueError:
        return math.nan


def _is_nan_word(text: str | None) -> bool:
    """Whether a cell says NaN: that is a finding, while an empty cell is a hole."""
    return (text or "").strip().lower() in {"nan", "-nan", "+nan"}
