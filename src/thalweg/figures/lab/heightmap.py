"""A surface over its window, ready to be drawn: values on a grid, contour levels, heights for shading and for 3-D.

Where values run over more than a factor of twenty, levels and heights are logarithmic: a valley's floor is drawn as
clearly as its walls.

Legend: H rows (y), W columns (x), L levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from thalweg.i18n import t


if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from thalweg.surfaces import Surface

SIDE: Final = 385  # grid points a side

_LOG_FROM = 20.0  # ratio of the 95th to the 5th percentile
_MOST_LEVELS = 14
_DECADES = 6.0  # of height below the highest; deeper is the floor


@dataclass(frozen=True)
class Heightmap:
    """The shape of a surface over its window.

    Attributes:
        x_W: grid of the first weight.
        y_H: grid of the second weight.
        values_HW: the surface's values; NaN where it has none.
        levels_L: rising values at which contour lines are drawn.
        scale: how values become heights.
        low: the value at height 0; smaller ones lie there, too.
        high: the value at height 1; larger ones lie there, too.
    """

    x_W: NDArray[np.float64]
    y_H: NDArray[np.float64]
    values_HW: NDArray[np.float64]
    levels_L: NDArray[np.float64]
    scale: Literal["linear", "log"]
    low: float
    high: float

    def heights(self, values: ArrayLike) -> NDArray[np.float64]:
        """Values as heights in [0, 1], of the same shape; NaN lies at the top."""
        clipped = np.clip(np.nan_to_num(np.asarray(values, dtype=np.float64), nan=np.inf), self.low, self.high)
        if self.scale == "log":
            return np.log(clipped / self.low) / np.log(self.high / self.low)
        return (clipped - self.low) / (self.high - self.low)

    def contains(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.bool_]:
        """Whether positions lie inside the window."""
        across = np.greater_equal(x, self.x_W[0]) & np.less_equal(x, self.x_W[-1])
        return np.asarray(across & np.greater_equal(y, self.y_H[0]) & np.less_equal(y, self.y_H[-1]))

    @property
    def height_name(self) -> str:
        """The name of the height's axis."""
        return t("lab.axis_loss_log" if self.scale == "log" else "lab.axis_loss")


def heightmap_of(surface: Surface, *, side: int = SIDE) -> Heightmap:
    """Lay a grid over the surface's window and choose levels; cached, because moving the start changes nothing.

    Args:
        surface: any.
        side: grid points a side.
    """
    (left, right), (bottom, top) = surface.window
    return _laid(replace(surface, name="", window=((left, right), (bottom, top)), start=(0.0, 0.0)), side)


@lru_cache(maxsize=8)
def _laid(surface: Surface, side: int) -> Heightmap:
    x_W, y_H = (np.linspace(*ends, side) for ends in surface.window)
    with np.errstate(all="ignore"):
        values_HW = np.asarray(surface.value(*np.meshgrid(x_W, y_H)), dtype=np.float64)
    return heightmap_on(x_W, y_H, values_HW)


def heightmap_on(x_W: NDArray[np.float64], y_H: NDArray[np.float64], values_HW: NDArray[np.float64]) -> Heightmap:
    """Choose levels for values on a grid.

    Args:
        x_W: grid of the first weight.
        y_H: grid of the second weight.
        values_HW: one for each point of the grid; those that are not finite are no values.

    Example:
        >>> found = heightmap_on(np.arange(3.0), np.arange(2.0), np.array([[0.0, 1.0, 2.0], [1.0, 2.0, np.inf]]))
        >>> found.scale, found.heights([0.0, 1.0, np.nan]).tolist()
        ('linear', [0.0, 0.5, 1.0])
    """
    values_HW = np.where(np.isfinite(values_HW), values_HW, np.nan)
    scale, low, high = _span(values_HW[np.isfinite(values_HW)])
    return Heightmap(x_W, y_H, values_HW, _levels(scale, low, high), scale, low, high)


def level_text(value: float) -> str:
    """A level as a contour line's label.

    Example:
        >>> level_text(0.03), level_text(2000.0), level_text(1e-6)
        ('0.03', '2,000', '1e-6')
    """
    value = round(float(value), 12)  # numpy overflows where Python does not
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    digits, power = f"{value:.2e}".split("e")
    return f"{float(digits):g}e{int(power)}"


def _span(values_N: NDArray[np.float64]) -> tuple[Literal["linear", "log"], float, float]:
    """The scale, and the values at its two ends."""
    lowest, highest = (float(values_N.min()), float(values_N.max())) if values_N.size else (0.0, 1.0)
    if values_N.size and lowest >= 0 and highest > 0:
        fifth, most = np.quantile(values_N, (0.05, 0.95))
        if most > _LOG_FROM * fifth:
            positive_N = values_N[values_N > 0]
            return "log", max(float(np.quantile(positive_N, 0.0005)), highest * 10**-_DECADES), highest
    return "linear", lowest, highest if highest > lowest else lowest + max(1.0, abs(lowest))


def _levels(scale: Literal["linear", "log"], low: float, high: float) -> NDArray[np.float64]:
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(_MOST_LEVELS).tick_values(low, high) if scale == "linear" else _powers(low, high)
    levels_L = np.asarray(found, dtype=np.float64)
    return levels_L[(levels_L > low) & (levels_L < high)]


def _powers(low: float, high: float) -> NDArray[np.float64]:
    """1, 2, 5, 10, ... or 1, 3, 10, ... or whole decades: the finest that stays below the most levels."""
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        levels_L = np.multiply.outer(decades, np.array(factors, dtype=np.float64)).ravel()
        if np.count_nonzero((levels_L > low) & (levels_L < high)) <= _MOST_LEVELS:
            return levels_L
    return decades[:: int(np.ceil(len(decades) / _MOST_LEVELS))]
