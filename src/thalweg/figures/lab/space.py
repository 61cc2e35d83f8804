"""The surface as a relief in matplotlib's 3-D axes, critical points on it, and where a path lies on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from mpl_toolkits.mplot3d import proj3d

from thalweg.figures.lab.contour import PALE, draw_criticals
from thalweg.figures.lab.relief import level_text
from thalweg.figures.lab.texts import axis_names
from thalweg.i18n import t


if TYPE_CHECKING:
    from mpl_toolkits.mplot3d.axes3d import Axes3D
    from numpy.typing import NDArray

    from thalweg.figures.lab.columns import Columns
    from thalweg.figures.lab.relief import Relief
    from thalweg.surfaces import Surface

_QUADS: Final = 64  # a side
_LIFT: Final = 0.004  # of the height: a path runs just above the surface


def draw_relief(axes: Axes3D, surface: Surface, relief: Relief) -> None:
    """The surface, its axes and its critical points."""
    every = max(1, len(relief.x_W) // _QUADS)
    x_HW, y_HW = np.meshgrid(relief.x_W[::every], relief.y_H[::every])
    heights_HW = relief.heights(relief.values_HW[::every, ::every])
    axes.computed_zorder = False  # paths lie over the surface, marks over the paths
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
    draw_criticals(axes, surface, relief)
    levels_L = relief.levels_L[::3]
    axes.zaxis.set_ticks(relief.heights(levels_L), [level_text(level) for level in levels_L])
    x, y = axis_names(surface)
    axes.set(xlabel=x, ylabel=y, zlabel=relief.height_name, title=t("lab.relief_title"))
    axes.set_zlim3d(0, 1)
    axes.view_init(elev=38, azim=-60)
    axes.set_box_aspect((1, 1, 0.62))


def projected(axes: Axes3D, columns: Columns, relief: Relief) -> NDArray[np.float64]:
    """A path's positions as the axes show them on paper, of shape (kept steps, 2); NaN outside the window."""
    x_K, y_K, z_K = columns["x"], columns["y"], relief.heights(columns["loss"]) + _LIFT
    inside_K = relief.contains(x_K, y_K)
    with np.errstate(invalid="ignore", over="ignore"):
        flat_K = proj3d.proj_transform(x_K, y_K, z_K, axes.get_proj())[:2]
    return np.where(inside_K[:, None], np.stack(flat_K, axis=1), np.nan)
