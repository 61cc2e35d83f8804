"""The end of a history file in use: only new rows are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import RunError
from thalweg.history.header import read_header


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class HistoryTail:
    """Read the rows of a history file from any row on, without the earlier ones.

    Args:
        path: the file; it need not exist yet.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg.history import HistoryLog
        >>> path = Path(tempfile.mkdtemp()) / "steps"
        >>> tail = HistoryTail(path)
        >>> len(tail)
        0
        >>> with HistoryLog(path, {"step": "", "loss": "nat"}) as log:
        ...     log.extend([[1, 2.5], [2, 2.25]])
        >>> len(tail), tail.rows(1).tolist()
        (2, [[2.0, 2.25]])
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._units: dict[str, str] = {}
        self._start = 0

    @property
    def columns(self) -> list[str]:
        """Names of the columns; empty while there is no file."""
        self._open()
        return list(self._units)

    def __len__(self) -> int:
        """Number of complete rows at present."""
        if not self._open():
            return 0
        try:
            return max(0, self.path.stat().st_size - self._start) // (8 * len(self._units))
        except OSError:
            return 0

    def rows(self, first: int, most: int | None = None) -> NDArray[np.float64]:
        """Rows from `first` on, at most `most`, of shape (rows, columns); a torn last row is left out."""
        count = max(0, len(self) - first)
        count = count if most is None else min(count, most)
        width = len(self._units)
        if not count:
            return np.empty((0, width))
        try:
            values = np.fromfile(self.path, "<f8", count * width, offset=self._start + 8 * width * first)
        except OSError:
            return np.empty((0, width))
        return values[: len(values) // width * width].reshape(-1, width)

    def last(self) -> dict[str, float] | None:
        """The last row; None if there is none."""
        rows_NC = self.rows(max(0, len(self) - 1))
        return dict(zip(self._units, rows_NC[-1].tolist(), strict=True)) if len(rows_NC) else None

    def _open(self) -> bool:
        """Whether the header has been read; the file may still be missing or empty."""
        if not self._units:
            try:
                self._units, self._start = read_header(self.path)
            except RunError:
                return False
        return True
