"""Sums over the channels of a photo: the mean and the deviation of any split follow from those of its photos."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from thalweg._native import Kernel, Part, get_kernel


if TYPE_CHECKING:
    from numpy.typing import NDArray


def channel_sums(image_HWC: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Exact sum and sum of squares of each channel, of shape (2, 3).

    Args:
        image_HWC: RGB.

    Example:
        >>> channel_sums(np.full((2, 2, 3), (1, 2, 3), dtype=np.uint8)).tolist()
        [[4.0, 8.0, 12.0], [4.0, 16.0, 36.0]]
    """
    if not _loaded:
        counts_CV = np.array(Image.fromarray(image_HWC).histogram(), dtype=np.float64).reshape(3, 256)
        values_V = np.arange(256.0)
        return np.stack([counts_CV @ values_V, counts_CV @ values_V**2])
    height, width, _ = image_HWC.shape
    sums_2WC = np.empty((2, width, 3), dtype=np.int64)
    _loaded[0](height, 3 * width, np.ascontiguousarray(image_HWC), sums_2WC)
    return sums_2WC.sum(axis=1).astype(np.float64)


_loaded: list[Kernel] = []  # none or one


@cache
def load() -> None:
    """Compile the loop, or find it on disk; from now on `channel_sums` uses it."""
    source = Path(__file__).read_text(encoding="utf-8")
    _loaded.append(get_kernel(Part("sum_columns", "iibq", source, lambda: sum_columns)))


def sum_columns(rows: Any, columns: Any, numbers: Any, sums: Any) -> None:
    """Sums down each column, then sums of squares, as Numba compiles it: plain arithmetic on flat memory."""
    for k in range(2 * columns):
        sums[k] = 0
    for row in range(rows):
        at = row * columns
        for k in range(columns):
            number = numbers[at + k]
            sums[k] += number
            sums[columns + k] += number * number
