"""The gradients of a depthwise convolution as loops over vectors of channels.

Maps are in channels-last order, so that neighbors in memory are channels of one pixel. A vector holds as many channels
as the processor takes at once; a block is a vector of channels of all pixels. Each block is copied, with zeros around
it, into a scratch of float32 that fits into a cache near the processor. All sums of a block stay in registers, and no
other block has a part in them, so the number of threads changes no bit.

Each kernel takes the integers of `GEOMETRY`. The scratch has room for `scratch_size` numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg._native.vectors import VectorLoops


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg._native.vectors import Index

GEOMETRY = (
    "images",
    "height",  # of the input, without padding
    "width",
    "channels",
    "out_height",
    "out_width",
    "above",  # rows of padding before the input
    "left",
    "first",  # of the blocks
    "last",  # the block after the last
)


def build_weights(symbol: str, *, kernel: int, stride: int, kind: str, lanes: int, sums: int) -> str:
    """Build the gradient by the weights and by the bias: the assembly of `symbol(*GEOMETRY, x, dy, dw, scratch)`.

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
    rows = (of["out_height"] - 1) * stride + kernel
    columns = (of["out_width"] - 1) * stride + kernel
    seen = (of["height"].up_to(rows - of["above"]), of["width"].up_to(columns - of["left"]))
    around = (of["above"], of["left"], columns)
    together = max(1, sums // kernel)
    groups = [range(first, min(first + together, kernel)) for first in range(0, kernel, together)]
    products, bias = build.sums(together * kernel), build.sums(1)
    _clear(build, rows * columns)
    with build.loop(of["last"], of["first"]) as block:
        channel, result = block * lanes, block * ((kernel * kernel + 1) * lanes)
        for group in groups:
            build.set([*products, *bias], build.zero)
            with build.loop(of["images"]) as image:
                _copy(build, of["x"], (image * of["height"], of["width"], channel), seen, around)
                with build.loop(of["out_height"]) as row, build.loop(of["out_width"]) as column:
                    pixel = (image * of["out_height"] + row) * of["out_width"] + column
                    dy = build.load(of["dy"], pixel * of["channels"], channel)
                    build.accumulate(bias[0], dy)
                    for place, (down, across) in enumerate((i, j) for i in group for j in range(kernel)):
                        x = (row * stride + down) * columns + column * stride + across
                        build.accumulate(products[place], dy, build.load(of["scratch"], x * lanes))
            for place in range(len(group) * kernel):
                at = result + (group.start * kernel + place) * lanes
                build.store(build.value(products[place]), of["dw"], at)
            build.store(build.value(bias[0]), of["dw"], result + kernel * kernel * lanes)
    return build.text()


def build_input(symbol: str, *, kernel: int, stride: int, kind: str, lanes: int) -> str:
    """Build the gradient by the input: the assembly of `symbol(*GEOMETRY, dy, w, dx, scratch)`.

    `dx[n, c, y, x] = Σ dy[n, c, h, w] · w[c, i, j]` over the i and j for which `s·h + i - above = y` and
    `s·w + j - left = x` have whole h and w. Which i and j these are depends on the remainder of y + above by s, so each
    remainder has a row of instructions of its own. `w` holds kernel² rows of all channels, float32.

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
    columns = across + margin
    seen = (of["out_height"].up_to(down), of["out_width"].up_to(across))
    around = (margin, margin, columns)
    _clear(build, (down + margin) * columns)
    with build.loop(of["last"], of["first"]) as block:
        channel = block * lanes
        weights = [build.load(of["w"], of["channels"] * tap, channel) for tap in range(kernel * kernel)]
        with build.loop(of["images"]) as image:
            _copy(build, of["dy"], (image * of["out_height"], of["out_width"], channel), seen, around)
            with build.loop(down) as high:
                for i in range(stride):
                    row = high * stride + i - of["above"]
                    with build.only_if(row.is_in(of["height"])), build.loop(across) as wide:
                        for j in range(stride):
                            column = wide * stride + j - of["left"]
                            with build.only_if(column.is_in(of["width"])):
                                corner = (high + margin) * columns + wide + margin
                                total = _taps(
                                    build,
                                    corner,
                                    columns,
                                    weights,
                                    (range(i, kernel, stride), range(j, kernel, stride)),
                                )
                                pixel = (image * of["height"] + row) * of["width"] + column
                                build.store(total, of["dx"], pixel * of["channels"], channel)
    return build.text()


def scratch_size(kernel: int, stride: int, height: int, width: int, lanes: int) -> int:
    """Numbers of float32 that either kernel needs room for, with an input of height × width pixels."""
    reach = 2 * (kernel + stride)  # paddings are below the kernel's side
    return (height + reach) * (width + reach) * lanes


def _clear(build: VectorLoops, pixels: Index) -> None:
    with build.loop(pixels) as pixel:
        build.store(build.zero, build.arguments["scratch"], pixel * build.lanes)


def _copy(
    build: VectorLoops,
    maps: Any,
    source: tuple[Index, Index, Index],  # first row among those of all images, pixels of a row, first channel
    seen: tuple[Index, Index],  # rows and columns that some output needs
    around: tuple[Index, Index, Index],  # rows above, columns to the left, and pixels of a row of the scratch
) -> None:
    """Copy a block of an image into the scratch."""
    (first, width, channel), (above, left, columns) = source, around
    with build.loop(seen[0]) as row, build.loop(seen[1]) as column:
        pixel = ((first + row) * width + column) * build.arguments["channels"]
        place = (row + above) * columns + column + left
        build.store(build.load(maps, pixel, channel), build.arguments["scratch"], place * build.lanes)


def _taps(build: VectorLoops, corner: Index, columns: Index, weights: Sequence[Any], taps: tuple[range, range]) -> Any:
    """The sum over the taps of a kernel that reach a pixel of the input: they look up and to the left in dy."""
    kernel, total = round(len(weights) ** 0.5), build.zero
    for h, i in enumerate(taps[0]):
        for w, j in enumerate(taps[1]):
            dy = build.load(build.arguments["scratch"], (corner - columns * h - w) * build.lanes)
            total = build.fused(dy, weights[i * kernel + j], total)
    return total
