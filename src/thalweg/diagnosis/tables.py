"""Logs of others: a table of steps and losses, under the names that people give them."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import DataError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# Ours to theirs, the most usual first; compared in lower case, with - / . and blanks as _.
NAMES: dict[str, tuple[str, ...]] = {
    "loss": ("loss", "train_loss", "training_loss", "loss_train", "train_loss_step", "batch_loss"),
    "step": ("step", "global_step", "iteration", "iter", "steps", "epoch"),
    "lr": ("lr", "learning_rate", "train_learning_rate", "train_lr"),
    "gradient_norm": ("gradient_norm", "grad_norm", "train_grad_norm", "gradnorm", "grad"),
    "valid": ("val_loss", "valid_loss", "validation_loss", "eval_loss", "loss_val", "test_loss"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """Columns under our names, in the order of the steps.

    Attributes:
        columns: name to numbers; `loss` at least, without holes.
        holes: rows in which the loss is missing or no number word that is understood.
    """

    columns: Mapping[str, NDArray[np.float64]]
    holes: int


def read_table(path: Path) -> Table:
    """Read a log.

    Args:
        path: text with a header, its columns parted by comma, semicolon or tab.

    Raises:
        DataError: no such file, no table, no column of losses, or no loss in it.
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
    # a validation row of its own has no training loss, and is no hole
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
    """A loss that was NaN is a finding; a cell that is empty is a hole."""
    return (text or "").strip().lower() in {"nan", "-nan", "+nan"}
