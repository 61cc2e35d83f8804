"""The loop of `cutting`, as Numba compiles it: plain arithmetic on flat memory. Python runs it, too, only slowly."""

from __future__ import annotations

from typing import Any


def cut(  # noqa: C901, PLR0912, PLR0917 - compiled code has no keywords, and what it calls it must be linked with
    count: Any, stored: Any, size: Any, room: Any,
    images: Any, rows: Any, boxes: Any, flips: Any, scratch: Any, views: Any,
) -> None:  # fmt: skip
    """Cut `count` views of `size` by `size` pixels out of pictures of `stored` by `stored`.

    An output pixel is the mean of the pixels below it, weighted by a triangle as wide as two output pixels and no
    narrower than two input pixels; columns and rows are weighted apart. `scratch` holds for each row, then for each
    column of the view: its first input pixel, how many there are, and `room` weights; then one row of sums. Beyond
    its edges a picture is its own mirror image.
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
        first = max(0, -left)  # of the columns that lie in the picture
        last = min(width, stored - left)
        for y in range(size):
            at = y * entry
            for k in range(3 * first, 3 * last):
                scratch[sums + k] = 0.0
            for j in range(int(scratch[at + 1])):
                row = abs(top + int(scratch[at]) + j)
                if row >= stored:
                    row = 2 * stored - 2 - row
                line = 3 * ((rows[n] * stored + row) * stored + left)
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
                views[out] = int(red)
                views[out + 1] = int(green)
                views[out + 2] = int(blue)
