"""How far updates move each layer during a run: one row per layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from thalweg.figures.style import GRID, QUIET, label_axes, picture
from thalweg.history.columns import UPDATE_RATIO as SUFFIX
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.figures.style import Target
    from thalweg.history import History

USUAL = -3  # a thousandth, as a power of ten
_REACH = 3  # the colors cover this many powers of ten on either side
_ROW = 0.16  # inches, enough for a name
_MOST_NAMES = 100


def layers(history: History, path: Target) -> None:
    """Draw the update ratio of every layer as a color, in the order of the model.

    White is about a thousandth, which is usual. The redder a layer, the farther its updates move it; the bluer, the
    less it learns. Gray means not measured or not finite. Every row has its name, up to a hundred layers.

    Args:
        history: columns `step` and `LAYER.update_ratio`.
        path: the PNG file, or a `Kept`.

    Raises:
        StorageError: the file cannot be written.
    """
    names = [name.removesuffix(SUFFIX) for name in history.units if name.endswith(SUFFIX)]
    height = 2.6 + _ROW * min(max(len(names), 8), _MOST_NAMES)
    with picture(path, width=9, height=height) as figure:
        axes = figure.subplots()
        label_axes(axes, title=t("figures.layers_title"), x=t("figures.step"))
        if not len(history) or not names:
            axes.text(0.5, 0.5, t("figures.nothing_yet"), transform=axes.transAxes, ha="center", color=QUIET)
            return
        with np.errstate(divide="ignore", invalid="ignore"):
            power_LK = np.log10(np.stack([history[name + SUFFIX] for name in names]))
        power_LK[~np.isfinite(power_LK) & ~np.isneginf(power_LK)] = np.nan
        axes.set_facecolor(GRID)
        axes.grid(visible=False)
        mesh = axes.pcolormesh(
            _edges(history["step"]),
            np.arange(len(names) + 1) - 0.5,
            np.ma.masked_invalid(np.where(np.isneginf(power_LK), USUAL - _REACH, power_LK)),
            cmap="RdBu_r",
            vmin=USUAL - _REACH,
            vmax=USUAL + _REACH,
        )
        every = -(-len(names) // _MOST_NAMES)
        axes.set_yticks(range(0, len(names), every), names[::every], fontsize=7)
        axes.set_ylim(len(names) - 0.5, -0.5)  # the first layer on top
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        powers = range(USUAL - _REACH, USUAL + _REACH + 1)
        bar = figure.colorbar(mesh, ax=axes, extend="both", ticks=list(powers), pad=0.02)
        bar.ax.set_yticklabels([f"$10^{{{power}}}$" for power in powers])
        bar.set_label(t("figures.update_ratio"))


def _edges(step_K: np.ndarray) -> np.ndarray:
    """The ranges of steps for which each measured step stands."""
    middles = (step_K[1:] + step_K[:-1]) / 2
    return np.concatenate([[step_K[0] - 0.5], middles, [step_K[-1] + 0.5]])
