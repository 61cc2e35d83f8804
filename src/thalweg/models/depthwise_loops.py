"""A depthwise convolution and its gradients as loops over vectors of channels.

Maps are in channels-last order, so that neighbors in memory are channels of one pixel. A vector holds as many channels
as the processor takes at once; a block is a vector of channels of all pixels. Each block is copied, with zeros around
it, into a scratch of float32 that fits into a cache near the processor. All sums of a block stay in registers, and no
other block has a part in them, so the number of threads changes no bit.

Each kernel takes the integers of `GEOMETRY`; each thread's part of the scratch has room for `scratch_size` numbers.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

from thalweg._native.vectors import VectorLoops


if TYPE_CHECKING:
    from thalweg._native.vectors import Index, Numbers

GEOMETRY = (
    "images",
    "height",  # of the input, without padding
    "width",
    "channels",
    "out_height",
    "out_width",
    "above",  # rows of padding before the input
    "left",
    "room",  # numbers of the scratch for each thread
)


def build_output(symbol: str, *, kernel: int, stride: int, kind: str, lanes: int) -> str:
    """Build the convolution: the assembly of a function of GEOMETRY, x, w, y, scratch.

    `y[n, c, h, w] = b[c] + Σ w[c, i, j] · x[n, c, s·h + i - above, s·w + j - left]` over i, j. `w` holds kernel² rows
    of all channels, and b as one more, float32.

    Args:
        symbol: its name.
        kernel: side of the kernel, in pixels.
        stride: s.
        kind: of x and y, `float32` or `bfloat16`.
        lanes: channels in a vector.
    """
    build = VectorLoops(symbol, GEOMETRY, {"x": kind, "w": "float32", "y": kind, "scratch": "float32"}, lanes=lanes)
    of = build.arguments
    rows, columns, seen = _reached(build, kernel, stride)
    plane = _Plane(build, rows, columns)
    with build.loop(plane.last, plane.first) as block:
        channel = block * lanes
        *weights, bias = (build.load(of["w"], of["channels"] * at, channel) for at in range(kernel * kernel + 1))
        with build.loop(of["images"]) as image:
            plane.copy(of["x"], (image * of["height"], of["width"], channel), seen, (of["above"], of["left"]))
            with build.loop(of["out_height"]) as row, build.loop(of["out_width"]) as column:
                total = bias
                for at, (i, j) in enumerate(product(range(kernel), repeat=2)):
                    total = build.fused(plane.at(row * stride + i, column * stride + j), weights[at], total)
                pixel = (image * of["out_height"] + row) * of["out_width"] + column
                build.store(total, of["y"], pixel * of["channels"], channel)
    return build.text()


def build_weights(symbol: str, *, kernel: int, stride: int, kind: str, lanes: int, sums: int) -> str:
    """Build the gradient by the weights and by the bias: the assembly of a function of GEOMETRY, x, dy, dw, scratch.

    `dw[c, i, j] = Σ dy[n, c, h, w] · x[n, c, s·h + i - above, s·w + j - left]` over n, h, w. `dw` has, for each block,
    kernel² vectors of float32, and one for the bias: `Σ dy[n, c, h, w]`.

    Args:
        symbol: its name.
        kernel: side of the kernel, in pixels.
        stride: s.
        kind: of x and dy, `float32` or `bfloat16`.
        lanes: channels in a vector.
        sums: vectors that fit into registers; the rows of the kernel are taken together as far as they do.
    """
    build = VectorLoops(symbol, GEOMETRY, {"x": kind, "dy": kind, "dw": "float32", "scratch": "float32"}, lanes=lanes)
    of = build.arguments
    rows, columns, seen = _reached(build, kernel, stride)
    plane = _Plane(build, rows, columns)
    together = max(1, sums // kernel)
    groups = [range(first, min(first + together, kernel)) for first in range(0, kernel, together)]
    products, bias = build.sums(together * kernel), build.sums(1)
    with build.loop(plane.last, plane.first) as block:
        channel, result = block * lanes, block * ((kernel * kernel + 1) * lanes)
        for group in groups:
            build.set([*products, *bias], build.zero)
            with build.loop(of["images"]) as image:
                plane.copy(of["x"], (image * of["height"], of["width"], channel), seen, (of["above"], of["left"]))
                with build.loop(of["out_height"]) as row, build.loop(of["out_width"]) as column:
                    pixel = (image * of["out_height"] + row) * of["out_width"] + column
                    dy = build.load(of["dy"], pixel * of["channels"], channel)
                    build.accumulate(bias[0], dy)
                    for place, (down, across) in enumerate((i, j) for i in group for j in range(kernel)):
                        build.accumulate(products[place], dy, plane.at(row * stride + down, column * stride + across))
            for place in range(len(group) * kernel):
                at = result + (group.start * kernel + place) * lanes
                build.store(build.value(products[place]), of["dw"], at)
            build.store(build.value(bias[0]), of["dw"], result + kernel * kernel * lanes)
    return build.text()


def build_input(symbol: str, *, kernel: int, stride: int, kind: str, lanes: int) -> str:
    """Build the gradient by the input: the assembly of a function of GEOMETRY, dy, w, dx, scratch.

    `dx[n, c, y, x] = Σ dy[n, c, h, w] · w[c, i, j]` over the i and j for which `s·h + i - above = y` and
    `s·w + j - left = x` have whole h and w. Which i and j these are depends on the remainder of y + above by s, so each
    remainder has a pass of its own. `w` holds kernel² rows of all channels, float32.

    Args:
        symbol: its name.
        kernel: side of the kernel, in pixels.
        stride: s.
        kind: of dy and dx, `float32` or `bfloat16`.
        lanes: channels in a vector.
    """
    build = VectorLoops(symbol, GEOMETRY, {"dy": kind, "w": "float32", "dx": kind, "scratch": "float32"}, lanes=lanes)
    of = build.arguments
    margin = build.index((kernel - 1) // stride)  # rows and columns of zeros before dy
    down = (of["height"] + of["above"] + stride - 1) // stride
    across = (of["width"] + of["left"] + stride - 1) // stride
    seen = (of["out_height"].up_to(down), of["out_width"].up_to(across))
    plane = _Plane(build, down + margin, across + margin)
    with build.loop(plane.last, plane.first) as block:
        channel = block * lanes
        weights = [build.load(of["w"], of["channels"] * tap, channel) for tap in range(kernel * kernel)]
        with build.loop(of["images"]) as image:
            source = (image * of["out_height"], of["out_width"], channel)
            plane.copy(of["dy"], source, seen, (margin, margin))
            for i, j in product(range(stride), repeat=2):
                taps = [(h, w) for h in range(i, kernel, stride) for w in range(j, kernel, stride)]
                with build.loop(down) as high, build.loop(across) as wide:
                    row, column = high * stride + i - of["above"], wide * stride + j - of["left"]
                    with build.only_if(row.is_in(of["height"])), build.only_if(column.is_in(of["width"])):
                        total = build.zero
                        for h, w in taps:
                            dy = plane.at(high + margin - h // stride, wide + margin - w // stride)
                            total = build.fused(dy, weights[h * kernel + w], total)
                        pixel = (image * of["height"] + row) * of["width"] + column
                        build.store(total, of["dx"], pixel * of["channels"], channel)
    return build.text()


def scratch_size(kernel: int, stride: int, height: int, width: int, lanes: int) -> int:
    """Numbers of float32 that each kernel needs room for, with an input of height × width pixels."""
    reach = 2 * (kernel + stride)  # paddings are below the kernel's side
    return (height + reach) * (width + reach) * lanes


def _reached(build: VectorLoops, kernel: int, stride: int) -> tuple[Index, Index, tuple[Index, Index]]:
    """Rows and columns that some output needs, padding included, and how many of the input's are among them."""
    of = build.arguments
    rows = (of["out_height"] - 1) * stride + kernel
    columns = (of["out_width"] - 1) * stride + kernel
    return rows, columns, (of["height"].up_to(rows - of["above"]), of["width"].up_to(columns - of["left"]))


class _Plane:
    """A block of one image, in the part of the scratch of this thread.

    Args:
        build: the program.
        rows: of the plane.
        columns: of the plane.

    Attributes:
        first: the first block of this thread.
        last: the block after its last.
    """

    def __init__(self, build: VectorLoops, rows: Index, columns: Index) -> None:
        of = build.arguments
        number, self.first, self.last = build.share(of["channels"] // build.lanes)
        self._build, self._columns = build, columns
        self._scratch = build.beyond(of["scratch"], number * of["room"])
        with build.loop(rows * columns) as pixel:
            build.store(build.zero, self._scratch, pixel * build.lanes)

    def at(self, row: Index, column: Index) -> Any:
        """The channels of a pixel."""
        return self._build.load(self._scratch, (row * self._columns + column) * self._build.lanes)

    def copy(
        self,
        maps: Numbers,
        source: tuple[Index, Index, Index],  # first row among those of all images, pixels of a row, first channel
        seen: tuple[Index, Index],  # rows and columns that some output needs
        place: tuple[Index, Index],  # where they begin in the plane
    ) -> None:
        """Copy a block of an image; what lies around it stays zero."""
        build, (first, width, channel) = self._build, source
        with build.loop(seen[0]) as row, build.loop(seen[1]) as column:
            pixel = ((first + row) * width + column) * build.arguments["channels"]
            at = (row + place[0]) * self._columns + column + place[1]
            build.store(build.load(maps, pixel, channel), self._scratch, at * build.lanes)
