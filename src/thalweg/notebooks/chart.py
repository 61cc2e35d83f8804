"""A chart of lines as SVG: made in Python, readable on light and dark, and small enough to be sent twice a second."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from thalweg.figures.plain import telling_steps
from thalweg.report.html import Html, join, tag


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

WIDTH, HEIGHT = 520, 220  # CSS pixels
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 26, 38
_BUCKETS = 120  # of three points each: more than a screen can show of a noisy line
_TICKS = 5
_SPREAD = 30  # above this ratio of largest to median, an axis is logarithmic
_LARGEST = 1e300  # of a value: differences of larger ones may be no numbers
_DECADES_WITH_PARTS = 1.6  # below this many, powers of ten alone would be too few labels
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#A86B00", "#1A1A1A")  # the style sheet has those for dark
_DASHES = (None, "7 3", "2 2", "7 2 2 2", "1 2", None)

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Line:
    """One line of a chart.

    Attributes:
        name: in the legend; empty: not there.
        x: rising.
        y: of the same length; the line is broken where a value is not finite.
        look: number of its color and dashes, from 0.
        pale: draw it thin and pale, as the values that a mean is taken of.
        dots: mark each point.
    """

    name: str
    x: Sequence[float] | NDArray[np.float64]
    y: Sequence[float] | NDArray[np.float64]
    look: int = 0
    pale: bool = False
    dots: bool = False


class Axis(NamedTuple):
    """One direction of a chart.

    Attributes:
        name: of the horizontal direction; the title names the vertical one.
        low: the lowest value that is shown; None: of the lines.
        high: the highest; None: of the lines.
        scale: `linear` or `log`.
        percent: label shares as percent.
    """

    name: str = ""
    low: float | None = None
    high: float | None = None
    scale: Scale = "linear"
    percent: bool = False


def scale_for(*values: Sequence[float] | NDArray[np.float64]) -> Scale:
    """Choose the scale of an axis for some losses: logarithmic if a linear one would show the largest alone.

    Example:
        >>> scale_for([2.3, 1.1, 0.9]), scale_for([2.3, 2.2, 1e6]), scale_for([0.0, 2.2, 1e6])
        ('linear', 'log', 'linear')
    """
    known = np.concatenate([np.zeros(0), *(np.asarray(one, dtype=float) for one in values)])
    known = known[np.isfinite(known)]
    return "log" if len(known) and known.min() > 0 and known.max() > _SPREAD * np.median(known) else "linear"


def chart(title: str, lines: Sequence[Line], x: Axis, y: Axis, *, marks: Sequence[float] = ()) -> Html:
    """Draw lines.

    Args:
        title: above the chart; its name for screen readers.
        lines: at most six looks can be told apart.
        x: the horizontal axis.
        y: the vertical axis.
        marks: values of x at which a vertical line stands.

    Example:
        >>> picture = chart("loss", [Line("training", [0, 1], [2.0, 1.0])], Axis("step"), Axis("nat"))
        >>> picture[:4], "polyline" in picture
        ('<svg', True)
    """
    across, down = _range(x, [line.x for line in lines]), _range(y, [line.y for line in lines])
    to_x = _placing(across, x.scale, _LEFT, WIDTH - _RIGHT)
    to_y = _placing(down, y.scale, HEIGHT - _BOTTOM, _TOP)
    parts = [
        tag("text", title, x=_LEFT, y=14, class_="title", fill="currentColor", font_size=13, font_weight=600),
        *_grid(x, across, to_x, upright=True),
        *_grid(y, down, to_y, upright=False),
        *(_mark(to_x(at)) for at in marks),
        *(part for line in lines for part in _line(line, to_x, to_y)),
        *_legend(lines, _LEFT + 9 * _columns(title) + 18),
        tag("text", x.name, x=WIDTH - _RIGHT, y=HEIGHT - 6, text_anchor="end", class_="quiet", **_LABEL),
    ]
    return tag(
        "svg",
        *parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        width=WIDTH,
        height=HEIGHT,
        role="img",
        aria_label=title,
        class_="chart",
        xmlns="http://www.w3.org/2000/svg",
    )


_LABEL = {"fill": "currentColor", "font_size": 11}


def _columns(text: str) -> float:
    """How wide a text is, in Latin letters."""
    return sum(1.6 if ord(letter) > 0x2E80 else 0.8 for letter in text)


def _range(axis: Axis, values: Sequence[Sequence[float] | NDArray[np.float64]]) -> tuple[float, float]:
    """The lowest and the highest value to show."""
    known = np.concatenate([np.zeros(0), *(np.asarray(one, dtype=float) for one in values)])
    known = known[np.isfinite(known) & ((known > 0) | (axis.scale == "linear"))]
    usual = (1e-3, 1.0) if axis.scale == "log" else (0.0, 1.0)
    low = axis.low if axis.low is not None else float(known.min()) if len(known) else usual[0]
    high = axis.high if axis.high is not None else float(known.max()) if len(known) else usual[1]
    low, high = (min(max(end, -_LARGEST), _LARGEST) for end in (low, high))
    if high <= low:
        return (low / 2, low * 2) if axis.scale == "log" else (low - 0.5 * (abs(low) or 1), low + 0.5 * (abs(low) or 1))
    return low, high


def _placing(ends: tuple[float, float], scale: Scale, first: float, last: float) -> Callable[[float], float]:
    """Return a function from a value to its place in pixels, within the chart."""
    low, high = map(math.log10, ends) if scale == "log" else ends

    def place(value: float) -> float:
        share = ((math.log10(value) if scale == "log" else value) - low) / (high - low)
        return first + (last - first) * min(1.0, max(0.0, share))

    return place


def _grid(axis: Axis, ends: tuple[float, float], place: Callable[[float], float], *, upright: bool) -> list[Html]:
    """Lines of the grid with their labels."""
    parts = []
    for value in ticks(*ends, scale=axis.scale):
        at = f"{place(value):.1f}"
        label = f"{100 * value:.10g} %" if axis.percent else f"{value:.6g}"
        if upright:
            parts.append(tag("path", d=f"M{at} {_TOP}V{HEIGHT - _BOTTOM}", **_GRID))
            parts.append(tag("text", label, x=at, y=HEIGHT - _BOTTOM + 15, text_anchor="middle", **_LABEL))
        else:
            parts.append(tag("path", d=f"M{_LEFT} {at}H{WIDTH - _RIGHT}", **_GRID))
            parts.append(tag("text", label, x=_LEFT - 6, y=at, dy="0.32em", text_anchor="end", **_LABEL))
    return parts


_GRID = {"class_": "grid", "stroke": "currentColor", "stroke_opacity": "0.16", "fill": "none"}


def ticks(low: float, high: float, *, scale: Scale = "linear") -> list[float]:
    """Round numbers between two ends.

    Example:
        >>> ticks(0, 2.3), ticks(0.003, 20, scale="log")
        ([0.0, 0.5, 1.0, 1.5, 2.0], [0.01, 0.1, 1.0, 10.0])
    """
    if scale == "log":
        decades = math.log10(high) - math.log10(low)
        every = max(1, math.ceil(decades / _TICKS))
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        factors = (1, 2, 5) if decades < _DECADES_WITH_PARTS else (1,)
        found = [factor * 10.0**power for power in powers if power % every == 0 for factor in factors]
        return [value for value in found if low <= value <= high]
    wanted = (high - low) / _TICKS
    unit = 10.0 ** math.floor(math.log10(wanted))
    step = next(factor * unit for factor in (1, 2, 5, 10) if factor * unit >= 0.8 * wanted)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _line(line: Line, to_x: Callable[[float], float], to_y: Callable[[float], float]) -> list[Html]:
    """Its unbroken pieces, and its dots."""
    look = line.look % len(_COLORS)
    x, y = np.asarray(line.x, dtype=float), np.asarray(line.y, dtype=float)
    known = np.isfinite(x) & np.isfinite(y)
    kept = telling_steps(np.where(known, y, np.nanmin(y[known]) if known.any() else 0.0), _BUCKETS)
    if not known.all():
        kept = np.union1d(kept, np.flatnonzero(np.diff(known.astype(int))) + 1)
    pieces, piece = [], []
    for row in kept:
        if known[row]:
            try:
                piece.append(f"{to_x(float(x[row])):.1f},{to_y(float(y[row])):.1f}")
            except ValueError:  # not above 0, on a logarithmic axis
                continue
        elif piece:
            pieces, piece = [*pieces, piece], []
    pieces.append(piece)
    name = f"line look{look}"
    drawn = {"fill": "none", "stroke": _COLORS[look], "stroke_width": 1 if line.pale else 2, "class_": name}
    if line.pale:
        drawn |= {"stroke_opacity": "0.35"}
    elif _DASHES[look]:
        drawn |= {"stroke_dasharray": _DASHES[look]}
    parts = [tag("polyline", points=" ".join(piece), **drawn) for piece in pieces if len(piece) > 1]
    dotted = line.dots or len(kept) == 1
    dots = [at.split(",") for piece in pieces for at in piece] if dotted and len(kept) <= _BUCKETS else []
    return [
        *parts,
        *(tag("circle", cx=cx, cy=cy, r=3, fill=_COLORS[look], class_=f"dot look{look}") for cx, cy in dots),
    ]


def _mark(at: float) -> Html:
    drawn = {"stroke": "currentColor", "stroke_opacity": "0.5", "stroke_dasharray": "2 3", "fill": "none"}
    return tag("path", d=f"M{at:.1f} {_TOP}V{HEIGHT - _BOTTOM}", **drawn)


def _legend(lines: Sequence[Line], begin: float) -> list[Html]:
    """Names of the lines at the right of the title, where they cover no data."""
    named = [line for line in lines if line.name]
    widths = [30 + 8 * _columns(line.name) for line in named]
    left = max(begin, WIDTH - _RIGHT - sum(widths))
    parts = []
    for line, width in zip(named, widths, strict=True):
        look = line.look % len(_COLORS)
        drawn = {"stroke": _COLORS[look], "stroke_width": 2, "stroke_dasharray": _DASHES[look], "fill": "none"}
        parts.append(tag("path", d=f"M{left:.0f} 10h18", class_=f"line look{look}", **drawn))
        parts.append(tag("text", line.name, x=f"{left + 22:.0f}", y=14, **_LABEL))
        left += width
    return [join(parts)]
