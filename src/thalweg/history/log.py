"""The file of a history: a line of JSON that names the columns, then rows of float64.

All rows have the same width, so a reader needs no index and recognizes a torn last row by its length. A resumed run
cuts off the rows after its checkpoint.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from thalweg._files import hold
from thalweg.errors import RunError, StorageError
from thalweg.history.columns import History


if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from numpy.typing import ArrayLike

_MAGIC = "thalweg-history-1"
_LONGEST_HEADER = 1 << 24  # bytes; that of a network with 200 layers has 30,000: only bounds files that are no history


class HistoryLog:
    """Append rows to a new or existing file.

    Args:
        path: the file; created if it does not exist.
        units: column name to unit, as for `History`; must agree with an existing file. A file of an
            older version may lack the last columns, which are then not written.

    Raises:
        RunError: the file is not a history or has other columns.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "steps"
        >>> with HistoryLog(path, {"step": "", "loss": "nat"}) as log:
        ...     log.extend([[1, 2.5], [2, 2.25]])
        >>> HistoryLog.read(path)["loss"].tolist()
        [2.5, 2.25]
    """

    def __init__(self, path: Path | str, units: Mapping[str, str]) -> None:
        path = self.path = Path(path)
        self._columns = len(units)
        self._kept = len(units)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size:
                found, self._start = read_header(path)
                if not found or list(found.items()) != list(units.items())[: len(found)]:
                    raise RunError("history.other_columns", path=path, found=list(found), expected=list(units))
                self._kept = len(found)
                self._file = path.open("r+b")
                self._cut(len(self))
            else:
                header = json.dumps({"format": _MAGIC, "units": dict(units)}) + "\n"
                self._start = len(header.encode())
                self._file = path.open("w+b")
                self._file.write(header.encode())
                self._file.flush()
        except OSError as error:
            raise StorageError("errors.cannot_write", path=path, reason=error.strerror or error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return (os.path.getsize(self.path) - self._start) // (8 * self._kept)  # noqa: PTH202 - one call, often

    def extend(self, rows_NC: ArrayLike) -> None:
        """Append rows of shape (rows, columns); on return, the operating system has them."""
        rows_NC = np.asarray(rows_NC, dtype="<f8").reshape(-1, self._columns)[:, : self._kept]
        try:
            self._file.write(rows_NC.tobytes())
            self._file.flush()
        except OSError as error:
            raise StorageError("errors.cannot_write", path=self.path, reason=error.strerror or error) from error

    def hold(self) -> bool:
        """Lock the file against other writers until it is closed; False if another process holds the lock."""
        return hold(self._file)

    def cut_after(self, step: float) -> None:
        """Drop every row after `step`, so that a resumed run continues from its checkpoint."""
        steps = HistoryLog.read(self.path)["step"]
        self._cut(int(np.searchsorted(steps, step, side="right")))

    def close(self) -> None:
        """Close the file.

        Raises:
            StorageError: the last rows cannot be written.
        """
        try:
            self._file.close()
        except OSError as error:
            raise StorageError("errors.cannot_write", path=self.path, reason=error.strerror or error) from error

    @staticmethod
    def read(path: Path | str) -> History:
        """Read a file, even while another process writes it; a torn last row is left out.

        Raises:
            RunError: the file does not exist or is not a history.
        """
        units, start = read_header(Path(path))
        history = History(units)
        values = np.fromfile(path, dtype="<f8", offset=start)
        history.extend(values[: len(values) // len(units) * len(units)])
        return history

    def _cut(self, rows: int) -> None:
        self._file.truncate(self._start + rows * 8 * self._kept)
        self._file.seek(0, os.SEEK_END)


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """The units by column name, and the byte at which the rows begin.

    Raises:
        RunError: the file cannot be read or is not a history.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
    except OSError as error:
        raise RunError("history.unreadable", path=path, reason=error.strerror or error) from error
    try:
        header = json.loads(line)
        found, units = header["format"], header["units"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError("history.not_a_history", path=path) from error
    named = isinstance(units, dict) and all(isinstance(unit, str) for unit in units.values())
    if found != _MAGIC or not named or next(iter(units), None) != "step":
        raise RunError("history.not_a_history", path=path)
    return units, len(line)
