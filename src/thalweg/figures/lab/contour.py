"""The surface from above on matplotlib's axes: pale shading, labelled contour lines, critical points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matplotlib.colors import LinearSegmentedColormap

from thalweg.figures.lab.relief import level_text
from thalweg.figures.lab.texts import axis_names
from thalweg.figures.style import INK, QUIET, casing, label_axes
from thalweg.i18n import t


if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from thalweg.figures.lab.relief import Relief
    from thalweg.surfaces import Surface

PALE: Final = LinearSegmentedColormap.from_list("pale", ("#CFD7E0", "#FBFCFD"))

# Critical points are told apart by shape, and stand below the paths' heads.
CRITICAL: Final[dict[str, dict[str, Any]]] = {
    "minimum": {"marker": "o", "facecolor": INK},
    "saddle": {"marker": "x", "facecolor": INK},
    "maximum": {"marker": "o", "facecolor": "none"},
    "degenerate": {"marker": "+", "facecolor": INK},
}

_MANY: Final = 30  # critical points
_MANY_LINES: Final = 120
_LINE: Final = "#8A96A3"


def draw_ground(axes: Axes, surface: Surface, relief: Relief) -> None:
    """Shading, contour lines with their values, critical points."""
    (left, right), (bottom, top) = surface.window
    axes.imshow(
        relief.heights(relief.values_HW),
        extent=(left, right, bottom, top),
        origin="lower",
        aspect="auto",
        cmap=PALE,
        vmin=0,
        vmax=1,
        interpolation="bilinear",
    )
    if len(relief.levels_L):
        _draw_lines(axes, relief)
    draw_criticals(axes, surface)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.grid(visible=False)
    x, y = axis_names(surface)
    label_axes(axes, title=t("lab.contour_title"), x=x, y=y)


def draw_criticals(axes: Axes, surface: Surface, relief: Relief | None = None) -> None:
    """The critical points: on flat axes, or in space at their heights on a relief; small where there are many."""
    points = surface.critical_points
    size = 34 if len(points) <= _MANY else 7
    for point in points:
        marks = dict(CRITICAL[point.kind])
        face = marks.pop("facecolor")
        colors = {"color": INK} if face == INK else {"facecolors": "none", "edgecolors": INK}
        height = [] if relief is None else [float(relief.heights(point.value))]
        axes.scatter(*point.position, *height, s=size, linewidths=size**0.5 / 4, zorder=4, **marks, **colors)


def _draw_lines(axes: Axes, relief: Relief) -> None:
    lines = axes.contour(
        relief.x_W,
        relief.y_H,
        relief.values_HW,
        levels=relief.levels_L,
        colors=_LINE,
        linewidths=0.7,
        linestyles="solid",
    )
    if sum(len(path.to_polygons(closed_only=False)) for path in lines.get_paths()) > _MANY_LINES:
        return  # their values would cover them
    for text in axes.clabel(lines, fontsize=7, colors=QUIET, fmt=level_text, inline_spacing=3):
        text.set_path_effects(casing(width=0.6))
