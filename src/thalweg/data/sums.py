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
    sums_2C = np.empty((2, 3), dtype=np.float64)
    _loaded[0](height, 3 * width, np.ascontiguousarray(image_HWC), np.empty(6 * width, dtype=np.int32), sums_2C)
    return sums_2C


_loaded: list[Kernel] = []  # none or one


@cache
def load() -> None:
    """Compile the loop, or find it on disk; from now on `channel_sums` uses it."""
    source = Path(__file__).read_text(encoding="utf-8")
    _loaded.append(get_kernel(Part("sum_channels", "iiblp", source, lambda: sum_channels)))


def sum_channels(rows: Any, columns: Any, numbers: Any, scratch: Any, sums: Any) -> None:
    """Sums of three channels, then of their squares, as Numba compiles it: plain arithmetic on flat memory.

    `columns` counts bytes. `scratch` has both sums of each column over as many rows as 32 bits hold.
    """
    for k in range(6):
        sums[k] = 0.0
    for first in range(0, rows, 32768):
        for k in range(2 * columns):
            scratch[k] = 0
        for row in range(first, min(first + 32768, rows)):
            at = row * columns
            for k in range(columns):
                number = numbers[at + k]
                scratch[k] += number
                scratch[columns + k] += number * number
        for channel in range(3):
            first_sum, second_sum = 0, 0
            for k in range(channel, columns, 3):
                first_sum += scratch[k]
                second_sum += scratch[columns + k]
            sums[channel] += first_sum
            sums[3 + channel] += second_sum
