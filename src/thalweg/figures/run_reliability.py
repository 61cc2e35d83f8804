"""How often a prediction is right that says it is sure.

Shape suffixes: N photos, C classes, B bins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thalweg.figures.style import BLUE, GRID, INK, QUIET, VERMILLION, label_axes, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BINS = 10


class Reliability(NamedTuple):
    """Photos by the probability of their predicted class, in bins of equal width.

    Attributes:
        confidence_B: mean probability of the predicted class; NaN in an empty bin.
        accuracy_B: share of the photos that are right; NaN in an empty bin.
        count_B: photos.
        error: expected calibration error: mean of |accuracy - confidence| over the photos.
    """

    confidence_B: NDArray[np.float64]
    accuracy_B: NDArray[np.float64]
    count_B: NDArray[np.int64]
    error: float


def reliability_of(probability_NC: NDArray[np.floating], labels_N: NDArray[np.integer]) -> Reliability:
    """Confidence and accuracy, bin by bin.

    Args:
        probability_NC: rows add up to 1.
        labels_N: the true classes.

    Example:
        >>> sure = np.array([[0.95, 0.05], [0.95, 0.05], [0.35, 0.65], [0.35, 0.65]])
        >>> round(reliability_of(sure, np.array([0, 0, 1, 0])).error, 3)  # (2·0.05 + 2·0.15) / 4
        0.1

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 2.
    """
    confidence_N = probability_NC.max(axis=1)
    right_N = probability_NC.argmax(axis=1) == labels_N
    bin_N = np.minimum((confidence_N * BINS).astype(np.int64), BINS - 1)
    count_B = np.bincount(bin_N, minlength=BINS)
    with np.errstate(invalid="ignore"):
        confidence_B = np.bincount(bin_N, confidence_N, BINS) / count_B
        accuracy_B = np.bincount(bin_N, right_N, BINS) / count_B
    error = float(np.nansum(np.abs(accuracy_B - confidence_B) * count_B) / max(len(labels_N), 1))
    return Reliability(confidence_B, accuracy_B, count_B, error)


def reliability(
    plain_NC: NDArray[np.floating],
    scaled_NC: NDArray[np.floating],
    labels_N: NDArray[np.integer],
    path: Path,
    *,
    temperature: float,
) -> None:
    """Draw the reliability of probabilities as the network gives them, and scaled by a temperature.

    Args:
        plain_NC: as the network gives them.
        scaled_NC: scaled.
        labels_N: the true classes.
        path: the PNG file.
        temperature: by which they are scaled.

    Raises:
        StorageError: the file cannot be written.
    """
    plain, scaled = reliability_of(plain_NC, labels_N), reliability_of(scaled_NC, labels_N)
    with picture(path, width=7.5, height=8) as figure:
        above, below = figure.subplots(2, 1, height_ratios=(3, 1), sharex=True)
        above.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=":", label=t("figures.reliability_ideal"))
        for found, name, color, marker in ((plain, "plain", BLUE, "o"), (scaled, "scaled", VERMILLION, "s")):
            label = t(f"figures.reliability_{name}", error=100 * found.error, temperature=temperature)
            held = found.count_B > 0
            above.plot(found.confidence_B[held], found.accuracy_B[held], color=color, marker=marker, label=label)
        # below both: a point may lie anywhere
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower left", ncols=1)
        label_axes(above, title=t("figures.reliability_title", count=len(labels_N)), y=t("figures.share_right"))
        _draw_counts(below, scaled)


def _draw_counts(axes: Axes, found: Reliability) -> None:
    """How many photos a point stands for: few photos prove little."""
    middle_B = (np.arange(BINS) + 0.5) / BINS
    bars = axes.bar(middle_B, found.count_B, width=0.9 / BINS, color=GRID, edgecolor=INK, linewidth=0.8)
    axes.bar_label(bars, labels=[f"{count:,}" for count in found.count_B], fontsize=8)
    axes.margins(y=0.2)
    axes.set_xlim(0, 1)
    label_axes(axes, x=t("figures.confidence"), y=t("figures.photos"))
