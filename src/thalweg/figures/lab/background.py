"""What traces are drawn over: the surface from above or as a heightmap in space, with its critical points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from mpl_toolkits.mplot3d import proj3d

from thalweg.figures.lab.heightmap import level_text
from thalweg.figures.lab.texts import axis_names
from thalweg.figures.style import INK, QUIET, casing, label_axes
from thalweg.i18n import t


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d.axes3d import Axes3D
    from numpy.typing import NDArray

    from thalweg.figures.lab.columns import Columns
    from thalweg.figures.lab.heightmap import Heightmap
    from thalweg.surfaces import Surface

PALE: Final = LinearSegmentedColormap.from_list("pale", ("#CFD7E0", "#FBFCFD"))

# Critical points differ by shape, and lie below the traces' heads.
CRITICAL: Final[dict[str, dict[str, Any]]] = {
    "minimum": {"marker": "o", "facecolor": INK},
    "saddle": {"marker": "x", "facecolor": INK},
    "maximum": {"marker": "o", "facecolor": "none"},
    "degenerate": {"marker": "+", "facecolor": INK},
}

_MANY: Final = 30  # critical points
_MANY_LINES: Final = 120
_LINE: Final = "#8A96A3"

_QUADS: Final = 64  # a side
_LIFT: Final = 0.004  # of the height: a trace runs just above the surface


def draw_background(axes: Axes, surface: Surface, heightmap: Heightmap) -> None:
    """Shading, contour lines with their values, critical points."""
    (left, right), (bottom, top) = surface.window
    axes.imshow(
        heightmap.heights(heightmap.values_HW),
        extent=(left, right, bottom, top),
        origin="lower",
        aspect="auto",
        cmap=PALE,
        vmin=0,
        vmax=1,
        interpolation="bilinear",
    )
    if len(heightmap.levels_L):
        _draw_lines(axes, heightmap)
    draw_criticals(axes, surface)
    axes.set(xlim=(left, right), ylim=(bottom, top))
    axes.grid(visible=False)
    x, y = axis_names(surface)
    label_axes(axes, title=t("lab.contour_title"), x=x, y=y)


def draw_criticals(axes: Axes, surface: Surface, heightmap: Heightmap | None = None) -> None:
    """The critical points: on flat axes, or in space at their heights on a heightmap; smaller where there are many."""
    points = surface.critical_points
    size = 34 if len(points) <= _MANY else 7
    for point in points:
        marks = dict(CRITICAL[point.kind])
        face = marks.pop("facecolor")
        colors = {"color": INK} if face == INK else {"facecolors": "none", "edgecolors": INK}
        height = [] if heightmap is None else [float(heightmap.heights(point.value))]
        axes.scatter(*point.position, *height, s=size, linewidths=size**0.5 / 4, zorder=4, **marks, **colors)


def draw_heightmap(axes: Axes3D, surface: Surface, heightmap: Heightmap) -> None:
    """The surface, its axes and its critical points."""
    every = max(1, len(heightmap.x_W) // _QUADS)
    x_HW, y_HW = np.meshgrid(heightmap.x_W[::every], heightmap.y_H[::every])
    heights_HW = heightmap.heights(heightmap.values_HW[::every, ::every])
    axes.computed_zorder = False  # traces lie over the surface, marks over the traces
    axes.plot_surface(
        x_HW,
        y_HW,
        heights_HW,
        rstride=1,
        cstride=1,
        cmap=PALE,
        vmin=0,
        vmax=1,
        linewidth=0.15,
        edgecolor="#A9B4BF",
        zorder=1,
    )
    draw_criticals(axes, surface, heightmap)
    levels_L = heightmap.levels_L[::3]
    axes.zaxis.set_ticks(heightmap.heights(levels_L), [level_text(level) for level in levels_L])
    x, y = axis_names(surface)
    axes.set(xlabel=x, ylabel=y, zlabel=heightmap.height_name, title=t("lab.heightmap_title"))
    axes.set_zlim3d(0, 1)
    axes.view_init(elev=38, azim=-60)
    axes.set_box_aspect((1, 1, 0.62))


def projected(axes: Axes3D, columns: Columns, heightmap: Heightmap) -> NDArray[np.float64]:
    """A trace's positions as the axes show them on paper, of shape (kept steps, 2); NaN outside the window."""
    x_K, y_K, z_K = columns["x"], columns["y"], heightmap.heights(columns["loss"]) + _LIFT
    inside_K = heightmap.contains(x_K, y_K)
    with np.errstate(invalid="ignore", over="ignore"):
        flat_K = proj3d.proj_transform(x_K, y_K, z_K, axes.get_proj())[:2]
    return np.where(inside_K[:, None], np.stack(flat_K, axis=1), np.nan)


def _draw_lines(axes: Axes, heightmap: Heightmap) -> None:
    lines = axes.contour(
        heightmap.x_W,
        heightmap.y_H,
        heightmap.values_HW,
        levels=heightmap.levels_L,
        colors=_LINE,
        linewidths=0.7,
        linestyles="solid",
    )
    if sum(len(path.to_polygons(closed_only=False)) for path in lines.get_paths()) > _MANY_LINES:
        return  # their values would cover them
    for text in axes.clabel(lines, fontsize=7, colors=QUIET, fmt=level_text, inline_spacing=3):
        text.set_path_effects(casing(width=0.6))
