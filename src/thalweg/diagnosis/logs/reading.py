"""Read a log, whatever wrote it, by what is in it; its columns become ours, in the order of the steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.diagnosis.logs.events import is_events
from thalweg.diagnosis.logs.folders import known_file, read_event_files, read_folder, read_metric
from thalweg.diagnosis.logs.log import BETWEEN, Column, Log
from thalweg.diagnosis.logs.names import chosen, meaning_of, words_of
from thalweg.diagnosis.logs.objects import read_objects
from thalweg.diagnosis.logs.tables import header_of, read_lines, text_of
from thalweg.diagnosis.logs.tables import read_table as table_of
from thalweg.diagnosis.verdict import Source
from thalweg.errors import DataError
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

JUDGED: Final = ("loss", "accuracy")  # a log has one of them
_SPARSE: Final = ("valid", "valid_accuracy")  # columns that few rows have
_SHOWN: Final = ("loss", "valid", "accuracy", "valid_accuracy", "lr", "gradient_norm", "step")
_LISTED: Final = 12  # names in a sentence
# First bytes of files that are no logs, though they are where logs are.
_OTHERS: Final = (
    (b"PK\x03\x04", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ", "archive"),
    (b"7z\xbc\xaf", "archive"),
    (b":W&B", "wandb"),
    (b"SQLite format 3", "database"),
    (b"PAR1", "parquet"),
    (b"\x89PNG", "picture"),
    (b"\xff\xd8\xff", "picture"),
)


@dataclass(frozen=True, slots=True)
class Table:
    """The columns of a log, under our names, in the order of the steps.

    Attributes:
        columns: name to numbers; always `loss` or `accuracy`; the loss is without holes.
        holes: number of rows in which the loss is missing or not a number.
        source: what was read, and what of it.
    """

    columns: Mapping[str, NDArray[np.float64]]
    holes: int
    source: Source


def read_table(path: Path, *, loss: str | None = None) -> Table:
    """Read a log.

    Args:
        path: a file or a folder that another tool wrote.
        loss: the name of the column of training losses, or of the run, where several could be meant.

    Raises:
        DataError: it cannot be read, has no losses, or has several runs.
    """
    log, text = _read(Path(path))
    names = _taken(path, log, text, loss)
    main = "loss" if "loss" in names else "accuracy"
    if not any(len(log.columns[name].values) for name in names[main]):
        raise DataError("diagnosis.csv_empty", path=path)
    columns = {ours: _summed([log.columns[name] for name in theirs]) for ours, theirs in names.items()}
    keys_S, values_S = columns[main].keys, columns[main].values
    order_S = _order(keys_S, columns.get("step"), log.columns.get("epoch"), by_step=log.by_step)
    keys_S = keys_S[order_S]
    found = {main: values_S[order_S]}
    for ours, column in columns.items():
        if ours in _SPARSE:
            found[ours] = column.values[_order(column.keys, columns.get("step"), None, by_step=log.by_step)]
        elif ours != main:
            found[ours] = _beside(column, keys_S, held=ours == "lr")
    if log.by_step:
        found["step"] = keys_S
    for name in ("accuracy", "valid_accuracy"):
        if name in found and len(found[name]) and np.nanmax(found[name], initial=0.0) > 1:
            found[name] = found[name] / 100  # percent
    valid = [columns[name].keys for name in _SPARSE if name in columns]
    holes = 0 if log.by_step else _holes(log, names[main], np.concatenate(valid) if valid else np.array([]))
    names = {ours: names[ours] for ours in _SHOWN if ours in names}
    unused = len(log.columns) - sum(map(len, names.values()))
    return Table(found, holes, Source(log.kind, names, unused, log.notes))


def _read(path: Path) -> tuple[Log, str]:
    """The log, and its text, if it is one."""
    try:
        if path.is_dir():
            log = read_folder(path)
            file = known_file(path)
            if log is not None and (file is None or _has_main(log)):
                return log, ""
            if file is None:
                raise DataError(
                    "diagnosis.log_unknown", path=path, found=t("diagnosis.log_found_folder"), formats=_formats()
                )
            path = file
        with path.open("rb") as opened:
            head = opened.read(32)
        if is_events(head):
            return read_event_files([path], path.parent), ""
        if other := next((name for magic, name in _OTHERS if head.startswith(magic)), None):
            raise DataError(
                "diagnosis.log_unknown", path=path, found=t(f"diagnosis.log_found_{other}"), formats=_formats()
            )
        text = text_of(path.read_bytes())
    except OSError as error:
        raise DataError("diagnosis.csv_unreadable", path=path, reason=error.strerror or error) from error
    if text is None:
        named = "events" if "tfevents" in path.name else "bytes"
        raise DataError("diagnosis.log_unknown", path=path, found=t(f"diagnosis.log_found_{named}"), formats=_formats())
    if not text.strip():
        raise DataError("diagnosis.log_blank", path=path, formats=_formats())
    return _of_text(path, text), text


def _of_text(path: Path, text: str) -> Log:
    for log in (read_objects(text), read_metric(text, path.name)):
        if log is not None and log.columns:
            return log
    table = table_of(text, path.stem)
    if _has_main(table):
        return table
    lines = read_lines(text)
    return lines if _has_main(lines) else table


def _has_main(log: Log) -> bool:
    return any(set(JUDGED) & set(chosen(_counts(log, run))) for run in _runs(log))


def _runs(log: Log) -> list[str]:
    """The runs of a log: what stands before ` - ` in its names, and the empty name for the rest."""
    return list(dict.fromkeys(name.rpartition(BETWEEN)[0] for name in log.columns))


def _counts(log: Log, run: str) -> dict[str, int]:
    """The columns of a run, and those of none, by the names that they have in it, with their numbers of values."""
    counts = {name: len(column.values) for name, column in log.columns.items() if BETWEEN not in name}
    start = f"{run}{BETWEEN}"
    return counts | {
        name.rpartition(BETWEEN)[2]: len(column.values)
        for name, column in log.columns.items()
        if run and name.startswith(start) and BETWEEN not in name[len(start) :]
    }


def _taken(path: Path, log: Log, text: str, loss: str | None) -> dict[str, tuple[str, ...]]:
    """The columns to take: our name to those of the log."""
    runs = {run: names for run in _runs(log) if set(JUDGED) & set(names := chosen(_counts(log, run)))}
    if loss is not None:
        return _told(path, log, loss, runs)
    if not runs:
        found = list(log.columns)
        if log.kind not in {"json", "json_lines"}:
            found = header_of(text) or found
            if any((meaning := meaning_of(name)) is not None and meaning.ours in JUDGED for name in found):
                raise DataError("diagnosis.csv_empty", path=path)
        raise DataError("diagnosis.csv_no_loss", path=path, found=_listed(found) or "-", formats=_formats())
    run = "" if "" in runs else next(iter(runs))
    if len(runs) > 1 and run:
        names = [f"{one}{BETWEEN}{(chose.get('loss') or chose['accuracy'])[0]}" for one, chose in runs.items()]
        shown = [name if name in log.columns else name.rpartition(BETWEEN)[2] for name in names]
        raise DataError("diagnosis.log_several", path=path, count=len(runs), found=_listed(shown), example=shown[0])
    return _full(log, run, runs[run])


def _told(
    path: Path, log: Log, loss: str, runs: Mapping[str, dict[str, tuple[str, ...]]]
) -> dict[str, tuple[str, ...]]:
    """The columns, where the user names that of the losses, or the run."""
    if loss in runs:
        return _full(log, loss, runs[loss])
    same = [name for name in log.columns if name == loss] or [
        name for name in log.columns if words_of(name) == words_of(loss)
    ]
    if len(same) != 1:
        raise DataError("diagnosis.log_no_column", path=path, loss=loss, found=_listed(list(log.columns)) or "-")
    run = same[0].rpartition(BETWEEN)[0]
    names = _full(log, run, chosen(_counts(log, run)))
    return {"loss": (same[0],)} | {
        ours: theirs for ours, theirs in names.items() if ours != "loss" and same[0] not in theirs
    }


def _full(log: Log, run: str, names: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Names as the log has them, the run's in front."""

    def full(name: str) -> str:
        return whole if run and (whole := f"{run}{BETWEEN}{name}") in log.columns else name

    return {ours: tuple(map(full, theirs)) for ours, theirs in names.items()}


def _formats() -> str:
    return t("diagnosis.log_formats")


def _listed(names: list[str]) -> str:
    more = len(names) - _LISTED
    return joined([*names[:_LISTED], *([t("diagnosis.more_items", count=more)] if more > 0 else [])])


def _summed(columns: list[Column]) -> Column:
    """The sum of parts, where all of them have a value."""
    first = columns[0]
    if len(columns) == 1:
        return first
    keys = np.array(sorted(set.intersection(*(set(column.keys.tolist()) for column in columns))))
    at = [dict(zip(column.keys.tolist(), column.values.tolist(), strict=True)) for column in columns]
    return Column(keys, np.array([sum(values[key] for values in at) for key in keys.tolist()]))


def _order(keys: NDArray[np.float64], step: Column | None, epoch: Column | None, *, by_step: bool) -> NDArray[np.intp]:
    """The order of the steps; that of the file where steps begin again, as they do in each epoch of some logs."""
    if by_step or step is None:
        return np.argsort(keys, kind="stable")
    steps = _at(step, keys)
    epochs = _at(epoch, keys) if epoch is not None else np.zeros(len(keys))
    if np.isnan(steps).any():
        return np.argsort(keys, kind="stable")
    falls = np.flatnonzero(np.diff(steps) < 0) + 1
    if len(falls) and steps[0] == steps.min() and (steps[falls] == steps.min()).all():
        return np.arange(len(keys))
    return np.lexsort((steps, np.zeros(len(keys)) if np.isnan(epochs).any() else epochs))


def _beside(column: Column, keys: NDArray[np.float64], *, held: bool = False) -> NDArray[np.float64]:
    """The values of a column at these keys; NaN where it has none.

    A column that has no value at any of them keeps its own rows. A learning rate holds until the next is written.
    """
    found = _at(column, keys, held=held)
    if np.isnan(found).all() and len(column.keys):
        return column.values[np.argsort(column.keys, kind="stable")]
    return found


def _at(column: Column, keys: NDArray[np.float64], *, held: bool = False) -> NDArray[np.float64]:
    """The values at these keys, one each; NaN where there is none."""
    if not len(column.keys):
        return np.full(len(keys), np.nan)
    order = np.argsort(column.keys, kind="stable")
    known, values = column.keys[order], column.values[order]
    at = np.searchsorted(known, keys, side="right") - 1
    hit = (at >= 0) & ((known[np.maximum(at, 0)] == keys) | held)
    return np.where(hit, values[np.maximum(at, 0)], np.nan)


def _holes(log: Log, main: tuple[str, ...], valid: NDArray[np.float64]) -> int:
    """Rows like those with a loss, but without one; a row of other things, such as validation, is none."""
    with_loss = log.columns[main[0]].keys
    beside = {
        name: column.keys
        for name, column in log.columns.items()
        if np.isin(column.keys, with_loss).any() or not len(with_loss)
    }
    other = [column.keys for name, column in log.columns.items() if name not in beside]
    rows = np.unique(np.concatenate(list(beside.values())))
    gone = np.concatenate([with_loss, valid, *other])
    return int((~np.isin(rows, gone)).sum())
