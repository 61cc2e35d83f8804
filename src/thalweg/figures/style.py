"""The style that all pictures share: one size, one set of fonts, colors that a color-blind person can tell apart.

A picture is drawn inside `picture(path)`, which gives an empty `Figure` in the house's style and writes the file
whole or not at all. Nothing here touches pyplot.

The colors are Okabe and Ito's ("Color Universal Design", 2008, https://jfly.uni-koeln.de/color/). On white, sky,
orange and yellow have too little contrast for thin lines: a series therefore also differs by dash and marker, and
has a name beside it. Over a surface, lines need pale greys below them and a white casing.
"""

from __future__ import annotations

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
    """How one of several series looks, in three ways at once."""

    color: str
    dashes: tuple[float, tuple[float, ...]]  # matplotlib's (offset, (on, off, ...)), in line widths
    marker: str


# At most eight at once; those with the most contrast on white come first.
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
_CLASS_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*", "h")
DISTINCT_CLASSES: Final = 63  # seven colors and nine markers have no common divisor

_drawing = RLock()  # matplotlib's parameters belong to the process: one picture is drawn at a time


@contextmanager
def picture(path: Path, *, width: float = 9.0, height: float = 6.0) -> Iterator[Figure]:
    r"""Give an empty figure; when the block ends well, write it to `path` as PNG, whole or not at all.

    Args:
        path: the file.
        width: in inches, at `DPI` (150) pixels an inch.
        height: in inches.

    Yields:
        A figure with constrained layout: nothing that belongs to an axes is cut off or overlaps its neighbor.

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
        with replacing(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})


@contextmanager
def drawing(*, width: float, height: float, dpi: int = DPI) -> Iterator[Figure]:
    """An empty figure in the house's style, for callers that write it themselves (the frames of an animation).

    Args:
        width: in inches.
        height: in inches.
        dpi: pixels an inch.

    Yields:
        A figure as `picture` gives it; it must be drawn inside the block.
    """
    with _drawing, rc_context(_parameters()), warnings.catch_warnings():
        # A character that no font has is drawn as a box, which the reader sees; a warning would say no more.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield Figure(figsize=(width, height), dpi=dpi, layout="constrained")


def label_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Name an axes and its two directions; a unit belongs in the name (`"loss (nat)"`)."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def literal(text: str, longest: int | None = None) -> str:
    r"""Text of a user (a class, a file) unchanged, never read as a formula or as several lines.

    Args:
        text: any characters.
        longest: width after which the middle is left out, at least 3, where a Chinese character is two wide and a
            Latin one is one; None: no limit.

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
    """As many of the first characters as fit."""
    widths = accumulate(map(_width, text))
    return "".join(character for character, needed in zip(text, widths, strict=True) if needed <= width)


def casing(width: float = 1.5, color: str = "white") -> list[AbstractPathEffect]:
    """A rim around a line or a text, so that it stands out from anything: for `path_effects=`.

    Args:
        width: of the rim on each side, in points, for a line of 1.5 points.
        color: of the rim.
    """
    return [Stroke(linewidth=1.5 + 2 * width, foreground=color), Normal()]


def class_marks(count: int) -> list[tuple[str, str]]:
    """Color and marker of each class; neighbors differ in both, and pairs repeat after 63 classes.

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
    """Font families, in the order in which a glyph is searched.

    Example:
        >>> families()[:2]
        ('DejaVu Sans', 'Thalweg Sans SC')
    """
    manager = font_manager.fontManager
    manager.addfont(BUNDLED_FONT)
    bundled = font_manager.FontProperties(fname=BUNDLED_FONT).get_name()
    known = set(manager.get_font_names())
    return ("DejaVu Sans", bundled, *(name for name in _INSTALLED if name in known))
