"""What somebody decided about the labels of a reviewed run: a table of corrections that grows in its folder."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from thalweg.data.corrections import Correction, read_corrections, write_corrections
from thalweg.errors import RunError, StorageError, UnknownNameError
from thalweg.runs import files


if TYPE_CHECKING:
    from pathlib import Path

    from thalweg.runs.run import Run

_writing = threading.Lock()


def decisions_in(folder: Path, run: Run) -> dict[str, Correction]:
    """The decisions so far, by path.

    They begin with the corrections that the run was trained with, so that the table is whole.

    Args:
        folder: the run, or the folder of its folds.
        run: the run, or the first fold.

    Raises:
        DataError: a table is damaged.
        StorageError: a table cannot be read.
    """
    table = folder / files.CORRECTIONS
    return _rows(table) if table.is_file() else _rows(run.path / files.APPLIED)


def _rows(table: Path) -> dict[str, Correction]:
    if not table.is_file():
        return {}
    try:
        content = table.read_bytes()
    except OSError as error:
        raise StorageError("errors.cannot_read", path=table, reason=error.strerror or error) from error
    return {row.path: row for row in read_corrections(content, table)}


def decide(folder: Path, run: Run, path: str, label: str | None, *, forget: bool = False) -> dict[str, Correction]:
    """Record a decision about a photo, at once and atomically.

    Args:
        folder: the run, or the folder of its folds.
        run: the run, or the first fold.
        path: of a photo of the run.
        label: its right label; None: it is of no class.
        forget: take back what was decided.

    Returns:
        All decisions.

    Raises:
        RunError: the run has no such photo.
        UnknownNameError: the run has no such class.
        StorageError: the table cannot be written.
    """
    if label is not None and label not in run.classes:
        raise UnknownNameError("class", label[:80], run.classes)
    now = run.read_labels()
    if path not in now:
        raise RunError("runs.no_photo", run=run.path, photo=path)
    with _writing:
        rows = decisions_in(folder, run)
        known = _rows(run.path / files.APPLIED) | rows
        given = known[path].given if path in known else now[path]  # None: a table by hand that does not say it
        rows.pop(path, None)
        if not forget:
            decision = "drop" if label is None else "keep" if label == given else "relabel"
            rows[path] = Correction(path, given, decision, label)
        write_corrections(rows.values(), folder / files.CORRECTIONS)
    return rows
