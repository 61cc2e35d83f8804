"""Scores of each class.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from math import isnan, sqrt
from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.class_choice import confused_pairs
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_NAMED = 10  # classes


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class of a confusion matrix.

    Attributes:
        photos: number of photos of the class.
        recall: share of the class's photos that are predicted as it; NaN without photos.
        precision: share of the photos predicted as the class that belong to it; NaN if there are none.
        f1: harmonic mean of both; NaN if one is NaN, 0 if both are 0.
        taken_for: the most frequent wrong prediction; None without mistakes.
        taken_times: how often it occurs.
    """

    photos: int
    recall: float
    precision: float
    f1: float
    taken_for: int | None
    taken_times: int


def class_scores(matrix_CC: NDArray[np.int64]) -> list[ClassScore]:
    """Precision, recall and F1 of every class.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).

    Example:
        >>> first, second = class_scores(np.array([[3, 1], [0, 2]]))
        >>> first.recall, first.precision, first.taken_for, second.taken_for
        (0.75, 1.0, 1, None)
    """
    found_C, photos_C, predicted_C = np.diagonal(matrix_CC), matrix_CC.sum(axis=1), matrix_CC.sum(axis=0)
    most_C, times_C = _most_taken_for(matrix_CC)
    columns = (values.tolist() for values in (found_C, photos_C, predicted_C, most_C, times_C))
    return [_score(*values) for values in zip(*columns, strict=True)]


def scores_table(matrix_CC: NDArray[np.int64], classes: Sequence[str]) -> str:
    """The scores of every class as CSV; a number that is not known is empty.

    Example:
        >>> print(scores_table(np.array([[3, 1], [0, 0]]), ["cat", "dog"]), end="")
        class,photos,recall,precision,f1,taken_for,taken_times
        cat,4,0.750000,1.000000,0.857143,dog,1
        dog,0,,0.000000,,,0
    """
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["class", "photos", "recall", "precision", "f1", "taken_for", "taken_times"])
    for name, one in zip(classes, class_scores(matrix_CC), strict=True):
        shares = ["" if isnan(share) else f"{share:.6f}" for share in (one.recall, one.precision, one.f1)]
        other = "" if one.taken_for is None else classes[one.taken_for]
        writer.writerow([name, one.photos, *shares, other, one.taken_times])
    return lines.getvalue()


def largest_class(labels_N: NDArray[np.integer], classes: int) -> tuple[int, float]:
    """The most frequent class, and its share: the accuracy of always guessing it.

    Example:
        >>> largest_class(np.array([0, 1, 1, 2]), 3)
        (1, 0.5)
    """
    counts_C = np.bincount(labels_N, minlength=classes)
    largest = int(counts_C.argmax())
    return largest, float(counts_C[largest] / max(1, len(labels_N)))


def unvalidated(labels_N: NDArray[np.integer], classes: Sequence[str]) -> str:
    """A sentence that names the classes without photos, the first ten of them; empty if each has some.

    Example:
        >>> unvalidated(np.array([0, 2]), ["cat", "dog", "owl"])
        'Classes without validation photos, so without recall (1): dog.'
    """
    missing = np.flatnonzero(np.bincount(labels_N, minlength=len(classes)) == 0).tolist()
    names = [classes[label] for label in missing[:_NAMED]] + ["…"] * (len(missing) > _NAMED)
    return t("report.classes_unvalidated", count=len(missing), names=joined(names)) if missing else ""


def wilson_interval(right: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share, if `right` of `count` were correct.

    With `p = right/count`, `z = 1.96`: `(p + z²/2n ± z·√(p(1-p)/n + z²/4n²)) / (1 + z²/n)`.

    Example:
        >>> [round(bound, 3) for bound in wilson_interval(81, 100)]
        [0.722, 0.875]

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    z = 1.96
    share = right / count
    middle = share + z**2 / (2 * count)
    half = z * sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    return (middle - half) / scale, (middle + half) / scale


def _most_taken_for(matrix_CC: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The most frequent wrong prediction of each class, and how often it occurs."""
    most_C, times_C = np.zeros(len(matrix_CC), dtype=np.int64), np.zeros(len(matrix_CC), dtype=np.int64)
    for pair in reversed(confused_pairs(matrix_CC)):  # so that the most frequent one is written last
        most_C[pair.true], times_C[pair.true] = pair.predicted, pair.photos
    return most_C, times_C


def _score(found: int, photos: int, predicted: int, most: int, times: int) -> ClassScore:
    return ClassScore(
        photos=photos,
        recall=_ratio(found, photos),
        precision=_ratio(found, predicted),
        f1=_ratio(2 * found, photos + predicted) if photos and predicted else float("nan"),
        taken_for=most if times else None,
        taken_times=times,
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
