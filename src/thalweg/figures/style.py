"""The style of all pictures: one size, one set of fonts, and colors that color-blind people can tell apart.

`picture(path)` yields an empty `Figure` in this style and writes the file whole or not at all. Nothing here uses
pyplot.

The colors are Okabe and Ito's ("Color Universal Design", 2008, https://jfly.uni-koeln.de/color/). On white, sky,
orange and yellow have too little contrast for thin lines: so a series also differs in dash and marker, and has a
name beside it. A surface below lines is drawn in pale grays, and lines get a white casing.
"""

from __future__ import annotations

import io
import warnings
from contextlib import contextmanager
from functools import cache
from itertools import accumulate
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from unicodedata import east_asian_width

from matplotlib import font_manager, rc_context
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke

from thalweg._files import replacing


if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.patheffects import AbstractPathEffect
    from matplotlib.typing import RcKeyType

BLACK: Final = "#000000"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
GREEN: Final = "#009E73"
YELLOW: Final = "#F0E442"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"

INK: Final = "#1A1A1A"  # text and axes
QUIET: Final = "#5C5C5C"  # notes: contrast 6.7 on white
GRID: Final = "#E3E3E3"

DPI: Final = 150
_CSS_PIXELS: Final = 96  # an inch
_CELL: Final = 860  # CSS pixels, the width of a notebook's output
_SHARPNESS: Final = 1.25  # pixels for each of CSS: a notebook keeps every picture that it shows

BUNDLED_FONT: Final = Path(__file__).parent / "fonts" / "ThalwegSansSC-Regular.otf"

_INSTALLED: Final = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
)


class Series(NamedTuple):
    """How a series looks: it differs from the others in three ways at once."""

    color: str
    dashes: tuple[float, tuple[float, ...]]  # matplotlib's (offset, (on, off, ...)), in line widths
    marker: str


# at most eight at once; those with the most contrast on white come first
SERIES: Final = (
    Series(BLUE, (0, ()), "o"),
    Series(VERMILLION, (0, (6, 2)), "s"),
    Series(GREEN, (0, (2, 1.5)), "^"),
    Series(PURPLE, (0, (6, 1.5, 1.5, 1.5)), "D"),
    Series(BLACK, (0, (1, 1.5)), "v"),
    Series(ORANGE, (0, (8, 2, 1.5, 2, 1.5, 2)), "P"),
    Series(SKY, (0, (4, 1)), "X"),
    Series(YELLOW, (0, (3, 3)), "*"),
)

_CLASS_COLORS: Final = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, BLACK)
_CLASS_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*", "h")  # seven and nine have no common divisor

_drawing = RLock()  # matplotlib's parameters are global to the process, so one picture is drawn at a time


class Picture(Figure):
    """A figure of matplotlib that a notebook shows inline."""

    def _repr_png_(self) -> tuple[bytes, dict[str, float]]:
        """The content of a PNG file, and the size that it shows at: that of a cell, or less."""
        width, height = self.get_size_inches()
        shown = min(_CSS_PIXELS, _CELL / width)  # CSS pixels per inch
        content = io.BytesIO()
        with _style():
            self.savefig(content, format="png", dpi=_SHARPNESS * shown, metadata={"Software": None})
        return content.getvalue(), {"width": round(shown * width), "height": round(shown * height)}


class Kept:
    """Takes a picture in place of a file.

    Attributes:
        figure: what was drawn.
    """

    figure: Picture


Target = Path | str | Kept
"""Where a picture goes."""


@contextmanager
def picture(path: Target, *, width: float = 9.0, height: float = 6.0) -> Iterator[Picture]:
    r"""Yield an empty figure; if the block succeeds, write it to `path` as PNG, whole or not at all.

    Args:
        path: the file; or a `Kept`, which gets the figure.
        width: in inches, at `DPI` (150) pixels per inch.
        height: in inches.

    Yields:
        A figure with constrained layout: no part of an axes is cut off or overlaps its neighbor.

    Raises:
        StorageError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp()) / "line.png"
        >>> with picture(path, width=4, height=3) as figure:
        ...     axes = figure.subplots()
        ...     label_axes(axes, title="损失 loss", x="step", y="loss (nat)")
        >>> path.read_bytes()[:4]
        b'\x89PNG'
    """
    with drawing(width=width, height=height) as figure:
        yield figure
        if isinstance(path, Kept):
            path.figure = figure
            return
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


@contextmanager
def drawing(*, width: float, height: float, dpi: int = DPI) -> Iterator[Picture]:
    """Yield an empty figure in this style, for callers that write it themselves (the frames of an animation).

    Args:
        width: in inches.
        height: in inches.
        dpi: pixels per inch.

    Yields:
        A figure as from `picture`; draw it inside the block.
    """
    with _style():
        yield Picture(figsize=(width, height), dpi=dpi, layout="constrained")


@contextmanager
def _style() -> Iterator[None]:
    """Draw in this style inside the block."""
    with _drawing, rc_context(_parameters()), warnings.catch_warnings():
        # a character that no font has is drawn as a visible box, so a warning adds nothing
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def label_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Set the title of an axes and the names of its two directions; a name includes its unit (`"loss (nat)"`)."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def literal(text: str, longest: int | None = None) -> str:
    r"""Escape a user's text (a class, a file name), so that it is drawn literally, on one line.

    Args:
        text: any characters.
        longest: width above which the middle is left out, at least 3; a Chinese character counts 2, a Latin one 1.
            None: no limit.

    Example:
        >>> literal("50$ or 60$")
        '50\\$ or 60\\$'
        >>> literal("a very long name", longest=9)
        'a ve…name'
        >>> literal("蔬菜/水果", longest=6)
        '蔬…果'
    """
    text = "".join(character if character.isprintable() else " " for character in text)
    if longest is not None and sum(map(_width, text)) > longest:
        tail = (longest - 1) // 2
        text = _fitting(text, longest - 1 - tail) + "…" + _fitting(text[::-1], tail)[::-1]
    return text.replace("$", r"\$")


def _width(character: str) -> int:
    return 2 if east_asian_width(character) in "WF" else 1


def _fitting(text: str, width: int) -> str:
    """The longest beginning that fits."""
    widths = accumulate(map(_width, text))
    return "".join(character for character, needed in zip(text, widths, strict=True) if needed <= width)


def casing(width: float = 1.5, color: str = "white") -> list[AbstractPathEffect]:
    """A rim around a line or text, so that it stands out on any background, for `path_effects=`.

    Args:
        width: of the rim on each side, in points, for a line of 1.5 points.
        color: of the rim.
    """
    return [Stroke(linewidth=1.5 + 2 * width, foreground=color), Normal()]


def class_marks(count: int) -> list[tuple[str, str]]:
    """Choose a color and a marker for each class; neighbors differ in both, and pairs repeat after 63 classes.

    Example:
        >>> len(set(class_marks(63)))
        63
    """
    return [
        (_CLASS_COLORS[index % len(_CLASS_COLORS)], _CLASS_MARKERS[index % len(_CLASS_MARKERS)])
        for index in range(count)
    ]


def _parameters() -> dict[RcKeyType, Any]:
    return {
        "axes.axisbelow": True,
        "axes.edgecolor": INK,
        "axes.grid": True,
        "axes.labelcolor": INK,
        "axes.labelsize": 10,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 12,
        "figure.facecolor": "white",
        "figure.titlesize": 14,
        "font.family": list(families()),
        "font.size": 10,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "lines.linewidth": 1.5,
        "text.color": INK,
        "xtick.color": INK,
        "xtick.labelsize": 9,
        "ytick.color": INK,
        "ytick.labelsize": 9,
    }


@cache
def families() -> tuple[str, ...]:
    """Font families, in the order in which glyphs are looked up.

    Example:
        >>> families()[:2]
        ('DejaVu Sans', 'Thalweg Sans SC')
    """
    manager = font_manager.fontManager
    manager.addfont(BUNDLED_FONT)
    bundled = font_manager.FontProperties(fname=BUNDLED_FONT).get_name()
    known = set(manager.get_font_names())
    return ("DejaVu Sans", bundled, *(name for name in _INSTALLED if name in known))
