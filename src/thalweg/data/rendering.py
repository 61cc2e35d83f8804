"""From a decoded picture of any mode to a square of RGB: more than 8 bits, transparency, reduction.

A picture that is neither gray nor RGB of 8 bits is converted tile by tile, and each tile is reduced at once. Memory
stays that of the decoded picture: 13,000² pixels of 16 bits are 0.3 GB, as RGB or as floats they would be 0.7 to 4 GB.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self

import numpy as np
from PIL import Image

from thalweg.data.resampling import GAP, bicubic


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

Resize = Literal["stretch", "center-crop"]
Ground = Literal["visible", "white"]
Kept = Literal["pixels", "jpeg"]
# Modes of Pillow with more than 8 bits: integers of 16 bits, of 32 bits, and floats.
Kind = Literal["I;16", "I", "F"]
KINDS: Final[tuple[Kind, ...]] = ("I;16", "I", "F")
FULL_RANGE: Final = (0.0, 65535.0)

_Box = tuple[int, int, int, int]
_SUPPORT = 1.5  # source pixels beyond the box that bicubic needs, in pixels of the result
_TILE = 1 << 19  # pixels converted at a time
# A picture is blank if its channels deviate by less than the first, and black shows it if they deviate by the second.
_BLANK, _SEEN, _TIMES = 6.0, 8.0, 4.0


@dataclass(frozen=True)
class Rendering:
    """How photos become colors, and how these are kept: part of a run, so that a photo has the same pixels everywhere.

    Attributes:
        levels: for each mode with more than 8 bits, the numbers that become black and white; chosen once from all
            photos of a set (`levels`). A mode that is missing is scaled by 65,535, or by the picture's own range.
        ground: what lies behind transparent pixels. `visible` is white, or black for a picture that vanishes over
            white; `white` is the rule of runs of before.
        kept: `jpeg` passes each decoded photo through a JPEG (`thalweg.data.jpeg`), as a cache of them does.

    Example:
        >>> Rendering({"I;16": (0.0, 4095.0)}).to_facts()
        {'levels': {'I;16': [0.0, 4095.0]}, 'ground': 'visible'}
    """

    levels: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ground: Ground = "visible"
    kept: Kept = "pixels"

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Read what `to_facts` wrote; without it, the rule of runs of before."""
        levels = {kind: (float(black), float(white)) for kind, (black, white) in facts.get("levels", {}).items()}
        return cls(levels, facts.get("ground", "white"), facts.get("kept", "pixels"))

    def to_facts(self) -> dict[str, Any]:
        """The entries `levels` and `ground` of a run's or an exported model's facts; `kept` unless it is `pixels`."""
        kept = {} if self.kept == "pixels" else {"kept": self.kept}
        return {"levels": {kind: list(pair) for kind, pair in self.levels.items()}, "ground": self.ground, **kept}


class Square(NamedTuple):
    """A rendered picture.

    Attributes:
        pixels_HWC: RGB, square.
        on_black: whether it is transparent and lies over black, because it would vanish over white.
    """

    pixels_HWC: NDArray[np.uint8]
    on_black: bool = False


def kind_of(image: Image.Image) -> Kind | None:
    """The mode if it has more than 8 bits; `None` for ordinary pictures."""
    if image.mode.startswith("I;16"):
        return "I;16"
    return image.mode if image.mode in {"I", "F"} else None  # type: ignore[return-value]


def bytes_per_pixel(mode: str) -> int:
    """Memory that Pillow takes for one pixel."""
    if mode in {"1", "L", "P"}:
        return 1
    return 2 if mode.startswith("I;16") else 4


def render(image: Image.Image, size: int, resize: Resize, rendering: Rendering) -> Square:
    """Reduce a decoded picture to `size` × `size` pixels of RGB.

    The ground of a transparent picture is chosen for it alone, from its own pixels: a black icon and a white one of the
    same set both stay visible, and a photo looks the same wherever it is met.

    Args:
        image: loaded.
        size: width and height of the result, in pixels.
        resize: how it becomes square.
        rendering: levels and ground.
    """
    if image.mode in {"L", "RGB"} and not image.has_transparency_data:
        return Square(bicubic(image, size, _box(image.size, resize)))
    if kind := kind_of(image):
        black, white = rendering.levels.get(kind) or (FULL_RANGE if kind == "I;16" else _own_levels(image))
        return Square(_by_tiles(image, size, resize, "L", partial(_gray, black=black, white=white)))
    if image.has_transparency_data:
        return _over_ground(image, size, resize, rendering.ground)
    mode = "L" if image.mode == "1" else "RGB"
    return Square(_by_tiles(image, size, resize, mode, lambda tile: tile.convert(mode)))


def sampled(image: Image.Image, count: int) -> NDArray[np.float32]:
    """About `count` of the finite numbers of a loaded picture of more than 8 bits, evenly spread over it."""
    side = max(1, math.isqrt(count))
    rows = range(0, image.height, max(1, math.ceil(image.height / side)))
    step = max(1, math.ceil(image.width / side))
    lines = [np.asarray(image.crop((0, row, image.width, row + 1)))[0, step // 2 :: step] for row in rows]
    values = np.concatenate(lines).astype(np.float32)
    return values[np.isfinite(values)]


def _over_ground(image: Image.Image, size: int, resize: Resize, ground: Ground) -> Square:
    def over(color: str) -> NDArray[np.uint8]:
        return _by_tiles(image, size, resize, "RGB", partial(_composite, color=color))

    white = over("white")
    contrast = _contrast(white)
    if ground == "white" or contrast >= _BLANK:
        return Square(white)
    black = over("black")
    shows = _contrast(black) >= max(_SEEN, _TIMES * contrast)
    return Square(black, on_black=True) if shows else Square(white)


def _contrast(pixels_HWC: NDArray[np.uint8]) -> float:
    return float(pixels_HWC.std(axis=(0, 1)).max())


def _composite(tile: Image.Image, *, color: str) -> Image.Image:
    return Image.alpha_composite(Image.new("RGBA", tile.size, color), tile.convert("RGBA")).convert("RGB")


def _gray(tile: Image.Image, *, black: float, white: float) -> Image.Image:
    values_HW = (_finite(tile) - black) * (255 / (white - black))
    return Image.fromarray(np.clip(np.rint(values_HW), 0, 255).astype(np.uint8))


def _finite(tile: Image.Image) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore"):  # a damaged float may be a NaN that signals
        return np.nan_to_num(np.asarray(tile).astype(np.float64), posinf=0.0, neginf=0.0)


def _own_levels(image: Image.Image) -> tuple[float, float]:
    """The range of a picture by itself; its white is not stored, so take 1, 255, 65,535 or else its maximum."""
    parts = (_finite(image.crop(tile)) for tile in _tiles((0, 0, *image.size), 1, 1))
    ranges = np.array([(part.min(), part.max()) for part in parts])
    low, high = ranges[:, 0].min(), ranges[:, 1].max()
    if low >= 0:
        return 0.0, float(next(bound for bound in (1.0, 255.0, 65535.0, high) if high <= bound))
    return float(low), float(high if high > low else low + 1)


def _box(sides: tuple[int, int], resize: Resize) -> tuple[float, float, float, float]:
    width, height = sides
    if resize == "stretch":
        return 0.0, 0.0, float(width), float(height)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side


def _by_tiles(
    image: Image.Image, size: int, resize: Resize, mode: str, convert: Callable[[Image.Image], Image.Image]
) -> NDArray[np.uint8]:
    """Convert and resize; the result is that of converting all of it and of `resize(…, reducing_gap=3.0)`."""
    left, top, right, bottom = _box(image.size, resize)
    across, down = int((right - left) / size / GAP) or 1, int((bottom - top) / size / GAP) or 1
    area = (0, 0, *image.size)
    if across > 1 or down > 1:
        more_x, more_y = _SUPPORT * (right - left) / size, _SUPPORT * (bottom - top) / size
        area = (
            max(0, int(left - more_x)),
            max(0, int(top - more_y)),
            min(image.width, math.ceil(right + more_x)),
            min(image.height, math.ceil(bottom + more_y)),
        )
    sides = math.ceil((area[2] - area[0]) / across), math.ceil((area[3] - area[1]) / down)
    reduced = Image.new(mode, sides)
    for tile in _tiles(area, across, down):
        part = convert(image.crop(tile))
        place = (tile[0] - area[0]) // across, (tile[1] - area[1]) // down
        reduced.paste(part.reduce((across, down)) if across > 1 or down > 1 else part, place)
    box = ((left - area[0]) / across, (top - area[1]) / down, (right - area[0]) / across, (bottom - area[1]) / down)
    return np.asarray(reduced.resize((size, size), Image.Resampling.BICUBIC, box).convert("RGB"))


def _tiles(area: _Box, across: int, down: int) -> Iterator[_Box]:
    """Tiles of the area whose sides are multiples of the reduction, of about `_TILE` pixels each."""
    left, top, right, bottom = area
    wide = across * max(1, min(math.ceil((right - left) / across), _TILE // across))
    high = down * max(1, _TILE // (wide * down))
    for upper in range(top, bottom, high):
        for start in range(left, right, wide):
            yield start, upper, min(start + wide, right), min(upper + high, bottom)
