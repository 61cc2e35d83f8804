"""Loss, gradient norm and effective rates against steps, on matplotlib's axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from thalweg.figures.style import label_axes
from thalweg.i18n import t


if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from thalweg.figures.lab.columns import Chart
    from thalweg.figures.lab.decimation import Kept
    from thalweg.figures.lab.scene import Scene


def draw_chart(axes: Axes, chart: Chart, scene: Scene) -> None:
    """One measure of every path against steps; the mark stands where the path ends."""
    steps_K = scene.kept.steps_K
    for path, look in zip(scene.columns, scene.looks, strict=True):
        values_K = chart.drawn(path[chart.column])
        axes.plot(steps_K, values_K, color=look.color, linestyle=look.dashes, linewidth=1.3)
        known_K = np.flatnonzero(~np.isnan(values_K))
        if len(known_K):
            end = known_K[-1]
            axes.plot(
                steps_K[end],
                values_K[end],
                look.marker,
                color=look.color,
                markersize=6 * look.size,
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
