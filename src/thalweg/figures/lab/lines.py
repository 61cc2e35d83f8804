"""Traces on matplotlib's axes, from above or in space: cased lines, a mark at the head, a name beside it.

Legend: K kept steps; positions on paper are the axes' own two coordinates, NaN where nothing is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib.lines import Line2D

from thalweg.figures.style import casing


if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.text import Annotation
    from numpy.typing import NDArray

    from thalweg.figures.lab.columns import Columns
    from thalweg.figures.lab.heightmap import Heightmap
    from thalweg.figures.lab.scene import Style

_FAR: Final = 3.0  # window widths out of the window: a line that goes farther is broken there
_ROW: Final = 0.042  # of the axes' height, one line of label
_LETTER: Final = 0.019  # of the axes' width
_GAP: Final = 0.02  # of the axes' width, between head and label


class TraceLine(NamedTuple):
    """One trace's artists: casing, line and head."""

    artists: tuple[Line2D, Line2D]
    head: Line2D

    def show(self, xy_K2: NDArray[np.float64], head_2: NDArray[np.float64] | None) -> None:
        """Draw these positions and the head, if there is one."""
        for artist in self.artists:
            artist.set_data(*xy_K2.T)
        self.head.set_data(*([[value] for value in head_2] if head_2 is not None else ((), ())))


def make_line(axes: Axes, style: Style) -> TraceLine:
    """A trace's artists, still empty, on the axes: all casings below all lines, so that none hides another trace."""
    shared = {"transform": axes.transData, "clip_path": axes.patch}
    case = Line2D([], [], color="white", linewidth=4.0, zorder=2, **shared)
    line = Line2D([], [], color=style.color, linestyle=style.dashes, linewidth=1.8, zorder=3, **shared)
    head = Line2D(
        [],
        [],
        color=style.color,
        marker=style.marker,
        linestyle="none",
        markersize=8 * style.size,
        markeredgewidth=0.8,
        markeredgecolor="white",
        zorder=5,
        **shared,
    )
    for artist in (case, line, head):
        axes.add_artist(artist)
    return TraceLine((case, line), head)


def from_above(columns: Columns, heightmap: Heightmap) -> NDArray[np.float64]:
    """A trace's positions on contour axes: those far outside the window are NaN, because they overflow."""
    xy_K2 = np.stack((columns["x"], columns["y"]), axis=1)
    low_2, high_2 = np.array([heightmap.x_W[0], heightmap.y_H[0]]), np.array([heightmap.x_W[-1], heightmap.y_H[-1]])
    far_2 = _FAR * (high_2 - low_2)
    near_K2 = np.logical_and(xy_K2 > low_2 - far_2, xy_K2 < high_2 + far_2)
    return np.where(np.all(near_K2, axis=1, keepdims=True), xy_K2, np.nan)


def head_of(columns: Columns, heightmap: Heightmap, last: int) -> int | None:
    """The index of the last position up to `last`, if the trace has not left the window by then."""
    known = np.flatnonzero(~np.isnan(columns["x"][: last + 1]))
    if not len(known) or not heightmap.contains(columns["x"][known[-1]], columns["y"][known[-1]]):
        return None
    return int(known[-1])


def draw_labels(axes: Axes, heads: Sequence[tuple[Style, NDArray[np.float64]]]) -> list[Annotation]:
    """The name of each trace beside its head; names that would cover each other move apart.

    Args:
        axes: where.
        heads: styles and position on paper of each trace that has a head.
    """
    placed: list[tuple[Style, float, float]] = [
        (style, *axes.transLimits.transform(where_2)) for style, where_2 in heads
    ]
    placed.sort(key=lambda item: item[2], reverse=True)
    places = spread([(x, y, _LETTER * len(style.label)) for style, x, y in placed])
    return [
        axes.annotate(
            style.label,
            (x, y),
            place,
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=style.color,
            fontsize=9,
            va="center",
            zorder=6,
            path_effects=casing(),
            arrowprops={"arrowstyle": "-", "color": style.color, "linewidth": 0.6}
            if abs(place[1] - y) > 0.02
            else None,
        )
        for (style, x, y), place in zip(placed, places, strict=True)
    ]


def spread(heads: Sequence[tuple[float, float, float]]) -> list[tuple[float, float]]:
    """Places for labels, so that none covers another or a head.

    Args:
        heads: (x, y) of what is labelled and the label's width, all as shares of the axes.

    Returns:
        Left end and middle row of each label: to the right of its head, or to the left near the right edge.

    Example:
        >>> spread([(0.5, 0.5, 0.1), (0.5, 0.5, 0.1)])
        [(0.52, 0.5), (0.52, 0.458)]
    """
    taken = [(x - _GAP / 2, y, _GAP) for x, y, _ in heads]  # the heads themselves
    places = []
    for x, y, width in heads:
        left = x + _GAP if x + _GAP + width < 1 else x - _GAP - width
        rows = (round(y + shift, 6) for shift in _shifts())
        row = next((row for row in rows if 0.03 < row < 0.97 and _free(taken, left, width, row)), y)
        taken.append((left, row, width))
        places.append((round(left, 6), row))
    return places


def _shifts() -> list[float]:
    """None, then ever farther down and up."""
    return [0.0, *(sign * 0.25 * _ROW * count for count in range(1, 80) for sign in (-1, 1))]


def _free(taken: Sequence[tuple[float, float, float]], left: float, width: float, row: float) -> bool:
    return all(
        abs(row - other) > 0.99 * _ROW or left > start + wide or left + width < start for start, other, wide in taken
    )
