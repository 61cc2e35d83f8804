"""A map: for each start, or each pair of hyper-parameters, where the trace ends and how many steps it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.colors import LogNorm, to_rgb
from matplotlib.patches import Patch

from thalweg.figures.lab.background import draw_criticals
from thalweg.figures.lab.heightmap import heightmap_of, level_text
from thalweg.figures.lab.texts import by_hand, title_of
from thalweg.figures.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, label_axes, literal, picture
from thalweg.i18n import t
from thalweg.paths.maps import DIVERGED, ELSEWHERE


if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.paths import Map

_COLORS: Final = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)  # colors of the critical points where traces end
_ELSEWHERE, _DIVERGED = "#E4E7EA", "#6B6B6B"
_PALE: Final = 0.72
_TICKS: Final = 5


def draw_map(found: Map, file: Path | str) -> None:
    r"""Draw as PNG where the traces of a map end, and beside that how many steps they take.

    Args:
        found: from `paths.map_starts` or `paths.map_hyperparameters`.
        file: is replaced whole or not at all.

    Raises:
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> file = Path(tempfile.mkdtemp()) / "bowl.png"
        >>> draw_map(paths.map_starts(bowl, "sgd", lr=0.1, steps=100, points=(9, 9)), file)
        >>> file.read_bytes()[:4]
        b'\x89PNG'
    """
    with picture(file, width=15, height=7.2) as figure:
        ends, times = figure.subplots(1, 2)
        if len([outcome for outcome, _ in outcomes_of(found) if outcome >= 0]) <= len(_COLORS):
            _draw_ends(ends, found)
        else:
            _draw_losses(figure, ends, found)
        _draw_times(figure, times, found)
        for axes in (ends, times):
            _finish(axes, found)
        title = t(
            "lab.map_title", surface=title_of(found.surface), optimizer=found.optimizer.name, steps=f"{found.steps:,}"
        )
        figure.suptitle(literal(f"{title}  {by_hand(found.surface.formula)[:80]}"), x=0.01, ha="left")


def outcomes_of(found: Map) -> list[tuple[int, str]]:
    """The ends that occur, the most frequent first, each with a description; critical points have kind and place.

    Example:
        >>> from thalweg import paths, surfaces
        >>> found = paths.map_starts(surfaces.get("bowl"), "sgd", lr=0.1, steps=500, points=(3, 3))
        >>> outcomes_of(found)
        [(0, 'minimum at (0, 0)')]
    """
    values, counts = np.unique(found.outcome_HW, return_counts=True)
    return [(int(value), _words(found, int(value))) for value in values[np.argsort(-counts, kind="stable")]]


def _words(found: Map, outcome: int) -> str:
    if outcome == DIVERGED:
        return t("lab.map_diverged")
    if outcome == ELSEWHERE:
        return t("lab.map_elsewhere")
    point = found.surface.critical_points[outcome]
    x, y = (0.0 if abs(value) < 5e-4 else value for value in point.position)
    return t("lab.map_end", kind=t(f"lab.critical_{point.kind}"), x=x, y=y)


def _draw_ends(axes: Axes, found: Map) -> None:
    """Choose a color for each end."""
    words = dict(outcomes_of(found))
    points = [outcome for outcome in words if outcome >= 0]
    colors = {**dict(zip(points, _COLORS, strict=False)), ELSEWHERE: _ELSEWHERE, DIVERGED: _DIVERGED}
    painted_HW3 = np.empty((*found.outcome_HW.shape, 3))
    for outcome in words:
        painted_HW3[found.outcome_HW == outcome] = to_rgb(colors[outcome])
    axes.pcolormesh(*_grid(found), painted_HW3, shading="nearest", alpha=_PALE, rasterized=True)
    keys = [Patch(color=colors[outcome], alpha=_PALE, label=label) for outcome, label in words.items()]
    axes.legend(handles=keys, loc="upper left", bbox_to_anchor=(0, -0.12), ncols=3, borderaxespad=0)
    label_axes(axes, title=t("lab.map_ends_title"))


def _draw_losses(figure: Figure, axes: Axes, found: Map) -> None:
    """If traces end in too many places to name: draw the loss at the end."""
    loss_HW = np.where(found.outcome_HW == DIVERGED, np.nan, found.loss_HW)
    mesh = axes.pcolormesh(*_grid(found), loss_HW, shading="nearest", cmap="viridis", rasterized=True)
    axes.patch.set(hatch="///", edgecolor=_DIVERGED)
    figure.colorbar(mesh, ax=axes, pad=0.02).set_label(t("lab.axis_loss"))
    label_axes(axes, title=t("lab.map_losses_title"))


def _draw_times(figure: Figure, axes: Axes, found: Map) -> None:
    steps_HW = np.where(found.outcome_HW == DIVERGED, np.nan, np.maximum(found.settled_HW, 1))
    norm = LogNorm(1, max(2, found.steps))
    mesh = axes.pcolormesh(*_grid(found), steps_HW, shading="nearest", cmap="viridis_r", norm=norm, rasterized=True)
    axes.patch.set(hatch="///", edgecolor=_DIVERGED)
    figure.colorbar(mesh, ax=axes, pad=0.02, format="{x:,.0f}").set_label(t("lab.map_steps"))
    hatched = t("lab.map_hatched") if np.isnan(steps_HW).any() else ""
    label_axes(axes, title=t("lab.map_times_title") + hatched)


def _finish(axes: Axes, found: Map) -> None:
    """Set names and ticks; over starts, also draw contour lines and critical points."""
    axes.set(xlabel=_axis_name(found.x_name), ylabel=_axis_name(found.y_name))
    axes.grid(visible=False)
    for axis, values in ((axes.xaxis, found.x_W), (axes.yaxis, found.y_H)):
        if not _is_even(values):
            chosen = np.unique(np.linspace(0, len(values) - 1, _TICKS).round().astype(int))
            axis.set_ticks(chosen, [level_text(float(values[index])) for index in chosen])
    if found.x_name == "x":
        heightmap = heightmap_of(found.surface)
        if len(heightmap.levels_L):
            axes.contour(
                heightmap.x_W,
                heightmap.y_H,
                heightmap.values_HW,
                levels=heightmap.levels_L,
                colors="white",
                linewidths=0.4,
            )
        draw_criticals(axes, found.surface)


def _axis_name(name: str) -> str:
    return t("lab.map_start", name=name) if name in "xy" else t("lab.map_hyper", name=name)


def _grid(found: Map) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions of the cells: their values if these are evenly spaced, else side by side."""
    return _places(found.x_W), _places(found.y_H)


def _places(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values if _is_even(values) else np.arange(float(len(values)))


def _is_even(values: NDArray[np.float64]) -> bool:
    gaps = np.diff(values)
    return bool(np.allclose(gaps, gaps[:1], rtol=1e-6))
