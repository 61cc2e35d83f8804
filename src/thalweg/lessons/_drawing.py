"""Shared parts of the lessons' pictures: a surface from above with named traces, the axis of steps, and photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.patches import Rectangle
from matplotlib.ticker import StrMethodFormatter

from thalweg.figures.lab.background import draw_background
from thalweg.figures.lab.heightmap import heightmap_of
from thalweg.figures.style import ORANGE, SERIES, SKY, YELLOW, label_axes
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.typing import LegendLocType
    from numpy.typing import NDArray

    from thalweg.paths import Trace
    from thalweg.surfaces import Surface

LINES = [series for series in SERIES if series.color not in {ORANGE, SKY, YELLOW}]
"""The series that stand out from pale gray."""

_FAR = 3.0  # window widths around the window; matplotlib need not draw farther points


def draw_map(axes: Axes, surface: Surface, traces: Mapping[str, Trace], *, legend: LegendLocType = "best") -> None:
    """Draw the surface's contour lines, each trace in a style of its own, and a legend on white.

    Args:
        axes: empty.
        surface: the surface of the traces.
        traces: name to trace, at most five.
        legend: matplotlib's name of a place where the legend covers nothing.
    """
    draw_background(axes, surface, heightmap_of(surface))
    low_2, high_2 = np.transpose(surface.window)
    far_2 = _FAR * (high_2 - low_2)
    for (name, trace), style in zip(traces.items(), LINES, strict=False):
        xy_2S = np.clip(trace.positions_S2[: trace.last + 1], low_2 - far_2, high_2 + far_2).T
        axes.plot(*xy_2S, color="white", linewidth=4, zorder=2)
        axes.plot(*xy_2S, color=style.color, linestyle=style.dashes, linewidth=1.8, zorder=3, label=name)
        axes.plot(*xy_2S[:, -1], style.marker, color=style.color, markersize=8, markeredgecolor="white", zorder=5)
    if traces:
        axes.legend(loc=legend, frameon=True, framealpha=1, edgecolor="none", handlelength=3.2)


def number_steps(axes: Axes, last: int) -> None:
    """Set the x axis to steps from 0 to `last`, with thousands separators."""
    axes.set_xlim(0, last)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel(t("lessons.axis_step"))


def show_pixels(axes: Axes, pixels_HW: NDArray[np.float64], *, title: str, signed: bool = False) -> None:
    """Draw gray values as a photo, or signed values from blue (negative) over white to red, with rows and columns.

    Args:
        axes: empty.
        pixels_HW: 0 to 1; any range if signed.
        title: of the panel.
        signed: whether zero is white, and both colors are as strong at the largest absolute value.
    """
    if signed:
        highest = float(np.abs(pixels_HW).max()) or 1.0
        axes.imshow(pixels_HW, cmap="RdBu_r", vmin=-highest, vmax=highest, interpolation="nearest")
    else:
        axes.imshow(pixels_HW, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.grid(visible=False)
    label_axes(axes, title=title, x=t("lessons.axis_column"), y=t("lessons.axis_row"))


def frame(axes: Axes, top: float, left: float, side: float, color: str, *, name: str = "") -> None:
    """Draw the outline of a square of pixels, with its name in the legend."""
    corner = (left - 0.5, top - 0.5)
    axes.add_patch(Rectangle(corner, side, side, fill=False, edgecolor="white", linewidth=3.6, zorder=3))
    axes.add_patch(
        Rectangle(corner, side, side, fill=False, edgecolor=color, linewidth=2, zorder=4, label=name or None)
    )


def draw_curves(axes: Axes, curves: Mapping[str, NDArray[np.float64]], *, legend: LegendLocType = "best") -> None:
    """Draw values that begin before the first epoch, one line for each name, and a legend.

    Args:
        axes: empty.
        curves: at most five, each of shape (epochs + 1,).
        legend: matplotlib's name of a place where the legend covers nothing.
    """
    for (name, values_E), style in zip(curves.items(), LINES, strict=False):
        axes.plot(values_E, color=style.color, linestyle=style.dashes, linewidth=2, label=name)
    axes.set_xlim(0, max(len(values_E) for values_E in curves.values()) - 1)
    axes.set_ylim(bottom=0)
    axes.legend(loc=legend, handlelength=3.2)
