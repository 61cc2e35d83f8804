"""Which class is taken for which."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps

from thalweg.figures.style import GRID, label_axes, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_MOST_WITH_NUMBERS = 20
_LONGEST_NAME = 20


def confusion(matrix_CC: NDArray[np.integer], classes: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix: colors are shares of the true class, a cell's text its count and its share.

    Above 20 classes the cells have no room for numbers and get none.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).
        classes: names.
        path: the PNG file.

    Raises:
        StorageError: the file cannot be written.
    """
    matrix_CC = np.asarray(matrix_CC)
    shares_CC = shares_of_rows(matrix_CC)
    count = len(classes)
    side = float(np.clip(2.5 + 0.62 * count, 5.5, 15))
    with picture(path, width=side + 1.6, height=side) as figure:
        axes = figure.subplots()
        colors = colormaps["viridis"].with_extremes(bad=GRID)
        image = axes.imshow(np.ma.masked_invalid(shares_CC), cmap=colors, vmin=0, vmax=1)
        total, right = int(matrix_CC.sum()), int(np.trace(matrix_CC))
        accuracy = 100 * right / total if total else 0.0
        title = t("figures.confusion_title", right=right, total=total, accuracy=accuracy)
        label_axes(axes, title=title, x=t("figures.predicted"), y=t("figures.true"))
        _name_classes(axes, classes)
        if count <= _MOST_WITH_NUMBERS:
            _write_numbers(axes, matrix_CC, shares_CC)
        bar = figure.colorbar(image, ax=axes, shrink=0.8, format=lambda share, _: f"{100 * share:.0f}")
        bar.set_label(t("figures.share_of_true"))


def shares_of_rows(matrix_CC: NDArray[np.integer]) -> NDArray[np.float64]:
    """Each count divided by its row's sum; NaN in a row without photos.

    Example:
        >>> shares_of_rows(np.array([[3, 1], [0, 2]])).tolist()
        [[0.75, 0.25], [0.0, 1.0]]
    """
    sums_C1 = matrix_CC.sum(axis=1, keepdims=True)
    return np.divide(matrix_CC, sums_C1, out=np.full(matrix_CC.shape, np.nan), where=sums_C1 > 0)


def _name_classes(axes: Axes, classes: Sequence[str]) -> None:
    names = [literal(name, longest=_LONGEST_NAME) for name in classes]
    ticks = range(len(names))
    size = 9 if len(names) <= 30 else max(6, 270 / len(names))
    upright = max(map(len, names), default=0) <= 3 and len(names) <= _MOST_WITH_NUMBERS
    rotation = {} if upright else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(ticks, names, fontsize=size, **rotation)
    axes.set_yticks(ticks, names, fontsize=size)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _write_numbers(axes: Axes, matrix_CC: NDArray[np.integer], shares_CC: NDArray[np.float64]) -> None:
    """Count and share; nothing where there is nothing."""
    size = 11 if len(matrix_CC) <= 5 else 7.5
    for row, column in np.argwhere(matrix_CC > 0):
        share = shares_CC[row, column]
        text = f"{matrix_CC[row, column]:,}\n{100 * share:.0f} %"
        color = "black" if share > 0.5 else "white"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
