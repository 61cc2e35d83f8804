"""A surface from above with named paths on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.lab.contour import draw_ground
from thalweg.figures.lab.relief import relief_of
from thalweg.figures.style import ORANGE, SERIES, SKY, YELLOW


if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.axes import Axes
    from matplotlib.typing import LegendLocType

    from thalweg.paths import Path
    from thalweg.surfaces import Surface

LINES = [series for series in SERIES if series.color not in {ORANGE, SKY, YELLOW}]
"""Looks of series that are seen on pale grey."""

_FAR = 3.0  # window widths beyond the window: matplotlib need not draw what lies farther away


def draw_map(axes: Axes, surface: Surface, paths: Mapping[str, Path], *, legend: LegendLocType = "best") -> None:
    """Draw the surface's contour lines, each path in its own look, and a legend on a white ground.

    Args:
        axes: empty.
        surface: what the paths walked on.
        paths: name to path, at most five.
        legend: where it covers nothing, in matplotlib's words.
    """
    draw_ground(axes, surface, relief_of(surface))
    low_2, high_2 = np.transpose(surface.window)
    far_2 = _FAR * (high_2 - low_2)
    for (name, path), look in zip(paths.items(), LINES, strict=False):
        xy_2S = np.clip(path.positions_S2[: path.last + 1], low_2 - far_2, high_2 + far_2).T
        axes.plot(*xy_2S, color="white", linewidth=4, zorder=2)
        axes.plot(*xy_2S, color=look.color, linestyle=look.dashes, linewidth=1.8, zorder=3, label=name)
        axes.plot(*xy_2S[:, -1], look.marker, color=look.color, markersize=8, markeredgecolor="white", zorder=5)
    if paths:
        axes.legend(loc=legend, frameon=True, framealpha=1, edgecolor="none", handlelength=3.2)
