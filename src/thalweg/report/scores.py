"""Scores of each class.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def confusion_matrix(
    labels_N: NDArray[np.integer], predicted_N: NDArray[np.integer], classes: int
) -> NDArray[np.int64]:
    """Photos by true class (rows) and predicted class (columns).

    Example:
        >>> confusion_matrix(np.array([0, 0, 1]), np.array([0, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    matrix_CC = np.zeros((classes, classes), dtype=np.int64)
    np.add.at(matrix_CC, (labels_N, predicted_N), 1)
    return matrix_CC


def class_scores(matrix_CC: NDArray[np.int64]) -> list[ClassScore]:
    """Precision, recall and F1 of every class.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).

    Example:
        >>> first, second = class_scores(np.array([[3, 1], [0, 2]]))
        >>> first.recall, first.precision, first.taken_for, second.taken_for
        (0.75, 1.0, 1, None)
    """
    return [_score(matrix_CC, index) for index in range(len(matrix_CC))]


def largest_class(labels_N: NDArray[np.integer], classes: int) -> tuple[int, float]:
    """The most frequent class, and its share: the accuracy of always guessing it.

    Example:
        >>> largest_class(np.array([0, 1, 1, 2]), 3)
        (1, 0.5)
    """
    counts_C = np.bincount(labels_N, minlength=classes)
    largest = int(counts_C.argmax())
    return largest, float(counts_C[largest] / max(1, len(labels_N)))


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


def _score(matrix_CC: NDArray[np.int64], index: int) -> ClassScore:
    found = int(matrix_CC[index, index])
    photos, predicted = int(matrix_CC[index].sum()), int(matrix_CC[:, index].sum())
    wrong_C = matrix_CC[index].copy()
    wrong_C[index] = 0
    most = int(wrong_C.argmax())
    return ClassScore(
        photos=photos,
        recall=_ratio(found, photos),
        precision=_ratio(found, predicted),
        f1=_ratio(2 * found, photos + predicted) if photos and predicted else float("nan"),
        taken_for=most if wrong_C[most] else None,
        taken_times=int(wrong_C[most]),
    )


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
