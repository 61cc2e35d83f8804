"""The one reader of what loggers get: rows of a run's three histories, merged by their step."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.history.tail import HistoryTail
from thalweg.runs import files


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYERS: Final = "layers/"  # before the names of the layers' columns
# Our columns to the names that loggers show; their panels are what stands before the stroke.
_NAMES: Final = {
    files.STEPS: {
        "step": "",  # not a value, as all rows have one
        "loss": "train/loss",
        "gradient_norm": "train/gradient_norm",
        "lr": "train/lr",
        "epoch": "",  # follows from the step; the rows of the epochs have it
        "size": "train/size",
        "mixed": "train/mixed",
    },
    files.EPOCHS: {
        "step": "",
        "epoch": "epoch/number",
        "train_loss": "epoch/train_loss",
        "train_accuracy": "epoch/train_accuracy",
        "valid_loss": "valid/loss",
        "valid_accuracy": "valid/accuracy",
        "seconds": "epoch/seconds",
        files.VALID_MAP: "valid/mean_average_precision",
        files.VALID_TOP5: "valid/top5_accuracy",
    },
}
_SELDOM: Final = frozenset({"train/size", "train/mixed"})  # are told when they change
_MOST: Final = 4096  # rows of one history that are held in memory at a time


@dataclass(frozen=True, slots=True)
class Row:
    """The numbers of one step; the side of photos and whether they are mixed only where that changes.

    Attributes:
        step: steps done, counted from 1.
        values: name to number: `train/loss`, `valid/accuracy`, `layers/conv1.update_ratio`, ...
    """

    step: int
    values: dict[str, float]


class Rows:
    """The rows of a run, read once each, while the run may still be written.

    Args:
        run: the run's folder.
        after: rows up to this step are passed over.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg.history import HistoryLog
        >>> run = Path(tempfile.mkdtemp())
        >>> with HistoryLog(run / "history" / "steps", {"step": "", "loss": "nat"}) as log:
        ...     log.extend([[1, 2.5], [2, 2.25], [3, 2.0]])
        >>> rows = Rows(run, after=1)
        >>> [row.values for row in rows.until(2)], [row.step for row in rows.until(9)]
        ([{'train/loss': 2.25}], [3])
    """

    def __init__(self, run: Path, after: float = 0) -> None:
        self._streams = [_Stream(run, name, after) for name in (files.STEPS, files.EPOCHS, files.LAYERS)]

    def until(self, last: float) -> Iterator[Row]:
        """The next rows, in the order of their steps; all are to be taken.

        Args:
            last: the last step to read.
        """
        merged = merge(*(stream.until(last) for stream in self._streams), key=itemgetter(0))
        for step, rows in groupby(merged, key=itemgetter(0)):
            yield Row(int(step), {name: value for _, values in rows for name, value in values.items()})


class _Stream:
    """One history."""

    def __init__(self, run: Path, name: str, after: float) -> None:
        self._tail = HistoryTail(run / name)
        self._names: dict[str, str] = _NAMES.get(name, {"step": ""})
        self._prefix = LAYERS if name == files.LAYERS else ""
        self._after, self._taken = after, 0
        self._before: dict[str, float] = {}

    def until(self, last: float) -> Iterator[tuple[float, dict[str, float]]]:
        names = [self._names.get(column, self._prefix + column) for column in self._tail.columns]
        while len(rows_NC := self._tail.rows(self._taken, _MOST)):
            count = int(np.searchsorted(rows_NC[:, 0], last, side="right"))
            for values in rows_NC[:count].tolist():
                self._taken += 1
                named = zip(names, values, strict=True)
                told = {name: value for name, value in named if name and self._before.get(name) != value}
                self._before |= {name: told[name] for name in _SELDOM & told.keys()}
                if values[0] > self._after:
                    yield values[0], told
            if count < len(rows_NC):
                return
