"""Photos in several files, read as one array: a memory map for each file, and the rows that are asked for.

One file is a memory map, and nothing else. Shape suffixes: N photos, H height, W width, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


class Pixels(Protocol):
    """RGB bytes of shape (photos, size, size, 3), of which rows are read as from an array; an array is one, too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Photos, height, width, 3."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes that all photos take when they are decoded."""
        ...

    def __len__(self) -> int:
        """Photos."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Rows, by a number, a slice or an array, as numpy has it."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Row after row."""
        ...

    def __array__(self, *kind: Any, **options: Any) -> NDArray[Any]:
        """All photos, in memory."""
        ...


class RowReader:
    """Rows read as from an array of shape (rows, size, size, 3), by what subclasses know of single rows.

    Args:
        rows: number of photos.
        size: width and height, in pixels.
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, rows: int, size: int) -> None:
        self.shape = (rows, size, size, 3)
        self.nbytes = rows * size * size * 3

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        if isinstance(first, int | np.integer):
            if not -len(self) <= first < len(self):
                raise IndexError(first)
            return self.read(np.array([first % len(self)]))[0][rest]
        rows_N = np.arange(len(self))[first]
        return self.read(rows_N)[(slice(None), *rest)] if rest else self.read(rows_N)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[row] for row in range(len(self)))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 - numpy's protocol
        return self[:] if dtype is None else self[:].astype(dtype)

    def read(self, rows_N: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return rows, of shape (N, size, size, 3).

        Args:
            rows_N: from 0.
        """
        raise NotImplementedError


class SegmentedPhotos(RowReader):
    """Photos whose rows lie in several arrays, one after another.

    Args:
        parts: of shape (rows, size, size, 3) each.

    Example:
        >>> first, second = np.zeros((2, 4, 4, 3), np.uint8), np.ones((3, 4, 4, 3), np.uint8)
        >>> photos = SegmentedPhotos([first, second])
        >>> photos.shape, photos[[4, 0, 2]].max(axis=(1, 2, 3)).tolist()
        ((5, 4, 4, 3), [1, 0, 1])
    """

    def __init__(self, parts: Sequence[NDArray[np.uint8]]) -> None:
        super().__init__(sum(map(len, parts)), parts[0].shape[1])
        self._parts = [np.ascontiguousarray(part) for part in parts]  # plain arrays: each row of a map would be a map
        self._ends = np.cumsum([len(part) for part in parts])
        firsts = self._ends - [len(part) for part in parts]
        addresses = np.array([part.ctypes.data for part in self._parts], dtype=np.int64)
        self._row_bytes = 3 * self.shape[1] ** 2
        self._shifts = addresses - addresses[0] - firsts * self._row_bytes

    def read(self, rows_N: NDArray[np.int64]) -> NDArray[np.uint8]:
        """As in `RowReader`."""
        found_NHWC = np.empty((len(rows_N), *self.shape[1:]), dtype=np.uint8)
        numbers_N = self._numbers(rows_N)
        for place, (number, row) in enumerate(zip(numbers_N.tolist(), rows_N.tolist(), strict=True)):
            part = self._parts[number]
            found_NHWC[place] = part[row - int(self._ends[number]) + len(part)]
        return found_NHWC

    def located(self, rows_N: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """Where rows lie in memory, for compiled loops, which then need no copy of them.

        Args:
            rows_N: from 0.

        Returns:
            An array, and the byte at which each row begins, counted from the first of that array. It may lie outside:
            the files are mapped anywhere.

        Raises:
            IndexError: there is no such row.
        """
        return self._parts[0], self._shifts[self._numbers(rows_N)] + rows_N * self._row_bytes

    def _numbers(self, rows_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """The part of each row."""
        return np.searchsorted(self._ends, rows_N, side="right")


def open_segments(paths: Sequence[Path], rows: Sequence[int], size: int) -> Pixels:
    """Map files of pixels into memory, read-only.

    Args:
        paths: one file for each segment.
        rows: photos in each.
        size: width and height, in pixels.

    Returns:
        An array for one file, else `SegmentedPhotos`.

    Raises:
        OSError: a file is missing.
        ValueError: a file has another length.
    """
    maps = [_mapped(path, count, size) for path, count in zip(paths, rows, strict=True)]
    return maps[0] if len(maps) == 1 else SegmentedPhotos(maps)


def _mapped(path: Path, rows: int, size: int) -> NDArray[np.uint8]:
    shape = rows, size, size, 3
    if path.stat().st_size != rows * size * size * 3:
        raise ValueError(path)
    return np.memmap(path, np.uint8, mode="r", shape=shape) if rows else np.empty(shape, dtype=np.uint8)
