"""Which of many classes are worth naming, in which order they are laid out, and which of their photos are drawn.

Pictures, report and page name up to `MOST_NAMED` classes one by one. Of more, they name those that are chosen here.

Shape suffixes: N photos, C classes, P pairs of classes, M chosen photos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

MOST_NAMED: Final = 50
"""Up to so many classes, each is named."""

_COLORS_OF_MANY: Final = 24


class Pair(NamedTuple):
    """Photos of one class that are predicted as another.

    Attributes:
        true: index of their class.
        predicted: index of the other class.
        photos: how many there are.
        share: of all photos of the true class, in (0, 1].
    """

    true: int
    predicted: int
    photos: int
    share: float


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


def confused_pairs(matrix_CC: NDArray[np.integer], most: int | None = None) -> list[Pair]:
    """The pairs of classes that are confused most often, and of equals, those with the larger share of the true class.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).
        most: number of pairs, at most; None: all.

    Example:
        >>> confused_pairs(np.array([[3, 1, 0], [0, 2, 2], [0, 0, 5]]), most=1)
        [Pair(true=1, predicted=2, photos=2, share=0.5)]
    """
    true_P, predicted_P = np.nonzero(matrix_CC)
    wrong_P = true_P != predicted_P
    true_P, predicted_P = true_P[wrong_P], predicted_P[wrong_P]
    photos_P = matrix_CC[true_P, predicted_P]
    share_P = photos_P / matrix_CC.sum(axis=1)[true_P]
    order_P = np.lexsort((predicted_P, true_P, -share_P, -photos_P))[:most]
    columns = (values[order_P].tolist() for values in (true_P, predicted_P, photos_P, share_P))
    return [Pair(*values) for values in zip(*columns, strict=True)]


def worth_naming(matrix_CC: NDArray[np.integer], most: int) -> list[int]:
    """The classes that a picture with room for a few names: those of the most confused pairs, then the largest.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).
        most: number of classes, at most.

    Returns:
        Their indices, ascending.

    Example:
        >>> worth_naming(np.array([[9, 0, 0, 0], [0, 2, 3, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), most=3)
        [0, 1, 2]
    """
    confused = (index for pair in confused_pairs(matrix_CC, most) for index in (pair.true, pair.predicted))
    largest = np.argsort(-matrix_CC.sum(axis=1), kind="stable").tolist()
    return sorted(list(dict.fromkeys([*confused, *largest]))[:most])


def classes_with_color(labels_N: NDArray[np.integer], predicted_N: NDArray[np.integer], classes: int) -> list[int]:
    """The classes that have a color on a map of photos: all, or of more than 50, the 24 worth naming.

    Args:
        labels_N: the true classes.
        predicted_N: the predicted classes; equal to the true ones, they make it the largest classes.
        classes: number of classes.

    Returns:
        Their indices, ascending.

    Example:
        >>> classes_with_color(np.array([0, 1]), np.array([0, 1]), 3)
        [0, 1, 2]
    """
    if classes <= MOST_NAMED:
        return list(range(classes))
    return worth_naming(confusion_matrix(labels_N, predicted_N, classes), _COLORS_OF_MANY)


def by_accuracy(matrix_CC: NDArray[np.integer]) -> list[int]:
    """The classes that have photos, the worst first; of equals, the one with more photos is nearer to its end.

    So the first and the last of many classes at 0 % or 100 % are those of which that is most certain.

    Example:
        >>> by_accuracy(np.array([[1, 0, 0], [2, 0, 0], [0, 0, 4]]))
        [1, 0, 2]
    """
    photos_C, right_C = matrix_CC.sum(axis=1), np.diagonal(matrix_CC)
    accuracy_C = right_C / np.maximum(photos_C, 1)
    outward_C = np.where(accuracy_C < 0.5, -photos_C, photos_C)
    return [index for index in np.lexsort((outward_C, accuracy_C)).tolist() if photos_C[index]]


def by_similarity(matrix_CC: NDArray[np.integer]) -> NDArray[np.int64]:
    """An order of the classes in which those that are confused with each other are neighbors.

    The leaves of average linkage. The distance of two classes is 1 - (photos of one predicted as the other, both
    ways) / (photos of both). Time and memory grow with C²: 5,005 classes take seconds and 0.2 GB.

    Args:
        matrix_CC: photos, by true class (rows) and predicted class (columns).

    Returns:
        (C,), the indices of the classes.

    Example:
        >>> by_similarity(np.array([[3, 0, 2, 0], [0, 3, 0, 2], [2, 0, 3, 0], [0, 2, 0, 3]])).tolist()
        [0, 2, 1, 3]
    """
    from scipy.cluster.hierarchy import leaves_list, linkage  # scikit-learn brings scipy

    count = len(matrix_CC)
    if count < 2:
        return np.arange(count)
    distance_K = np.ones(count * (count - 1) // 2)  # K pairs (i, j) with i < j, row by row
    photos_C = matrix_CC.sum(axis=1)
    true_P, predicted_P = np.nonzero(matrix_CC)
    first_P, second_P = np.minimum(true_P, predicted_P), np.maximum(true_P, predicted_P)
    place_P = first_P * (2 * count - first_P - 1) // 2 + second_P - first_P - 1
    share_P = matrix_CC[true_P, predicted_P] / (photos_C[first_P] + photos_C[second_P])
    off_P = true_P != predicted_P
    np.subtract.at(distance_K, place_P[off_P], share_P[off_P])
    return leaves_list(linkage(np.maximum(distance_K, 0), "average")).astype(np.int64)


def draw_by_class(
    labels_N: NDArray[np.integer], limit: int, *, seed: int, whole: Sequence[int] = ()
) -> NDArray[np.int64]:
    """Choose photos so that each class gets the same number, as far as it has them.

    Args:
        labels_N: the classes of all photos.
        limit: number of photos to choose, at most.
        seed: of the random choice within the classes.
        whole: classes that come first, for up to half of the photos.

    Returns:
        (M,), ascending: all photos if they fit.

    Example:
        >>> labels = np.array([0, 0, 0, 0, 0, 1, 2, 2])
        >>> np.bincount(labels[draw_by_class(labels, 5, seed=0)]).tolist()
        [2, 1, 2]
    """
    if len(labels_N) <= limit:
        return np.arange(len(labels_N))
    order_N = np.random.default_rng(seed).permutation(len(labels_N))
    first_N = np.isin(labels_N[order_N], whole)
    chosen = _evenly(order_N[first_N], labels_N, limit // 2)
    rest = _evenly(order_N[~first_N], labels_N, limit - len(chosen))
    return np.sort(np.concatenate([chosen, rest]))


def _evenly(rows_M: NDArray[np.int64], labels_N: NDArray[np.integer], limit: int) -> NDArray[np.int64]:
    """The first rows, if each class in turn gives its next one."""
    labels_M = labels_N[rows_M]
    by_class_M = np.argsort(labels_M, kind="stable")
    starts_M = np.searchsorted(labels_M[by_class_M], labels_M[by_class_M])
    turn_M = np.empty(len(rows_M), dtype=np.int64)
    turn_M[by_class_M] = np.arange(len(rows_M)) - starts_M  # which of its class a row is
    return rows_M[np.argsort(turn_M, kind="stable")[:limit]]


def example_rows(
    pairs: Iterable[Pair],
    labels_N: NDArray[np.integer],
    predicted_N: NDArray[np.integer],
    probability_N: NDArray[np.floating],
) -> list[tuple[int, int | None]]:
    """Two photos for each pair: the mistake with the highest probability, and a photo of the class it is taken for.

    Args:
        pairs: of `confused_pairs`.
        labels_N: the true classes.
        predicted_N: the predicted classes.
        probability_N: of the predicted classes.

    Returns:
        Row of the mistake; row of the other photo, recognized with the highest probability; None: the class has none.

    Example:
        >>> pair = Pair(0, 1, 2, 1.0)
        >>> example_rows([pair], np.array([0, 0, 1]), np.array([1, 1, 1]), np.array([0.6, 0.9, 0.8]))
        [(1, 2)]
    """
    found = []
    for pair in pairs:
        mistakes = np.flatnonzero((labels_N == pair.true) & (predicted_N == pair.predicted))
        others = np.flatnonzero(labels_N == pair.predicted)
        sure = np.where(predicted_N[others] == pair.predicted, probability_N[others], -1.0)
        other = int(others[sure.argmax()]) if len(others) else None
        found.append((int(mistakes[probability_N[mistakes].argmax()]), other))
    return found
