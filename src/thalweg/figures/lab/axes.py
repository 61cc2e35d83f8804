"""A scene on matplotlib's axes: the surface with its traces, in either view, and charts of their numbers beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from thalweg.figures.lab.background import draw_background, draw_heightmap, projected
from thalweg.figures.lab.lines import draw_labels, from_above, head_of, make_line
from thalweg.figures.style import label_axes
from thalweg.i18n import t


if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.text import Annotation

    from thalweg.figures.lab.columns import Chart
    from thalweg.figures.lab.decimation import Kept
    from thalweg.figures.lab.scene import Scene

View = Literal["contour", "3d"]


class SurfaceAxes:
    """Axes with the surface drawn, on which traces are shown.

    Args:
        home: the figure that gets the axes.
        scene: what is shown.
        view: `contour` or `3d`.
    """

    def __init__(self, home: Figure | SubFigure, scene: Scene, view: View) -> None:
        if view == "3d":
            space = home.add_subplot(projection="3d")
            draw_heightmap(space, scene.surface, scene.heightmap)
            self._positions = [projected(space, trace, scene.heightmap) for trace in scene.columns]
            self.axes: Axes = space
        else:
            self.axes = home.add_subplot()
            draw_background(self.axes, scene.surface, scene.heightmap)
            self._positions = [from_above(trace, scene.heightmap) for trace in scene.columns]
        self._scene = scene
        self._lines = [make_line(self.axes, style) for style in scene.styles]
        self._labels: list[Annotation] = []

    def show(self, last: int) -> list[Artist]:
        """Draw the traces up to the kept step with index `last`; return the artists, the lowest first."""
        for label in self._labels:
            label.remove()
        heads = []
        for trace, style, line, xy_K2 in zip(
            self._scene.columns, self._scene.styles, self._lines, self._positions, strict=True
        ):
            head = head_of(trace, self._scene.heightmap, last)
            line.show(xy_K2[: last + 1], None if head is None else xy_K2[head])
            if head is not None:
                heads.append((style, xy_K2[head]))
        artists = [artist for layer in zip(*(line.artists for line in self._lines), strict=True) for artist in layer]
        self._labels = draw_labels(self.axes, heads)
        return [*artists, *(line.head for line in self._lines), *self._labels]


def draw_chart(axes: Axes, chart: Chart, scene: Scene) -> None:
    """One measure of every trace against steps, with a mark where the trace ends."""
    steps_K = scene.kept.steps_K
    for columns, style in zip(scene.columns, scene.styles, strict=True):
        values_K = chart.drawn(columns[chart.column])
        axes.plot(steps_K, values_K, color=style.color, linestyle=style.dashes, linewidth=1.3)
        known_K = np.flatnonzero(~np.isnan(values_K))
        if len(known_K):
            end = known_K[-1]
            axes.plot(
                steps_K[end],
                values_K[end],
                style.marker,
                color=style.color,
                markersize=6 * style.size,
                markeredgewidth=0.7,
                markeredgecolor="white",
                clip_on=False,
                zorder=4,
            )
    axes.set_yscale(chart.scale)
    axes.set_ylim(chart.low, chart.high)
    if chart.scale == "log":
        axes.yaxis.set_major_locator(LogLocator(numticks=7))
        axes.yaxis.set_minor_locator(NullLocator())
    _scale_steps(axes, scene.kept)
    label_axes(axes, title=chart.title, x=t(scene.kept.axis_key))


def _scale_steps(axes: Axes, kept: Kept) -> None:
    axes.set_xlim(0, max(kept.last, 1))
    if kept.logarithmic:
        axes.set_xscale("function", functions=(np.log1p, np.expm1))
        decades = 10 ** np.arange(int(np.log10(kept.last)) + 1)
        every = 1 + len(decades) // 5
        axes.xaxis.set_major_locator(FixedLocator([0, *decades[::every]]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
