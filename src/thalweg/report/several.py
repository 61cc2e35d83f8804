"""What a report shows in place of confusions where photos may have several labels: their pictures and their scores.

Shape suffixes: N photos of the validation split, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thalweg.i18n import t
from thalweg.report.html import Html, join, percent, table, tag
from thalweg.runs.retrieval import FEWEST, average_precisions, f1_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.runs import RunFolder


class LabelScores(NamedTuple):
    """How well each class is found, each (C,); NaN where nothing can be said.

    Attributes:
        photos_C: number of photos of the class.
        average_precision_C: in [0, 1].
        threshold_C: the probability from which on a photo is given the class.
        precision_C: share of the photos that are given the class which have it.
        recall_C: share of the photos of the class that are given it.
        f1_C: harmonic mean of both.
    """

    photos_C: NDArray[np.int64]
    average_precision_C: NDArray[np.float64]
    threshold_C: NDArray[np.float64]
    precision_C: NDArray[np.float64]
    recall_C: NDArray[np.float64]
    f1_C: NDArray[np.float64]


def label_scores(
    probability_NC: NDArray[np.floating], true_NC: NDArray[np.bool_], thresholds_C: Sequence[float]
) -> LabelScores:
    """Compute the scores of each class.

    Example:
        >>> found = label_scores(np.array([[0.9], [0.6], [0.2]]), np.array([[True], [False], [False]]), [0.5])
        >>> found.average_precision_C.tolist(), found.precision_C.tolist(), found.recall_C.tolist()
        ([1.0], [0.5], [1.0])
    """
    given_NC = probability_NC >= np.asarray(thresholds_C)
    photos_C, given_C = true_NC.sum(axis=0), given_NC.sum(axis=0)
    with np.errstate(invalid="ignore"):
        right_C = (given_NC & true_NC).sum(axis=0)
        precision_C, recall_C = right_C / given_C, right_C / photos_C
    f1_C = np.where(photos_C > 0, f1_of(given_NC, true_NC), np.nan)
    ranked_C = average_precisions(probability_NC, true_NC)
    return LabelScores(photos_C, ranked_C, np.asarray(thresholds_C, dtype=np.float64), precision_C, recall_C, f1_C)


def label_table(folder: RunFolder) -> Html:
    """The scores of every class on the validation split, at the thresholds that were chosen there."""
    if folder.outputs is None:
        return tag("p", t("report.no_outputs"), class_="note")
    logits_NC, labels_NC = folder.outputs["logits"], folder.outputs["labels"]
    thresholds_C = folder.thresholds or [0.5] * len(folder.classes)
    found = label_scores(folder.task.probabilities(logits_NC, folder.temperature), labels_NC > 0, thresholds_C)
    rows = [
        (name, f"{photos:,}", *(percent(float(value)) for value in values))
        for name, photos, *values in zip(folder.classes, *found, strict=True)
    ]
    names = ("class", "photos", "average_precision", "threshold", "precision", "recall", "f1")
    scores = table([t(f"report.column_{name}") for name in names], rows, numeric=range(1, 7), name=t("report.classes"))
    return join([scores, tag("p", t("report.label_scores_about", fewest=FEWEST), class_="note")])


def rarest_labels(labels_NC: NDArray[np.integer]) -> NDArray[np.int64]:
    """The rarest label of each photo, by which it is colored in a map; the number of classes for one without labels.

    Example:
        >>> rarest_labels(np.array([[1, 0], [1, 1], [0, 0]])).tolist()
        [0, 1, 2]
    """
    counts_C = labels_NC.sum(axis=0)
    of_each_NC = np.where(labels_NC > 0, counts_C, labels_NC.shape[0] + 1)
    return np.where(labels_NC.any(axis=1), of_each_NC.argmin(axis=1), labels_NC.shape[1])


class WrongLabels(NamedTuple):
    """Photos with a wrong label, the most confidently wrong first.

    Attributes:
        rows_M: their rows.
        label_M: the label that is most confidently wrong: given but absent, or missing.
    """

    rows_M: NDArray[np.int64]
    label_M: NDArray[np.int64]


def wrong_labels(
    probability_NC: NDArray[np.floating], true_NC: NDArray[np.bool_], given_NC: NDArray[np.bool_]
) -> WrongLabels:
    """Find the photos that were given a wrong label or miss one.

    Example:
        >>> true, given = np.array([[True, False], [True, False]]), np.array([[True, True], [False, False]])
        >>> found = wrong_labels(np.array([[0.9, 0.7], [0.1, 0.2]]), true, given)
        >>> found.rows_M.tolist(), found.label_M.tolist()
        ([1, 0], [0, 1])
    """
    confidence_NC = np.where(true_NC != given_NC, np.abs(probability_NC - true_NC), -1.0)
    worst_N, label_N = confidence_NC.max(axis=1), confidence_NC.argmax(axis=1)
    wrong = np.flatnonzero(worst_N >= 0)
    rows_M = wrong[np.argsort(-worst_N[wrong], kind="stable")]
    return WrongLabels(rows_M, label_N[rows_M])
