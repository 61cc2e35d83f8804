"""The evaluation of a run in pictures: confusion of classes, most confident mistakes, reliability of the confidence.

Shape suffixes: N photos, M of them shown, C classes (channels of a photo), B bins, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from matplotlib import colormaps

from thalweg.figures.style import BLUE, GRID, INK, QUIET, VERMILLION, label_axes, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from thalweg.figures.style import Target

BINS = 10
MOST_SHOWN = 24

_COLUMNS = 6
_CELL = 1.75  # inches
_LONGEST_NAME = 16
_LONGEST_LABELS = 26


_MOST_WITH_NUMBERS = 20
_LONGEST_TICK = 20


class Cell(NamedTuple):
    """A photo in a grid: its class, another one with its probability in [0, 1], and its name."""

    image_HWC: NDArray[np.uint8]
    given: str
    other: str
    probability: float
    name: str


def confusion(matrix_CC: NDArray[np.integer], classes: Sequence[str], path: Target) -> None:
    """Draw a confusion matrix: colors are shares of the true class, a cell's text its count and its share.

    Above 20 classes the cells have no room for numbers and get none.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).
        classes: names.
        path: the PNG file, or a `Kept`.

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
    names = [literal(name, longest=_LONGEST_TICK) for name in classes]
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
    """Count and share as text; empty for a count of zero."""
    size = 11 if len(matrix_CC) <= 5 else 7.5
    for row, column in np.argwhere(matrix_CC > 0):
        share = shares_CC[row, column]
        text = f"{matrix_CC[row, column]:,}\n{100 * share:.0f} %"
        color = "black" if share > 0.5 else "white"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)


def most_confident(
    labels_N: NDArray[np.integer], predicted_N: NDArray[np.integer], probability_N: NDArray[np.floating]
) -> NDArray[np.int64]:
    """The misclassified photos, the most confident first; ties keep their order.

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
    path: Target,
    names: Sequence[str],
) -> NDArray[np.int64]:
    """Draw the most confident mistakes, at most 24, each with its true class, the predicted one, and its probability.

    Args:
        images_NHWC: RGB photos as the network saw them, in [0, 255].
        labels_N: the true classes.
        predicted_N: the predicted classes.
        probability_N: of the predicted classes, in [0, 1].
        classes: names of the classes.
        path: the PNG file, or a `Kept`.
        names: of the photos.

    Returns:
        (M,), the rows of the shown photos, the most confident first.

    Raises:
        StorageError: the file cannot be written.
    """
    wrong = most_confident(labels_N, predicted_N, probability_N)
    shown = wrong[:MOST_SHOWN]
    cells = []
    for row in map(int, shown):
        true, predicted = (classes[int(found[row])] for found in (labels_N, predicted_N))
        cells.append(Cell(images_NHWC[row], true, predicted, float(probability_N[row]), names[row]))
    _draw_grid(cells, _mistakes_title(len(shown), len(wrong), len(labels_N)), path)
    return shown


def doubted(cells: Sequence[Cell], count: int, path: Target) -> None:
    """Draw photos with doubted labels: the label, the suggested class, and its probability.

    Args:
        cells: with the suggested class as the other, the most doubted first; at most 24 are drawn.
        count: number of all doubted photos.
        path: the PNG file.

    Raises:
        StorageError: the file cannot be written.
    """
    shown = cells[:MOST_SHOWN]
    _draw_grid(shown, t("figures.doubted_title", shown=len(shown), count=count), path)


def wrongly_labeled(cells: Sequence[Cell], wrong: int, count: int, path: Target) -> None:
    """Draw photos that were given a wrong label or miss one: their labels, and the most confidently wrong one.

    Args:
        cells: with that label as the other, after `+` if it was given, after `−` if it is missing; 24 are drawn.
        wrong: number of all such photos.
        count: number of photos.
        path: the PNG file, or a `Kept`.

    Raises:
        StorageError: the file cannot be written.
    """
    shown = cells[:MOST_SHOWN]
    title = t("figures.wrong_labels_title", shown=len(shown), wrong=wrong, count=count)
    title = title if wrong else t("figures.no_wrong_labels", count=count)
    _draw_grid(shown, title, path, longest=_LONGEST_LABELS)


def _draw_grid(cells: Sequence[Cell], title: str, path: Target, *, longest: int = _LONGEST_NAME) -> None:
    rows = -(-len(cells) // _COLUMNS)
    with picture(path, width=_CELL * _COLUMNS, height=(_CELL + 0.45) * rows + 0.6) as figure:
        figure.suptitle(title, x=0.01, ha="left", fontsize=12)
        places = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat) if rows else []
        for axes in places[len(cells) :]:
            axes.set_axis_off()
        for axes, cell in zip(places, cells, strict=False):
            given, other = (literal(name, longest=longest) for name in (cell.given, cell.other))
            heading = f"{given}\n→ {other}  {100 * cell.probability:.0f} %"
            _draw_photo(axes, cell.image_HWC, heading, literal(cell.name, longest=26))


def _draw_photo(axes: Axes, image_HWC: NDArray[np.uint8], heading: str, name: str) -> None:
    # a small photo shows its pixels; a larger one is smoothed
    axes.imshow(image_HWC, interpolation="nearest" if len(image_HWC) < 64 else "antialiased")
    axes.set_title(heading, fontsize=7.5, pad=3)
    axes.set_xlabel(name, fontsize=6.5, color=QUIET, labelpad=2)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _mistakes_title(shown: int, wrong: int, count: int) -> str:
    if not wrong:
        return t("figures.no_mistakes", count=count)
    return t("figures.mistakes_title", shown=shown, wrong=wrong, count=count)


class Reliability(NamedTuple):
    """Photos in bins of equal width, by the probability of their predicted class.

    Attributes:
        confidence_B: mean probability of the predicted class; NaN in an empty bin.
        accuracy_B: share of the photos that are classified correctly; NaN in an empty bin.
        count_B: number of photos.
        error: expected calibration error: mean of |accuracy - confidence| over the photos.
    """

    confidence_B: NDArray[np.float64]
    accuracy_B: NDArray[np.float64]
    count_B: NDArray[np.int64]
    error: float


def reliability_of(confidence_N: NDArray[np.floating], right_N: NDArray[np.bool_]) -> Reliability:
    """Compute confidence and accuracy for each bin.

    Args:
        confidence_N: the probability of the predicted class, in [0, 1].
        right_N: whether it is the true class.

    Example:
        >>> found = reliability_of(np.array([0.95, 0.95, 0.65, 0.65]), np.array([True, True, True, False]))
        >>> round(found.error, 3)  # (2·0.05 + 2·0.15) / 4
        0.1

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 2.
    """
    bin_N = np.minimum((confidence_N * BINS).astype(np.int64), BINS - 1)
    count_B = np.bincount(bin_N, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence_B = np.bincount(bin_N, confidence_N, BINS) / count_B
        accuracy_B = np.bincount(bin_N, right_N, BINS) / count_B
    error = float(np.nansum(np.abs(accuracy_B - confidence_B) * count_B) / max(len(right_N), 1))
    return Reliability(confidence_B, accuracy_B, count_B, error)


def reliability(
    plain_N: NDArray[np.floating],
    scaled_N: NDArray[np.floating],
    right_N: NDArray[np.bool_],
    path: Target,
    *,
    temperature: float,
    answers: str | None = None,
) -> None:
    """Draw the reliability of the network's own probabilities, and of those scaled by a temperature.

    Args:
        plain_N: the network's own probability of each photo's predicted class, in [0, 1].
        scaled_N: the scaled probability.
        right_N: whether the predicted class is the true one.
        path: the PNG file, or a `Kept`.
        temperature: by which the logits were divided.
        answers: the title, if what has a probability are answers, yes or no; None: photos.

    Raises:
        StorageError: the file cannot be written.
    """
    plain, scaled = reliability_of(plain_N, right_N), reliability_of(scaled_N, right_N)
    suffix, title = "_answers" if answers else "", answers or t("figures.reliability_title", count=len(right_N))
    with picture(path, width=7.5, height=8) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
        above.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":", label=t("figures.reliability_ideal"))
        for found, name, color, marker in ((plain, "plain", BLUE, "o"), (scaled, "scaled", VERMILLION, "s")):
            label = t(f"figures.reliability_{name}", error=100 * found.error, temperature=temperature)
            held = found.count_B > 0
            above.plot(found.confidence_B[held], found.accuracy_B[held], color=color, marker=marker, label=label)
        # below both lines: a point may lie anywhere
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower left", ncols=1)
        label_axes(above, title=title, y=t(f"figures.share_right{suffix}"))
        _draw_counts(below, scaled, suffix)


def _draw_counts(axes: Axes, found: Reliability, suffix: str) -> None:
    """Draw the number of photos, or of answers, in each bin."""
    middle_B = (np.arange(BINS) + 0.5) / BINS
    bars = axes.bar(middle_B, found.count_B, width=0.9 / BINS, color=GRID, edgecolor=INK, linewidth=0.8)
    axes.bar_label(bars, labels=[f"{count:,}" for count in found.count_B], fontsize=8)
    axes.margins(y=0.2)
    axes.set_xlim(0, 1)
    label_axes(axes, x=t(f"figures.confidence{suffix}"), y=t(f"figures.photos{suffix}"))
