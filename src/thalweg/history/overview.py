"""A long history at the detail that a chart can show: pairs of rows in place of blocks of rows.

A history of more than `MOST` rows has a coarser file beside it: for each block of `BLOCK` rows two rows, the lowest and
the highest value of every column. Where that file is longer than `MOST`, there is a coarser one beside it again, whose
pairs stand for `BLOCK` times as many rows. The file with the fewest pairs is what a chart of the whole shows.

Shape suffixes: N rows, C columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from thalweg.history.tail import HistoryTail


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

BLOCK: Final = 16  # rows of which a coarser file keeps two
MOST: Final = 1 << 15  # rows that are drawn one by one: more than a chart has pixels, few enough for a page
_CHUNK: Final = 1 << 14  # rows that are read at once


def extremes(rows_NC: NDArray[np.float64], block: int) -> NDArray[np.float64]:
    """The lowest and the highest value of each column in each block of rows; NaN counts only where all are.

    Args:
        rows_NC: whole blocks of rows; of the first column, which never decreases, the first and the last are taken.
        block: rows of a block.

    Returns:
        Two rows for each block, (2N / block, C).

    Example:
        >>> extremes(np.array([[1.0, 5], [2, 3], [3, np.nan], [4, 9]]), 2).tolist()
        [[1.0, 3.0], [2.0, 5.0], [3.0, 9.0], [4.0, 9.0]]
    """
    blocks_NBC = rows_NC.reshape(-1, block, rows_NC.shape[1])
    pairs_N2C = np.stack([np.fmin.reduce(blocks_NBC, axis=1), np.fmax.reduce(blocks_NBC, axis=1)], axis=1)
    return pairs_N2C.reshape(-1, rows_NC.shape[1])


def size_of_block(per: int) -> int:
    """Rows of a file whose rows are pairs of `per` rows each that become one pair of the next; `per` 1: single rows."""
    return BLOCK if per == 1 else 2 * BLOCK


def coarser(path: Path, per: int) -> Path:
    """The file whose pairs stand for `BLOCK` times as many rows as the rows or pairs of this one."""
    return path.with_suffix(f".{per * BLOCK}")


class Cut(NamedTuple):
    """Rows of a history for a chart.

    Attributes:
        per: rows of the history that a pair of rows stands for; 1: the rows are the history's own.
        first: number of rows of the chart before these.
        rows_NC: the rows.
        settled: rows of the chart that will not change when the history grows.
    """

    per: int
    first: int
    rows_NC: NDArray[np.float64]
    settled: int


class Overview:
    """Read a history at the detail that a chart can show, also while it grows and where coarser files are missing.

    Args:
        tail: the history's file.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg.history import HistoryLog
        >>> from thalweg.history.tail import HistoryTail
        >>> path = Path(tempfile.mkdtemp()) / "steps"
        >>> with HistoryLog(path, {"step": "", "loss": "nat"}) as log:
        ...     log.extend([[step, 1 / step] for step in range(1, 100_001)])
        >>> whole = Overview(HistoryTail(path)).whole()
        >>> whole.per, len(whole.rows_NC), whole.rows_NC[:2].tolist()
        (16, 12500, [[1.0, 0.0625], [16.0, 1.0]])
    """

    def __init__(self, tail: HistoryTail) -> None:
        self.tail = tail

    def whole(self, known: int = 0, per: int = 1, count: int | None = None) -> Cut:
        """The whole history in at most `MOST` rows, and a pair more for a block that is not full yet.

        Args:
            known: rows that are known already.
            per: their `Cut.per`; if it is no longer right, all rows are new.
            count: rows of the history to look at; None: all that there are.
        """
        count = len(self.tail) if count is None else count
        level = _per_of(count)
        first = known if per == level else 0
        if level == 1:
            return Cut(1, first, self.tail.rows(first, max(0, count - first)), count)
        blocks = count // level
        known_blocks = min(first // 2, blocks)
        return Cut(level, 2 * known_blocks, self._blocks(level, known_blocks, count), 2 * blocks)

    def between(self, low: float, high: float) -> Cut:
        """The rows from step `low` to step `high` and one block on either side, in about `MOST` rows at most."""
        first, last = self._row_of(low), self._row_of(high) + 1
        level = _per_of(last - first)
        start = max(0, first // level - 1)
        stop = min(len(self.tail), (last // level + 2) * level)
        if level == 1:
            return Cut(1, start, self.tail.rows(start, stop - start), stop)
        return Cut(level, 2 * start, self._blocks(level, start, stop), 2 * (stop // level))

    def _blocks(self, per: int, first: int, stop: int) -> NDArray[np.float64]:
        """The pairs of all blocks from number `first` on, up to the row `stop`, whose block may not be full."""
        full = stop // per
        pairs = list(self._full(per, first, full))
        rest_NC = self.tail.rows(full * per, stop - full * per)
        if len(rest_NC):
            pairs.append(extremes(rest_NC, len(rest_NC)))
        return np.concatenate(pairs) if pairs else np.empty((0, len(self.tail.columns)))

    def _full(self, per: int, first: int, stop: int) -> list[NDArray[np.float64]]:
        """The pairs of the full blocks `first` to `stop`: from their file, and what that lacks from the finer one."""
        if per == 1:
            return [self.tail.rows(first, stop - first)]
        kept = HistoryTail(coarser(self.tail.path, per // BLOCK))
        known = min(len(kept) // 2, stop) if kept.columns == self.tail.columns else 0
        found = [kept.rows(2 * first, 2 * (known - first))] if known > first else []
        finer = per // BLOCK
        for start in range(max(first, known), stop, _CHUNK // BLOCK):
            end = min(stop, start + _CHUNK // BLOCK)
            below_NC, block = np.concatenate(self._full(finer, start * BLOCK, end * BLOCK)), size_of_block(finer)
            whole = len(below_NC) // block * block  # not all, if a resumed run has cut the file meanwhile
            found.append(extremes(below_NC[:whole], block))
        return found

    def _row_of(self, step: float) -> int:
        """The last row whose step is at most `step`, or the first row."""
        low, high = 0, len(self.tail)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.tail.rows(middle, 1)[0, 0] <= step else (low, middle)
        return low


def _per_of(rows: int) -> int:
    """The least power of `BLOCK` that leaves at most `MOST` rows in pairs."""
    per = 1
    while (rows if per == 1 else 2 * (rows // per)) > MOST:
        per *= BLOCK
    return per
