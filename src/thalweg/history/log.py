"""The file of a history: a line of JSON that names the columns, then rows of float64.

All rows have the same width, so a reader needs no index and recognizes a torn last row by its length. A resumed run
cuts off the rows after its checkpoint. A long history has coarser ones beside it, for charts (see `overview`): they
follow from its rows, so what a kill took of them is made again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from thalweg._files import hold, replacing
from thalweg.errors import RunError, StorageError
from thalweg.history.columns import History
from thalweg.history.header import header_of, read_header
from thalweg.history.overview import BLOCK, MOST, coarser, extremes, size_of_block
from thalweg.history.tail import HistoryTail


if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from numpy.typing import ArrayLike

_BLOCKS = 1024  # are read at once, so that a long history that lacks its coarser file needs little memory


class HistoryLog:
    """Append rows to a new or existing file.

    Args:
        path: the file; created if it does not exist.
        units: column name to unit, as for `History`; must agree with an existing file. A file of an
            older version may lack the last columns, which are then not written.
        per: of a coarser file, the rows of the history that a pair of its rows stands for.

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

    def __init__(self, path: Path | str, units: Mapping[str, str], *, per: int = 1) -> None:
        path = self.path = Path(path)
        self._columns = len(units)
        self._kept = len(units)
        self._units = dict(units)
        self._per = per
        self._coarser: HistoryLog | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.stat().st_size:
                found, self._start = read_header(path)
                if not found or list(found.items()) != list(units.items())[: len(found)]:
                    raise RunError("history.other_columns", path=path, found=list(found), expected=list(units))
                self._kept = len(found)
                self._file = path.open("r+b")
                self._units = found
                self._cut(len(self))
            else:
                header = header_of(units)
                self._start = len(header)
                self._file = path.open("w+b")
                self._file.write(header)
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
        self._keep_coarser()

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
        if self._coarser is not None:
            self._coarser.close()
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

    @staticmethod
    def write(path: Path | str, history: History) -> None:
        """Write a whole history at once, in place of what the file was; its coarser files, if any, are removed.

        Raises:
            StorageError: the file cannot be written.
        """
        path = Path(path)
        with replacing(path) as part:
            part.write_bytes(header_of(history.units) + np.asarray(history.rows_NC, dtype="<f8").tobytes())
        per = 1
        while coarser(path, per).exists():
            coarser(path, per).unlink(missing_ok=True)
            per *= BLOCK

    def _cut(self, rows: int) -> None:
        self._file.truncate(self._start + rows * 8 * self._kept)
        self._file.seek(0, os.SEEK_END)
        self._keep_coarser()

    def _keep_coarser(self) -> None:
        """Let the coarser file have a pair of rows for each full block of this one, if this one is long."""
        rows, block = len(self), size_of_block(self._per)
        if rows <= MOST and self._coarser is None and not coarser(self.path, self._per).exists():
            return
        if self._coarser is None:
            self._coarser = self._open_coarser(rows // block)
        blocks = len(self._coarser) // 2
        if 2 * min(blocks, rows // block) != len(self._coarser):
            self._coarser._cut(2 * min(blocks, rows // block))  # noqa: SLF001 - of its own kind
        tail = HistoryTail(self.path)
        for first in range(blocks, rows // block, _BLOCKS):
            count = min(_BLOCKS, rows // block - first)
            self._coarser.extend(extremes(tail.rows(first * block, count * block), block))

    def _open_coarser(self, blocks: int) -> HistoryLog:
        """Open the coarser file; where it does not follow from this one, it is made anew."""
        path, per = coarser(self.path, self._per), self._per * BLOCK
        try:
            found = HistoryLog(path, self._units, per=per)
        except RunError:
            path.unlink()
            return HistoryLog(path, self._units, per=per)
        known, block = min(len(found) // 2, blocks), size_of_block(self._per)
        if known:
            own_NC = HistoryTail(self.path).rows((known - 1) * block, block)
            pair_2C = HistoryTail(path).rows(2 * known - 2, 2)
            if not np.array_equal(pair_2C, extremes(own_NC, block), equal_nan=True):
                found._cut(0)  # an older version went on with this file, and not with that
        return found
