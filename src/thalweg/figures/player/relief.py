"""The ground of a player: values over a plane as contour lines, shading, and heights for the view in space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from contourpy import LineType, contour_generator

from thalweg.figures.lab.heightmap import level_text


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.figures.lab.heightmap import Heightmap

    Facts = tuple[dict[str, Any], dict[str, NDArray[Any]]]
    """What JSON can hold, and arrays by name."""

    Mark = tuple[str, float, float, float]
    """A sign's kind, its place, and the value there."""


_FINEST: Final = 97  # grid points a side for shading and for the view in space; contour lines take all


def relief_of(heightmap: Heightmap, axes: tuple[str, str], marks: Sequence[Mark]) -> Facts:
    """What a page draws of values on a square grid.

    Args:
        heightmap: the values.
        axes: names of both.
        marks: points with a sign of their own.
    """
    lines, starts, level_of = _contours(heightmap)
    shaded = np.linspace(0, len(heightmap.x_W) - 1, min(len(heightmap.x_W), _FINEST)).round().astype(int)
    heights_HW = heightmap.heights(heightmap.values_HW[np.ix_(shaded, shaded)])
    drawing = {
        "window": [[float(grid[0]), float(grid[-1])] for grid in (heightmap.x_W, heightmap.y_H)],
        "side": len(heights_HW),
        "axes": axes,
        "levels": [level_text(level) for level in heightmap.levels_L],
        "critical": [
            {"kind": kind, "x": x, "y": y, "height": float(heightmap.heights(value))} for kind, x, y, value in marks
        ],
        "height_ticks": [
            {"height": float(heightmap.heights(level)), "text": level_text(level)} for level in heightmap.levels_L[::3]
        ],
        "height_name": heightmap.height_name,
    }
    arrays = {
        "heights": np.rint(heights_HW * 65535).astype(np.uint16),
        "lines": lines,
        "starts": starts,
        "level_of": level_of,
    }
    return drawing, arrays


def _contours(heightmap: Heightmap) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.uint16]]:
    """All contour lines: points one after another, where each line starts (and the last ends), and its level."""
    generator = contour_generator(heightmap.x_W, heightmap.y_H, heightmap.values_HW, line_type=LineType.Separate)
    lines = [
        (number, np.asarray(line_N2, dtype=np.float64))
        for number, level in enumerate(heightmap.levels_L)
        for line_N2 in generator.lines(float(level))
    ]
    points = np.concatenate([np.empty((0, 2)), *(line_N2 for _, line_N2 in lines)])
    starts = np.cumsum([0, *(len(line_N2) for _, line_N2 in lines)])
    level_of = np.array([number for number, _ in lines])
    return points.astype(np.float32), starts.astype(np.uint32), level_of.astype(np.uint16)
