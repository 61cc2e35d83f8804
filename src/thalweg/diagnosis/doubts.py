"""Labels that out-of-sample predictions doubt: confident learning (Northcutt et al. 2021).

1. The threshold of a class is the mean probability that its own photos give it.
2. A photo is counted for the most probable of the classes whose threshold it reaches: the confident joint of given and
   counted classes. Each row is scaled to the photos of its given class; what is off the diagonal is the share of wrong
   labels, by pair of classes.
3. How many are doubted: of a pair (given i, counted j) with an estimate of m photos, the m with the largest p_j - p_i,
   unless the given class is their most probable one.
4. Which: the first so many whose most probable class is another than the given one, by the probability of the given
   class, the lowest first.

The score and the set follow a rule: the highest mean average precision, and the highest mean F1 of those sets that lose
no recall to step 3 alone, on 64 synthetic sets with four kinds of wrong labels, none of them of photos
(`python benchmarks/review.py --scores`).

Source: Northcutt, Jiang, Chuang 2021, https://arxiv.org/abs/1911.00068.

Shape suffixes: N photos, R some of them, C classes, M doubted photos, K cells of a matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.runs.probabilities import blocks


if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROUNDING: Final = 1e-9  # a class whose photos all have one probability reaches its own threshold


@dataclass(frozen=True, slots=True, eq=False)
class Doubts:
    """The labels that predictions doubt.

    Attributes:
        joint_CC: estimated number of photos by given class (row) and true class (column); each row sums to the photos
            of its given class.
        suggested_N: the most probable class of each photo besides the given one.
        own_N: the probability of the given class.
        other_N: the probability of the suggested class.
        doubted_M: the doubted photos, the most doubted first.
    """

    joint_CC: NDArray[np.float64]
    suggested_N: NDArray[np.int64]
    own_N: NDArray[np.float64]
    other_N: NDArray[np.float64]
    doubted_M: NDArray[np.int64]

    @property
    def wrong_share(self) -> float:
        """The estimated share of wrong labels, in [0, 1]."""
        return float(1 - np.trace(self.joint_CC) / self.joint_CC.sum())

    def pairs(self, most: int = 10) -> list[tuple[int, int, float]]:
        """The pairs of classes with the most wrong labels: given class, true class, estimated photos.

        Args:
            most: number of pairs, at most; pairs with less than half a photo are left out.
        """
        given_K, true_K = np.nonzero(self.joint_CC >= 1 / 2)  # K cells: of many classes, most have no photo
        off_K = given_K != true_K
        given_K, true_K = given_K[off_K], true_K[off_K]
        photos_K = self.joint_CC[given_K, true_K]
        order_K = np.argsort(-photos_K, kind="stable")[:most]
        columns = (values[order_K].tolist() for values in (given_K, true_K, photos_K))
        return list(zip(*columns, strict=True))


def find_doubts(probability_NC: NDArray[np.floating], labels_N: NDArray[np.integer]) -> Doubts:
    """Find the labels that predictions doubt, and estimate how many are wrong.

    Args:
        probability_NC: of each class, by a network that did not train on the photo; rows sum to 1.
        labels_N: the given classes, in 0 to C - 1.

    Example:
        >>> sure, unsure = [0.9, 0.1], [0.2, 0.8]
        >>> found = find_doubts(np.array([sure, sure, unsure, unsure, unsure]), np.array([0, 0, 0, 1, 1]))
        >>> found.doubted_M.tolist(), found.suggested_N[2].item(), round(found.wrong_share, 3)
        ([2], 1, 0.2)
    """
    probability_NC = np.asarray(probability_NC, dtype=np.float64)
    rows_N = np.arange(len(labels_N))
    joint_CC = confident_joint(probability_NC, labels_N)
    own_N = probability_NC[rows_N, labels_N]
    suggested_N = np.empty(len(labels_N), dtype=np.int64)
    for some in blocks(probability_NC):
        others_RC = probability_NC[some].copy()
        others_RC[np.arange(len(others_RC)), labels_N[some]] = -1
        suggested_N[some] = others_RC.argmax(axis=1)
    other_N = np.where(suggested_N == labels_N, -1.0, probability_NC[rows_N, suggested_N])  # equal only for one class
    misfits = np.flatnonzero(other_N > own_N)
    wanted = int(np.count_nonzero(pruned(joint_CC, probability_NC, labels_N)[misfits]))
    order = np.argsort(own_N[misfits], kind="stable")
    return Doubts(joint_CC, suggested_N, own_N, other_N, misfits[order[:wanted]])


def thresholds(probability_NC: NDArray[np.floating], labels_N: NDArray[np.integer]) -> NDArray[np.float64]:
    """The mean probability that the photos of each class give it; infinite for a class without photos."""
    classes = probability_NC.shape[1]
    own_N = probability_NC[np.arange(len(labels_N)), labels_N]
    count_C = np.bincount(labels_N, minlength=classes)
    sum_C = np.bincount(labels_N, own_N, classes)
    return np.where(count_C > 0, sum_C / np.maximum(count_C, 1), np.inf)


def confident_joint(probability_NC: NDArray[np.floating], labels_N: NDArray[np.integer]) -> NDArray[np.float64]:
    """Estimate the photos of each given class (row) that truly are of each class (column).

    Args:
        probability_NC: out of sample; rows sum to 1.
        labels_N: the given classes.

    Returns:
        (C, C); row i sums to the photos that are given class i.

    Example:
        >>> confident_joint(np.array([[0.9, 0.1], [0.2, 0.8], [0.1, 0.9]]), np.array([0, 0, 1])).tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """
    classes = probability_NC.shape[1]
    least_C = thresholds(probability_NC, labels_N) - _ROUNDING
    joint_CC = np.zeros((classes, classes))
    for some in blocks(probability_NC):
        reached_RC = probability_NC[some] >= least_C
        counted_R = np.where(reached_RC, probability_NC[some], -1.0).argmax(axis=1)
        kept_R = reached_RC.any(axis=1)
        np.add.at(joint_CC, (labels_N[some][kept_R], counted_R[kept_R]), 1)
    count_C = np.bincount(labels_N, minlength=classes)
    joint_CC *= (count_C / np.maximum(joint_CC.sum(axis=1), 1))[:, None]
    return joint_CC


def pruned(
    joint_CC: NDArray[np.float64], probability_NC: NDArray[np.float64], labels_N: NDArray[np.integer]
) -> NDArray[np.bool_]:
    """For each pair of classes, as many photos as are estimated to be wrong: those with the largest margin."""
    found_N = np.zeros(len(labels_N), dtype=bool)
    for given, row_C in enumerate(joint_CC):
        wanted = np.flatnonzero(row_C)
        wanted = wanted[(wanted != given) & (np.rint(row_C[wanted]) > 0)]
        if not len(wanted):
            continue
        rows = np.flatnonzero(labels_N == given)
        margins = probability_NC[np.ix_(rows, wanted)] - probability_NC[rows, given][:, None]
        for column, true in enumerate(wanted):
            order = np.argsort(-margins[:, column], kind="stable")
            found_N[rows[order[: int(np.rint(row_C[true]))]]] = True
    return found_N
