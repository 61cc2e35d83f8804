"""The picture of a landscape, which states that it is a slice.

Shape suffixes: H, W points of the grid, K checkpoints.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import MaxNLocator

from thalweg.figures.lab.texts import wrapped
from thalweg.figures.style import BLUE, INK, QUIET, VERMILLION, casing, label_axes, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.diagnosis.landscape import Landscape, Trajectory

_LINES = 16
_COLUMNS = 104  # of a note below one panel, a Chinese character takes two; twice as many below two
_EDGE = 0.04  # a number nearer to the edge would be cut, as a share of the panel


def draw_landscape(found: Landscape, path: Path | str, *, squared_error: bool = False) -> None:
    """Draw the loss over a plane as PNG; for a trajectory, also what the projection leaves out.

    Args:
        found: the landscape.
        path: the PNG file.
        squared_error: whether the loss is a squared error instead of cross-entropy.

    Raises:
        StorageError: the file cannot be written.
    """
    name = t("landscape.axis_loss_mse" if squared_error else "landscape.axis_loss")
    way = found.trajectory
    with picture(path, width=8.4 if way is None else 14.5, height=7.2) as figure:
        panels = figure.subplots(
            1, 1 if way is None else 2, squeeze=False, width_ratios=None if way is None else (4, 3)
        )[0]
        _draw_slice(figure, panels[0], found, name)
        if way is not None:
            _draw_losses(panels[1], way, name)
        notes = [t("landscape.slice", parameters=found.parameters, examples=found.examples)]
        if way is not None:
            notes += [t("landscape.outside", held=way.held, outside=way.outside), t("landscape.outside_more")]
        columns = _COLUMNS if way is None else 2 * _COLUMNS
        lines = [line for note in notes for line in note.split("\n")]
        figure.supxlabel(wrapped(lines, columns), x=0.01, ha="left", fontsize=9, color=QUIET)


def levels_of(loss_HW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heights of the contour lines, in geometric progression; few at the top, where walls are steep.

    Example:
        >>> levels_of(np.array([[1.0, 10.0], [100.0, np.inf]])).round(1)[[0, -1]].tolist()
        [1.0, 100.0]
    """
    known = loss_HW[np.isfinite(loss_HW)]
    low = max(float(known.min()), 1e-6)
    high = max(float(known.max()), low * 1.001)
    return np.geomspace(low, high, _LINES + 1)


def _draw_slice(figure: Figure, axes: Axes, found: Landscape, name: str) -> None:
    levels = levels_of(found.loss_HW)
    shown_HW = np.ma.masked_invalid(np.maximum(found.loss_HW, levels[0]))
    norm = LogNorm(levels[0], levels[-1])
    filled = axes.contourf(found.a_W, found.b_H, shown_HW, levels=levels, norm=norm, cmap="viridis")
    lines = axes.contour(found.a_W, found.b_H, shown_HW, levels=levels[1::2], colors="white", linewidths=0.7)
    for number in axes.clabel(lines, fmt=lambda value: f"{value:.2g}", fontsize=8, colors=INK, inline=False):
        number.set_path_effects(casing(1.5))
        number.set_visible(_is_inside(number.get_position(), found))
    bar = figure.colorbar(filled, ax=axes, pad=0.02, ticks=levels[::4], format=lambda value, _: f"{value:.3g}")
    bar.set_label(name)
    bar.ax.minorticks_off()
    axes.patch.set(hatch="///", edgecolor=QUIET)
    axes.grid(visible=False)
    if found.trajectory is None:
        axes.plot(
            0,
            0,
            marker="*",
            markersize=15,
            color=VERMILLION,
            markeredgecolor="white",
            linestyle="none",
            label=t("landscape.key_origin"),
        )
    else:
        _draw_way(axes, found.trajectory)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.11), ncols=3, borderaxespad=0)
    suffix = "" if found.trajectory is None else "_way"
    label_axes(
        axes,
        title=literal(t(f"landscape.title_{found.kind}")),
        x=t(f"landscape.axis_first{suffix}"),
        y=t(f"landscape.axis_second{suffix}"),
    )


def _is_inside(position: tuple[float, float], found: Landscape) -> bool:
    """Whether a number at a position is not cut at the panel's edge."""
    shares = [
        (at - along[0]) / (along[-1] - along[0]) for at, along in zip(position, (found.a_W, found.b_H), strict=True)
    ]
    return all(_EDGE < share < 1 - _EDGE for share in shares)


def _draw_way(axes: Axes, way: Trajectory) -> None:
    axes.plot(
        way.a_K,
        way.b_K,
        color=VERMILLION,
        marker="o",
        markersize=4,
        path_effects=casing(),
        label=t("landscape.key_way"),
    )
    ends = {"start": (0, "s"), "end": (-1, "*")}
    for end, (index, marker) in ends.items():
        axes.plot(
            way.a_K[index],
            way.b_K[index],
            marker=marker,
            markersize=15 if marker == "*" else 9,
            color=VERMILLION,
            markeredgecolor="white",
            linestyle="none",
            label=t(f"landscape.key_{end}"),
        )


def _draw_losses(axes: Axes, way: Trajectory, name: str) -> None:
    """Draw the loss of each epoch, and of its projection."""
    axes.plot(way.epochs_K, way.loss_K, color=BLUE, marker="o", label=t("landscape.key_true"))
    axes.plot(
        way.epochs_K,
        way.plane_loss_K,
        color=VERMILLION,
        marker="s",
        linestyle=(0, (6, 2)),
        label=t("landscape.key_plane"),
    )
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    values = np.concatenate([way.loss_K, way.plane_loss_K])
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0 and known.max() > 20 * known.min():
        axes.set_yscale("log")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.11), ncols=1, borderaxespad=0)
    axes.tick_params(colors=INK)
    label_axes(axes, title=t("landscape.title_losses"), x=t("landscape.axis_epoch"), y=name)
