"""The photos on which the network was wrong and sure of it.

Shape suffixes: N photos, M of them shown, H height, W width, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.style import QUIET, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

MOST_SHOWN = 24

_COLUMNS = 6
_CELL = 1.75  # inches
_LONGEST_NAME = 16


def most_confident(
    labels_N: NDArray[np.integer], predicted_N: NDArray[np.integer], probability_N: NDArray[np.floating]
) -> NDArray[np.int64]:
    """The wrong photos, the surest first; of equals, in their order.

    Example:
        >>> most_confident(np.array([0, 1, 1]), np.array([1, 1, 0]), np.array([0.6, 0.9, 0.8])).tolist()
        [2, 0]
    """
    wrong = np.flatnonzero(np.asarray(labels_N) != np.asarray(predicted_N))
    return wrong[np.argsort(-np.asarray(probability_N)[wrong], kind="stable")]


def mistakes(  # noqa: PLR0917 - four arrays of one length, then what all pictures take
    images_NHWC: NDArray[np.uint8] | Sequence[NDArray[np.uint8]],
    labels_N: NDArray[np.integer],
    predicted_N: NDArray[np.integer],
    probability_N: NDArray[np.floating],
    classes: Sequence[str],
    path: Path,
    names: Sequence[str],
) -> NDArray[np.int64]:
    """Draw the most confident mistakes, at most 24, each with its true class, the predicted one, and how sure.

    Args:
        images_NHWC: RGB photos as the network saw them, in [0, 255].
        labels_N: the true classes.
        predicted_N: the predicted classes.
        probability_N: of the predicted classes, in [0, 1].
        classes: names of the classes.
        path: the PNG file.
        names: of the photos.

    Returns:
        (M,), which photos are shown, the surest first.

    Raises:
        StorageError: the file cannot be written.
    """
    wrong = most_confident(labels_N, predicted_N, probability_N)
    shown = wrong[:MOST_SHOWN]
    rows = -(-len(shown) // _COLUMNS)
    with picture(path, width=_CELL * _COLUMNS, height=(_CELL + 0.45) * rows + 0.6) as figure:
        figure.suptitle(_title(len(shown), len(wrong), len(labels_N)), x=0.01, ha="left", fontsize=12)
        cells = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat) if rows else []
        for axes in cells[len(shown) :]:
            axes.set_axis_off()
        for axes, row in zip(cells, map(int, shown), strict=False):
            true, predicted = (
                literal(classes[int(found[row])], longest=_LONGEST_NAME) for found in (labels_N, predicted_N)
            )
            heading = f"{true}\n→ {predicted}  {100 * probability_N[row]:.0f} %"
            _draw_photo(axes, images_NHWC[row], heading, literal(names[row], longest=26))
    return shown


def _draw_photo(axes: Axes, image_HWC: NDArray[np.uint8], heading: str, name: str) -> None:
    # a photo of few pixels is shown as these pixels, a larger one smoothly
    axes.imshow(image_HWC, interpolation="nearest" if len(image_HWC) < 64 else "antialiased")
    axes.set_title(heading, fontsize=7.5, pad=3)
    axes.set_xlabel(name, fontsize=6.5, color=QUIET, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _title(shown: int, wrong: int, count: int) -> str:
    if not wrong:
        return t("figures.no_mistakes", count=count)
    return t("figures.mistakes_title", shown=shown, wrong=wrong, count=count)
