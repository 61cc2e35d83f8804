"""The confusion of more classes than a matrix can name: blocks of similar classes, confused pairs, sorted accuracies.

Shape suffixes: C classes, B blocks of classes, P pairs of classes, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import LinearSegmentedColormap, PowerNorm
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator

from thalweg.figures.class_choice import by_accuracy, by_similarity, confused_pairs
from thalweg.figures.style import BLUE, GRID, QUIET, VERMILLION, label_axes, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure
    from numpy.typing import NDArray

    from thalweg.figures.class_choice import Pair
    from thalweg.figures.style import Target

MOST_PAIRS: Final = 30

_WIDTH, _HEIGHT = 16.0, 13.0  # inches
_MOST_CELLS: Final = 500  # along a side of the matrix: more than pixels would be lost when it is drawn
_EXTREMES: Final = 10  # classes named at each end
_LONGEST_NAME: Final = 24
_NARROW: Final = 20  # in a pair, where two names stand side by side
_LEAST: Final = 0.001  # share of photos below which a cell is white
_SIDE: Final = 27  # points, of an example


class Example(NamedTuple):
    """Two photos of a confused pair, each None if there is none: a mistake, and the class it is taken for."""

    mistake_HW3: NDArray[np.uint8] | None
    other_HW3: NDArray[np.uint8] | None


class Blocks(NamedTuple):
    """A confusion matrix in which similar classes are neighbors, reduced to cells of several classes.

    Attributes:
        share_BB: photos predicted as a class of the column, divided by the photos of the row; NaN without photos.
        width: classes in a row or column of cells; the last one may have fewer.
    """

    share_BB: NDArray[np.float64]
    width: int


def blocks_of(matrix_CC: NDArray[np.integer], most: int = _MOST_CELLS) -> Blocks:
    """Order classes by similarity, and add up what has no pixels of its own.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).
        most: cells along a side, at most.

    Example:
        >>> matrix = np.array([[3, 0, 1, 0], [0, 4, 0, 0], [1, 0, 3, 0], [0, 0, 0, 4]])
        >>> blocks_of(matrix, most=2).share_BB.tolist()  # classes 0 and 2 are similar
        [[1.0, 0.0], [0.0, 1.0]]
    """
    count = len(matrix_CC)
    width = -(-count // most)
    place_C = np.empty(count, dtype=np.int64)
    place_C[by_similarity(matrix_CC)] = np.arange(count) // width
    true_P, predicted_P = np.nonzero(matrix_CC)
    photos_BB = np.zeros((-(-count // width),) * 2, dtype=np.int64)
    np.add.at(photos_BB, (place_C[true_P], place_C[predicted_P]), matrix_CC[true_P, predicted_P])
    sums_B1 = photos_BB.sum(axis=1, keepdims=True)
    share_BB = np.divide(photos_BB, sums_B1, out=np.full(photos_BB.shape, np.nan), where=sums_B1 > 0)
    return Blocks(share_BB, width)


def confusion_of_many(
    matrix_CC: NDArray[np.integer],
    classes: Sequence[str],
    path: Target,
    examples: Sequence[Example] = (),
) -> None:
    """Draw the confusion of any number of classes, in 2,400 × 1,950 pixels.

    The matrix has no names; its classes are in order of similarity, so that confusions lie in blocks at the diagonal.
    Beside it are the 30 most confused pairs, and below it the accuracy of every class, sorted, with the ends named.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).
        classes: names.
        path: the PNG file, or a `Kept`.
        examples: photos of the most confused pairs, in their order; may be fewer, or none.

    Raises:
        StorageError: the file cannot be written.
    """
    matrix_CC = np.asarray(matrix_CC)
    with picture(path, width=_WIDTH, height=_HEIGHT) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(9, 8), squeeze=False)[0]
        above, below = left.subfigures(2, 1, height_ratios=(9, 4), squeeze=False)[:, 0]
        _draw_blocks(above, matrix_CC)
        _draw_accuracies(below, matrix_CC, classes)
        _draw_pairs(right, confused_pairs(matrix_CC, MOST_PAIRS), classes, examples)


def _draw_blocks(home: SubFigure, matrix_CC: NDArray[np.integer]) -> None:
    found = blocks_of(matrix_CC)
    total, right = int(matrix_CC.sum()), int(np.trace(matrix_CC))
    axes = home.subplots()
    # a square root keeps a small share visible: most confusions of many classes are small
    norm = PowerNorm(0.5, vmin=_LEAST, vmax=1)
    colors = LinearSegmentedColormap.from_list("", colormaps["Blues"](np.linspace(0.3, 1, 256)))
    colors = colors.with_extremes(bad=GRID, under="white")
    image = axes.imshow(np.ma.masked_invalid(found.share_BB), cmap=colors, norm=norm, interpolation="nearest")
    accuracy = 100 * right / total if total else 0.0
    note = t("figures.by_similarity", count=len(matrix_CC))
    if found.width > 1:
        note += "\n" + t("figures.blocks", width=found.width)
    label_axes(
        axes,
        title=t("figures.confusion_title", right=right, total=total, accuracy=accuracy),
        x=f"{t('figures.predicted')}\n{note}",
        y=t("figures.true"),
    )
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set(visible=True, color=QUIET)
    ticks = (_LEAST, 0.01, 0.05, 0.1, 0.25, 0.5, 1)
    bar = home.colorbar(image, ax=axes, shrink=0.8, ticks=ticks, format=lambda share, _: f"{100 * share:.3g}")
    bar.set_label(t("figures.share_of_true"))


def _draw_accuracies(home: SubFigure, matrix_CC: NDArray[np.integer], classes: Sequence[str]) -> None:
    """The accuracy of each class as a sorted curve; beside it, the names of its ends."""
    order = by_accuracy(matrix_CC)
    photos_C = matrix_CC.sum(axis=1)
    accuracy_C = np.diagonal(matrix_CC) / np.maximum(photos_C, 1)
    axes, worst, best = home.subplots(1, 3, width_ratios=(5, 3, 3))
    axes.plot(np.arange(1, len(order) + 1), 100 * accuracy_C[order], color=BLUE, drawstyle="steps-mid")
    axes.set_ylim(-3, 103)
    empty = len(classes) - len(order)
    note = "\n" + t("figures.classes_without_photos", count=empty) if empty else ""
    label_axes(
        axes, title=t("figures.accuracies_title"), x=t("figures.classes_sorted") + note, y=t("figures.accuracy_percent")
    )
    ends = (order[:_EXTREMES], order[::-1][:_EXTREMES])
    for place, indices, key, color in ((worst, ends[0], "worst", VERMILLION), (best, ends[1], "best", BLUE)):
        place.set_axis_off()
        place.set_title(t(f"figures.classes_{key}", count=len(indices)), fontsize=10, color=color)
        for row, index in enumerate(indices):
            height = 1 - (row + 0.5) / _EXTREMES
            share = t("figures.share_of", share=100 * accuracy_C[index], count=int(photos_C[index]))
            place.text(0, height, share, fontsize=8, color=QUIET, va="center")
            place.text(0.42, height, literal(classes[index], longest=_LONGEST_NAME), fontsize=8, va="center")


def _draw_pairs(home: SubFigure, pairs: Sequence[Pair], classes: Sequence[str], examples: Sequence[Example]) -> None:
    """The most confused pairs: the names and two photos of each, and a bar with the number of photos."""
    axes = home.subplots()
    home.suptitle(t("figures.pairs_title", count=len(pairs)), x=0.02, ha="left", fontsize=12)
    names = [f"{_name(classes, pair.true)} → {_name(classes, pair.predicted)}" for pair in pairs]
    axes.set_yticks(range(len(pairs)), names, fontsize=8)
    axes.tick_params(axis="y", length=0, pad=2.3 * _SIDE if examples else 4)
    bars = axes.barh(range(len(pairs)), [pair.photos for pair in pairs], color=BLUE, height=0.55)
    shares = [t("figures.pair_share", photos=pair.photos, share=100 * pair.share) for pair in pairs]
    axes.bar_label(bars, labels=shares, fontsize=8, padding=3)
    axes.set_ylim(MOST_PAIRS - 0.5, -0.5)
    axes.set_xlim(0, 1.3 * max((pair.photos for pair in pairs), default=1))  # room for the numbers
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=False, axis="y")
    label_axes(axes, x=t("figures.photos"))
    for row, example in enumerate(examples[: len(pairs)]):
        _draw_example(axes, row, example)


def _name(classes: Sequence[str], index: int) -> str:
    return literal(classes[index], longest=_NARROW)


def _draw_example(axes: Axes, row: int, example: Example) -> None:
    """Two photos between the names and the bar."""
    for place, image_HW3 in zip((-1.65, -0.6), example, strict=True):
        if image_HW3 is not None:
            side = len(image_HW3)
            image = OffsetImage(image_HW3, zoom=_SIDE / side, interpolation="nearest" if side < 64 else "antialiased")
            box = AnnotationBbox(
                image, (0, row), xybox=(place * _SIDE, 0), boxcoords="offset points", frameon=False, pad=0
            )
            axes.add_artist(box)
