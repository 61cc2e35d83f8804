"""Pillow's bicubic filter over RGB pixels, compiled: the same bytes in a quarter of the time.

Pillow weighs the pixels of each row, then those of each column, in integers, and rounds to bytes in between. Its loops
take pixel after pixel. Here a pass first turns a block of lines, so that neighbors in memory share their weights and
the processor takes 16 of them at a time. `bicubic` leaves to Pillow what the compiled filter was not found equal on.

Source: Keys, Cubic convolution interpolation for digital image processing, IEEE Transactions on Acoustics, Speech, and
Signal Processing 29 (1981), with a = −1/2 and stretched over the pixels of the source, as Pillow has it.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from threading import local
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from PIL import Image

from thalweg._native import Part, get_kernel
from thalweg.data.borrowing import borrow


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

GAP: Final = 3.0  # Pillow's `reducing_gap`: a box filter by whole numbers leaves three times the size, bicubic the rest
WORTH: Final = 5_000  # photos from which on compiling pays: two seconds, once, for 0.1 to 0.5 ms a photo

Box = tuple[float, float, float, float]

_BLOCK = 64  # lines that are turned together: with their sums they fit into the first cache
_MOST_KEPT = 8 << 20  # bytes of an array
# Pictures on which the filter is held against Pillow: width, height, size. The rule of the order changes between the
# last three: their heights shrink by 21, 20 and 19 pixels, their widths by 10.
_TRIED: Final = ((37, 23, 9), (23, 37, 9), (5, 3, 11), (3, 40, 7), (19, 30, 9), (19, 29, 9), (19, 28, 9))


def bicubic(image: Image.Image, size: int, box: Box) -> NDArray[np.uint8]:
    """Reduce or enlarge a part of a picture to `size` × `size` pixels, as `Image.resize(…, reducing_gap=3.0)` does.

    Args:
        image: RGB or gray, loaded.
        size: width and height of the result, in pixels.
        box: left, top, right and bottom of the part, in pixels; halves are allowed.

    Returns:
        RGB, of shape (size, size, 3).

    Example:
        >>> bicubic(Image.new("RGB", (6, 4), (9, 8, 7)), 2, (0.0, 0.0, 6.0, 4.0)).tolist()[0]
        [[9, 8, 7], [9, 8, 7]]
    """
    if _loaded and image.mode == "RGB" and _is_for_the_loops(image.size, size, box):
        return _loaded[0](image, size, box)
    resized = image.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=GAP)
    return np.asarray(resized.convert("RGB"))


def _is_for_the_loops(sides: tuple[int, int], size: int, box: Box) -> bool:
    width, height = box[2] - box[0], box[3] - box[1]
    no_box_filter = max(width, height) < 2 * GAP * size  # beyond, it comes first
    return no_box_filter and sides[0] * sides[1] <= 2 * width * height  # they also take what lies beside the part


_loaded: list[Resampler] = []  # none or one


@cache
def load() -> None:
    """Compile the filter, or find it on disk; from now on `bicubic` uses it, unless it differs from this Pillow's."""
    for order in _ORDERS:
        resampler = Resampler(order)
        if resampler.is_pillows():
            _loaded.append(resampler)
            return


def _tall_last(_width: int, _height: int, _size: int) -> bool:
    """Rows before columns, always: Pillow 12 and before."""
    return False


def _tall_first(width: int, height: int, size: int) -> bool:
    """Columns first, if they lose more than twice as many pixels as rows do: Pillow 13."""
    return height > size and height - size > 2 * (width - size)


_ORDERS = (_tall_last, _tall_first)


class Resampler:
    """The compiled filter.

    Args:
        columns_first: whether a picture of this width and height is weighed down its columns first; it changes the
            rounding.
    """

    def __init__(self, columns_first: Callable[[int, int, int], bool] = _tall_first) -> None:
        self._columns_first = columns_first
        self._kept = _Kept()
        source = Path(__file__).read_text(encoding="utf-8")
        self._pass = get_kernel(Part("weigh_lines", "iiiiiiddlplllblb", source, lambda: weigh_lines))

    def __call__(self, image: Image.Image, size: int, box: Box) -> NDArray[np.uint8]:
        """As `bicubic`, without reducing by whole numbers first."""
        if self._columns_first(*image.size, size):
            left, top, right, bottom = box
            turned_HWC = self._rows_first(image.transpose(Image.Transpose.TRANSPOSE), size, (top, left, bottom, right))
            return np.ascontiguousarray(turned_HWC.swapaxes(0, 1))
        return self._rows_first(image, size, box)

    def is_pillows(self) -> bool:
        """Whether a few small pictures come out as from Pillow, of which another version may round in another way."""
        random = np.random.default_rng(0)
        for width, height, size in _TRIED:
            image = Image.fromarray(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
            box = (0.5, 0.0, width - 0.5, float(height))
            pillows = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box))
            if not np.array_equal(self(image, size, box), pillows):
                return False
        return True

    def _rows_first(self, image: Image.Image, size: int, box: Box) -> NDArray[np.uint8]:
        width, height = image.size
        turned = self._kept.memory("turned", 4 * size * height, np.uint8)
        image_HWC = np.empty((size, size, 3), np.uint8)
        across, down = (box[0], box[2]), (box[1], box[3])
        self._weigh(borrow(image), turned.address, lines=height, length=width, size=size, span=across, channels=4)
        self._weigh(turned.address, image_HWC, lines=size, length=height, size=size, span=down, channels=3)
        return image_HWC

    def _weigh(
        self,
        pixels: NDArray[np.uint8] | int,
        out: NDArray[np.uint8] | int,
        *,
        lines: int,
        length: int,
        size: int,
        span: tuple[float, float],
        channels: int,
    ) -> None:
        """Weigh `length` pixels of each line into `size`, and turn them: `out` has a row for each of these."""
        scale = (span[1] - span[0]) / size
        room = 2 * math.ceil(2 * max(scale, 1.0)) + 2
        kept = (
            self._kept.memory("values", room, np.float64),
            self._kept.memory("firsts", size, np.int32),
            self._kept.memory("weights", size * room, np.int32),
            block := self._kept.memory("block", (length + room + 1) * _BLOCK, np.int32),
            block,  # as bytes
            self._kept.memory("sums", 4 * _BLOCK, np.int32),
        )
        blocks = math.ceil(lines / _BLOCK)
        scratch = (memory.address for memory in kept)
        self._pass(lines, length, size, room, blocks, channels, span[0], scale, pixels, *scratch, out)


class _Memory(NamedTuple):
    """An array, and where it begins: NumPy takes longer to say that than a kernel to start."""

    array: NDArray[Any]
    address: int


_NONE: Final = _Memory(np.empty(0, np.uint8), 0)


class _Kept(local):
    """Arrays of one thread that are used for photo after photo: fresh memory is cleared page by page, each time."""

    def __init__(self) -> None:
        self._memories: dict[str, _Memory] = {}

    def memory(self, name: str, count: int, kind: type[np.generic]) -> _Memory:
        """An array of `count` numbers at least, with what was in it."""
        found = self._memories.get(name, _NONE)
        if len(found.array) < count:
            array = np.empty(count, kind)
            found = _Memory(array, array.ctypes.data)
            if array.nbytes <= _MOST_KEPT:
                self._memories[name] = found
        return found


def weigh_lines(  # noqa: C901, PLR0912, PLR0917 - compiled code takes no keywords and calls no Python
    lines: Any, length: Any, size: Any, room: Any, blocks: Any, channels: Any, low: Any, scale: Any,
    pixels: Any, values: Any, firsts: Any, weights: Any, turned: Any, turned_bytes: Any, sums: Any, out: Any,
) -> None:  # fmt: skip
    """The loop of one pass, as Numba compiles it: plain arithmetic on flat memory.

    `pixels` has `lines` lines of `length` pixels, of four bytes each; `out` has `size` rows of `lines` pixels, of
    `channels` bytes. Weights have 22 bits behind the point. There is `room` for those of each pixel of the result, of
    which the loops take as many as the widest needs, an even number: those beyond a filter are 0. `firsts` has the
    first pixel that each weighs. `turned_bytes` are those of `turned`; its last row is for a line of the result.
    """
    wide = max(scale, 1.0)
    taps = 0
    for place in range(size):
        center = low + (place + 0.5) * scale
        taps = max(taps, min(int(center + 2.0 * wide + 0.5), length) - int(max(center - 2.0 * wide + 0.5, 0.0)))
    taps += taps & 1
    for place in range(size):
        center = low + (place + 0.5) * scale
        first = int(max(center - 2.0 * wide + 0.5, 0.0))
        count = min(int(center + 2.0 * wide + 0.5), length) - first
        total = 0.0
        for j in range(count):
            x = abs((j + first - center + 0.5) * (1.0 / wide))
            values[j] = 0.0
            if x < 1.0:
                values[j] = (1.5 * x - 2.5) * x * x + 1.0
            elif x < 2.0:
                values[j] = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
            total += values[j]
        firsts[place] = max(min(first, length - taps), 0)
        at = place * room
        for j in range(taps):
            weights[at + j] = 0
        at += first - firsts[place]
        for j in range(count):
            weight = values[j] / total * 4194304.0
            weights[at + j] = int(weight + 0.5) if weight >= 0.0 else int(weight - 0.5)
    for number in range(blocks):
        top = 64 * number
        count = min(64, lines - top)
        for x in range(length):
            for line in range(count):
                turned[64 * x + line] = pixels[(top + line) * length + x]
        for place in range(size):
            for k in range(4 * count):
                sums[k] = 2097152  # rounds
            at, weight = 256 * firsts[place], place * room
            for _ in range(taps >> 2):
                a, b, c, d = weights[weight], weights[weight + 1], weights[weight + 2], weights[weight + 3]
                for k in range(at, at + 4 * count):
                    sums[k - at] += (
                        a * turned_bytes[k] + b * turned_bytes[k + 256]
                        + c * turned_bytes[k + 512] + d * turned_bytes[k + 768]
                    )  # fmt: skip
                at, weight = at + 1024, weight + 4
            if taps & 2:
                a, b = weights[weight], weights[weight + 1]
                for k in range(at, at + 4 * count):
                    sums[k - at] += a * turned_bytes[k] + b * turned_bytes[k + 256]
            at = channels * (place * lines + top)
            if channels == 4:
                for k in range(4 * count):
                    out[at + k] = min(max(sums[k] >> 22, 0), 255)
            else:
                line = 256 * (length + room)
                for k in range(4 * count):  # 16 at a time; then every fourth byte is left out
                    turned_bytes[line + k] = min(max(sums[k] >> 22, 0), 255)
                for k in range(count):
                    out[at + 3 * k] = turned_bytes[line + 4 * k]
                    out[at + 3 * k + 1] = turned_bytes[line + 4 * k + 1]
                    out[at + 3 * k + 2] = turned_bytes[line + 4 * k + 2]
