"""Crop cached photos in one compiled loop: crop, resize with antialiasing, mirror, from bytes to bytes.

Shape suffixes: N photos, H height, W width, C channels.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg._native import Kernel, Part, get_kernel
from thalweg.data.segmented import SegmentedPhotos


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.data.augmentation import Crops
    from thalweg.data.segmented import Pixels


def crop_photos(photos_NHWC: Pixels, rows_N: NDArray[np.int64], crops: Crops, size: int) -> NDArray[np.uint8]:
    """Crop, resize with antialiasing, and mirror.

    Args:
        photos_NHWC: all cached photos, square; an array is contiguous and may be a read-only memory map.
        rows_N: the photos to crop.
        crops: one for each row; its colors and erasures are ignored.
        size: side of the images in pixels.

    Returns:
        (N, size, size, 3); within one gray level of torch's `interpolate` of bytes, bilinear and antialiased.
    """
    count, stored = len(rows_N), photos_NHWC.shape[1]
    room = 2 * math.ceil(max(stored / size, 1)) + 2
    scratch = np.empty(2 * size * (room + 2) + 3 * stored, dtype=np.float32)
    images_NHWC = np.empty((count, size, size, 3), dtype=np.uint8)
    pixels, starts_N = _located(photos_NHWC, rows_N)
    starts, boxes, flips = (
        np.ascontiguousarray(values, dtype=np.int64) for values in (starts_N, crops.boxes_N4, crops.flips_N)
    )
    _kernel()(count, stored, size, room, pixels, starts, boxes, flips, scratch, images_NHWC)
    return images_NHWC


def _located(photos_NHWC: Pixels, rows_N: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """An array that has the photos, and the byte from its first at which each of them begins."""
    if isinstance(photos_NHWC, SegmentedPhotos):
        return photos_NHWC.located(rows_N)
    if not isinstance(photos_NHWC, np.ndarray):  # decoded when they are read
        photos_NHWC, rows_N = photos_NHWC[rows_N], np.arange(len(rows_N))
    return np.asarray(photos_NHWC), rows_N * (3 * photos_NHWC.shape[1] ** 2)


@cache
def _kernel() -> Kernel:
    """The compiled loop; compiling takes about a second, once on each machine."""
    source = Path(__file__).read_text(encoding="utf-8")
    return get_kernel(Part("crop_photos", "iiiibqqqfb", source, lambda: crop))


def crop(  # noqa: C901, PLR0912, PLR0917 - compiled code takes no keywords and calls no Python
    count: Any, stored: Any, size: Any, room: Any,
    images: Any, starts: Any, boxes: Any, flips: Any, scratch: Any, cropped: Any,
) -> None:  # fmt: skip
    """The loop of `crop_photos`, as Numba compiles it: plain arithmetic on flat memory (Python can run it, slowly).

    It writes `count` images of `size` × `size` pixels, cropped from photos of `stored` × `stored`, which begin at the
    bytes `starts` from where `images` points; they may lie in other memory, on either side. An output pixel is
    the mean of the pixels under it, weighted by a triangle as wide as two output pixels, but at least two input
    pixels; rows and columns are weighted separately. `scratch` holds, for each row and then each column of the image,
    the first input pixel, the number of input pixels and `room` weights; then one row of sums. Beyond its edges a
    photo is mirrored.
    """
    entry = room + 2
    sums = 2 * size * entry
    for n in range(count):
        top, left, height, width = boxes[4 * n], boxes[4 * n + 1], boxes[4 * n + 2], boxes[4 * n + 3]
        for place in range(2 * size):
            side = height if place < size else width
            scale = side / size
            reach = max(scale, 1.0)
            center = (place % size + 0.5) * scale
            first = int(max(center - reach + 0.5, 0.0))
            last = min(int(center + reach + 0.5), side)
            at = place * entry
            scratch[at] = first
            scratch[at + 1] = last - first
            total = 0.0
            for j in range(first, last):
                total += max(1.0 - abs(j + 0.5 - center) / reach, 0.0)
            for j in range(first, last):
                scratch[at + 2 + j - first] = max(1.0 - abs(j + 0.5 - center) / reach, 0.0) / total
        first = max(0, -left)  # of the columns inside the photo
        last = min(width, stored - left)
        for y in range(size):
            at = y * entry
            for k in range(3 * first, 3 * last):
                scratch[sums + k] = 0.0
            for j in range(int(scratch[at + 1])):
                row = abs(top + int(scratch[at]) + j)
                if row >= stored:
                    row = 2 * stored - 2 - row
                line = starts[n] + 3 * (row * stored + left)
                weight = scratch[at + 2 + j]
                for k in range(3 * first, 3 * last):
                    scratch[sums + k] += weight * images[line + k]
            for x in range(width):
                if x < first or x >= last:
                    column = abs(left + x)
                    if column >= stored:
                        column = 2 * stored - 2 - column
                    for k in range(3):
                        scratch[sums + 3 * x + k] = scratch[sums + 3 * (column - left) + k]
            for x in range(size):
                at = (size + x) * entry
                pixel = sums + 3 * int(scratch[at])
                red, green, blue = 0.5, 0.5, 0.5  # rounds
                for j in range(int(scratch[at + 1])):
                    weight = scratch[at + 2 + j]
                    red += weight * scratch[pixel]
                    green += weight * scratch[pixel + 1]
                    blue += weight * scratch[pixel + 2]
                    pixel += 3
                shown = size - 1 - x if flips[n] else x
                out = 3 * ((n * size + y) * size + shown)
                cropped[out] = int(red)
                cropped[out + 1] = int(green)
                cropped[out + 2] = int(blue)
