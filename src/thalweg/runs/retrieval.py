"""How well photos of a class are found among all photos: average precision, F1, and the threshold with the best F1.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST: Final = 5  # photos of a class, from which on its own threshold is chosen


def average_precisions(probability_NC: NDArray[np.floating], true_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the average precision of each class, (C,), in [0, 1]; NaN for a class without photos.

    With the photos in order of their probability, the highest first, it is the mean over the photos of the class of the
    precision down to each: `AP = Σ_n (R_n - R_{n-1}) P_n`. Photos of equal probability are taken together.

    Args:
        probability_NC: any score that is higher for more probable classes.
        true_NC: which classes each photo has.

    Example:
        >>> average_precisions(np.array([[0.9], [0.6], [0.4]]), np.array([[True], [False], [True]])).round(3).tolist()
        [0.833]

    Source: Everingham et al. 2015, https://doi.org/10.1007/s11263-014-0733-5; without interpolation.
    """
    found = [_average_precision(*one) for one in zip(probability_NC.T, true_NC.T, strict=True)]
    return np.array(found, dtype=np.float64)


def f1_of(decided_NC: NDArray[np.bool_], true_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return `F1 = 2·TP / (2·TP + FP + FN)` of each class, (C,); 0 for a class that no photo has or is given.

    Example:
        >>> f1_of(np.array([[True], [True]]), np.array([[True], [False]])).round(3).tolist()
        [0.667]
    """
    both_C = (decided_NC & true_NC).sum(axis=0)
    total_C = decided_NC.sum(axis=0) + true_NC.sum(axis=0)
    return 2 * both_C / np.maximum(total_C, 1)


def best_thresholds(probability_NC: NDArray[np.floating], true_NC: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Choose the probability from which on a photo is given each class, (C,): that with the best F1 on these photos.

    It lies midway between two neighboring probabilities; of equally good ones, it is the highest. A class with fewer
    than 5 photos gets the threshold with the best F1 over all pairs of photo and class: its own would follow chance.

    Args:
        probability_NC: of each class, by a network that did not train on the photos.
        true_NC: which classes each photo has.

    Example:
        >>> scores = np.array([[0.9], [0.8], [0.7], [0.6], [0.5], [0.1]])
        >>> best_thresholds(scores, scores > 0.3).round(3).tolist()
        [0.3]
    """
    common = _best_threshold(probability_NC.ravel(), true_NC.ravel())
    return np.array(
        [
            _best_threshold(scores_N, own_N) if own_N.sum() >= FEWEST else common
            for scores_N, own_N in zip(probability_NC.T, true_NC.T, strict=True)
        ]
    )


def _best_threshold(scores_N: NDArray[np.floating], true_N: NDArray[np.bool_]) -> float:
    """The threshold with the best F1; 0.5 if no photo has the class."""
    if not true_N.any():
        return 0.5
    scores_K, hits_K, count_K = _cuts(scores_N, true_N)
    best = int((2 * hits_K / (count_K + true_N.sum())).argmax())
    below = scores_K[best + 1] if best + 1 < len(scores_K) else 0.0
    return float((scores_K[best] + below) / 2)


def _average_precision(scores_N: NDArray[np.floating], true_N: NDArray[np.bool_]) -> float:
    if not true_N.any():
        return float("nan")
    _, hits_K, count_K = _cuts(scores_N, true_N)
    return float((np.diff(hits_K, prepend=0) * hits_K / count_K).sum() / true_N.sum())


def _cuts(
    scores_N: NDArray[np.floating], true_N: NDArray[np.bool_]
) -> tuple[NDArray[np.floating], NDArray[np.int64], NDArray[np.int64]]:
    """The different scores, the highest first; the photos of the class, and all photos, with at least each score."""
    order = np.argsort(-scores_N, kind="stable")
    sorted_N = scores_N[order]
    last_K = np.append(np.flatnonzero(np.diff(sorted_N)), len(sorted_N) - 1)
    return sorted_N[last_K], np.cumsum(true_N[order], dtype=np.int64)[last_K], last_K + 1
