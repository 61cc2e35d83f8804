"""How well a run finds each class, where photos may have several: average precision, and F1 at the threshold.

Shape suffixes: C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.style import BLUE, INK, VERMILLION, label_axes, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.figures.style import Target

MOST_SHOWN = 60  # classes; of more, those that are found worst

_LONGEST_NAME = 24
_ROW = 0.27  # inches


def average_precision(
    precision_C: NDArray[np.floating],
    f1_C: NDArray[np.floating],
    share_C: NDArray[np.floating],
    classes: Sequence[str],
    path: Target,
    *,
    photos: int,
) -> None:
    """Draw the average precision of each class, the best class first, beside what a guess would reach.

    Args:
        precision_C: average precision, in [0, 1]; NaN for a class without photos, which is not drawn.
        f1_C: F1 at the threshold of the class, in [0, 1].
        share_C: share of the photos that have the class: the average precision of a guess.
        classes: names.
        path: the PNG file, or a `Kept`.
        photos: number of photos.

    Raises:
        StorageError: the file cannot be written.
    """
    order = np.argsort(-np.nan_to_num(precision_C, nan=-1), kind="stable")
    known = order[~np.isnan(precision_C[order])]
    shown = known[-MOST_SHOWN:]
    places = np.arange(len(shown))
    with picture(path, width=8, height=2.4 + _ROW * len(shown)) as figure:
        axes = figure.subplots()
        axes.barh(places, 100 * precision_C[shown], color=BLUE, height=0.7, label=t("figures.average_precision"))
        axes.plot(100 * f1_C[shown], places, "D", color=VERMILLION, markersize=5, label=t("figures.f1_at_threshold"))
        axes.plot(
            100 * share_C[shown], places, "|", color=INK, markersize=11, markeredgewidth=2, label=t("figures.guess")
        )
        for place, value in zip(places, 100 * precision_C[shown], strict=True):
            axes.text(101, float(place), f"{value:.1f}", va="center", fontsize=8)
        axes.set_yticks(places, [literal(classes[label], longest=_LONGEST_NAME) for label in map(int, shown)])
        axes.invert_yaxis()
        axes.set_xlim(0, 107)
        axes.set_xticks(range(0, 101, 20))
        axes.grid(visible=False, axis="y")
        mean = 100 * float(precision_C[known].mean()) if len(known) else 0.0
        key = "average_precision_title" if len(shown) == len(known) else "average_precision_title_some"
        title = t(f"figures.{key}", mean=mean, classes=len(known), shown=len(shown), photos=photos)
        label_axes(axes, title=title, x=t("figures.average_precision_axis"))
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=3)
