"""Columns of float64 in memory, with their units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg._notebook import shown_as


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray


UPDATE_RATIO = ".update_ratio"  # suffix of the columns that hold how far an update moves a layer


class History:
    """Append-only columns; the first is `step` and never decreases.

    Args:
        units: column name to unit (`{"step": "", "loss": "nat", "seconds": "s"}`), in the order of the columns.

    Raises:
        ValueError: the first column is not `step`.

    Example:
        >>> history = History({"step": "", "loss": "nat"})
        >>> history.append(step=1, loss=2.5)
        >>> history.append(step=2, loss=2.25)
        >>> history["loss"].tolist()
        [2.5, 2.25]
        >>> history.since(1)["step"].tolist()
        [2.0]
    """

    def __init__(self, units: Mapping[str, str]) -> None:
        if next(iter(units), None) != "step":
            raise ValueError(f"the first column must be 'step' (got {list(units)!r})")
        self.units = dict(units)
        self._rows_NC = np.empty((64, len(units)))
        self._length = 0

    _repr_html_ = shown_as("history")

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, column: str) -> NDArray[np.float64]:
        return self.rows_NC[:, list(self.units).index(column)]

    @property
    def rows_NC(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """All rows, a view of shape (rows, columns)."""
        return self._rows_NC[: self._length]

    def append(self, **values: float) -> None:
        """Append one row; missing columns are NaN."""
        unknown = values.keys() - self.units.keys()
        if unknown:
            raise KeyError(f"no such columns: {sorted(unknown)}")
        self.extend([[values.get(name, np.nan) for name in self.units]])

    def extend(self, rows_NC: ArrayLike) -> None:
        """Append rows of shape (rows, columns)."""
        rows_NC = np.asarray(rows_NC, dtype=np.float64).reshape(-1, len(self.units))
        needed = self._length + len(rows_NC)
        if needed > len(self._rows_NC):
            grown_NC = np.empty((max(needed, 2 * len(self._rows_NC)), len(self.units)))
            grown_NC[: self._length] = self.rows_NC
            self._rows_NC = grown_NC
        self._rows_NC[self._length : needed] = rows_NC
        self._length = needed

    def since(self, step: float) -> dict[str, NDArray[np.float64]]:
        """The columns of all rows whose step is greater than `step`."""
        first = int(np.searchsorted(self["step"], step, side="right"))
        return {name: self.rows_NC[first:, column] for column, name in enumerate(self.units)}
