"""Views cut out of the cache by one compiled loop: crop, resize with antialiasing, mirror, from bytes to bytes.

Shape suffixes: N photos, H height, W width, C channels.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg._native import Kernel, Part, get_kernel


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thalweg.data.augment import Views


def cut_views(images_NHWC: NDArray[np.uint8], rows_N: NDArray[np.int64], views: Views, size: int) -> NDArray[np.uint8]:
    """Crop, resize with antialiasing, and mirror.

    Args:
        images_NHWC: all cached pictures, square and contiguous; may be a read-only map.
        rows_N: which of them.
        views: a view for each row.
        size: side of the views in pixels.

    Returns:
        (N, size, size, 3); within one gray level of torch's `interpolate` of bytes, bilinear and antialiased.
    """
    count, stored = len(rows_N), images_NHWC.shape[1]
    room = 2 * math.ceil(max(stored / size, 1)) + 2
    scratch = np.empty(2 * size * (room + 2) + 3 * stored, dtype=np.float32)
    views_NHWC = np.empty((count, size, size, 3), dtype=np.uint8)
    rows, boxes, flips = (
        np.ascontiguousarray(values, dtype=np.int64) for values in (rows_N, views.boxes_N4, views.flips_N)
    )
    kernel()(count, stored, size, room, np.asarray(images_NHWC), rows, boxes, flips, scratch, views_NHWC)
    return views_NHWC


@cache
def kernel() -> Kernel:
    """The compiled loop; compiled once a machine, in about a second."""

    def build() -> Callable[..., Any]:
        from thalweg.data.cutting_loop import cut

        return cut

    source = Path(__file__).with_name("cutting_loop.py").read_text(encoding="utf-8")
    return get_kernel(Part("cut_views", "iiiibqqqfb", source, build))
