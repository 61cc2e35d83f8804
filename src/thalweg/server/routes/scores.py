"""How well a run finds each class, and some of its photos with their predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.data.label_sets import written
from thalweg.errors import RunError
from thalweg.i18n import percent, t
from thalweg.runs.answers import Answers
from thalweg.runs.tasks import scores_of_ranks
from thalweg.server.model_cache import at_a_time, outputs_of, photos_of, probabilities_of
from thalweg.server.request import Entry


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.runs import Run

_SAMPLES: Final = 12  # photos of each kind
_OF_LABELS: Final = ("photos", "average_precision", "threshold", "precision", "recall", "f1")
_PAIRS: Final = 30  # of confused classes


@at_a_time
def scores(run: Run) -> dict[str, Any]:
    """Confusion matrix, precision and recall of the classes, and samples; of several labels a photo, other scores.

    They cover the whole validation split of a run that has ended. During training, they cover a part of the split, with
    the best weights so far.

    Raises:
        RunError: no epoch has ended yet, or the file of the evaluation is damaged.
    """
    from thalweg.figures.class_choice import MOST_NAMED, confusion_matrix
    from thalweg.report.scores import class_scores

    outputs, is_part = _outputs(run)
    if run.task.several:
        return _of_labels(run, outputs, is_part=is_part)
    answers = Answers(outputs, len(run.classes), run.temperature)
    labels_N, predicted_N, probability_N = answers.labels_N, answers.predicted_N, answers.probability_N
    rows_N = outputs["rows"] if "rows" in outputs else photos_of(run).rows("valid")
    matrix_CC = confusion_matrix(labels_N, predicted_N, len(run.classes))
    is_small = len(run.classes) <= MOST_NAMED
    return {
        "classes": list(run.classes),
        "scores": [
            {"photos": one.photos, "recall": float(one.recall), "precision": float(one.precision)}
            for one in class_scores(matrix_CC)
        ],
        "right": float((predicted_N == labels_N).mean()),
        "count": len(labels_N),
        "note": _note(run, answers, is_part=is_part),
        "samples": _samples(run, rows_N, labels_N, predicted_N, probability_N),
        **(
            {"matrix": matrix_CC.tolist()}
            if is_small
            else _many(matrix_CC, rows_N, labels_N, predicted_N, probability_N)
        ),
    }


def _note(run: Run, answers: Answers, *, is_part: bool) -> str:
    """Over which photos the scores are, the top-5 accuracy of many classes, and which classes have no photo."""
    from thalweg.report.scores import unvalidated

    count, found = len(answers.labels_N), scores_of_ranks(answers.rank_N, answers.classes)
    parts = [t("page.scores_part" if is_part else "page.scores_whole", count=count)]
    if "top5_accuracy" in found:
        parts.append(t("page.scores_top5", share=percent(found["top5_accuracy"])))
    if not is_part:
        parts.append(unvalidated(answers.labels_N, run.classes))
    return " ".join(filter(None, parts))


def _many(
    matrix_CC: NDArray[np.int64],
    rows_N: NDArray[np.int64],
    labels_N: NDArray[np.int64],
    predicted_N: NDArray[np.int64],
    probability_N: NDArray[np.float64],
) -> dict[str, Any]:
    """Of many classes: their order by similarity, the cells with photos, and the most confused pairs with photos."""
    from thalweg.figures.class_choice import by_similarity, confused_pairs, example_rows

    true_P, other_P = np.nonzero(matrix_CC)
    pairs = confused_pairs(matrix_CC, _PAIRS)
    examples = example_rows(pairs, labels_N, predicted_N, probability_N)
    return {
        "order": by_similarity(matrix_CC).tolist(),
        "cells": np.stack([true_P, other_P, matrix_CC[true_P, other_P]], axis=1).tolist(),
        "pairs": [
            {**pair._asdict(), "mistake": int(rows_N[mistake]), "other": None if other is None else int(rows_N[other])}
            for pair, (mistake, other) in zip(pairs, examples, strict=True)
        ],
    }


def _of_labels(run: Run, outputs: dict[str, NDArray[Any]], *, is_part: bool) -> dict[str, Any]:
    """The scores of each class as rows of a table, and photos with their labels and those that they were given."""
    from thalweg.report.several import label_scores, wrong_labels

    probability_NC = probabilities_of(run, outputs["logits"])
    thresholds_C, true_NC = run.thresholds or (), outputs["labels"] > 0
    given_NC = run.task.decided(probability_NC, thresholds_C)
    found = label_scores(probability_NC, true_NC, thresholds_C)
    mean = run.task.scores(probability_NC, outputs["labels"], thresholds_C)["mean_average_precision"]
    wrong = wrong_labels(probability_NC, true_NC, given_NC).rows_M[:_SAMPLES]
    right = np.flatnonzero((true_NC == given_NC).all(axis=1))
    right = np.sort(np.random.default_rng(0).permutation(right)[:_SAMPLES])
    rows_N = outputs["rows"] if "rows" in outputs else photos_of(run).rows("valid")

    def named(which_C: NDArray[np.bool_]) -> str:
        return written(run.classes[label] for label in np.flatnonzero(which_C)) or t("data.no_label")

    return {
        "classes": list(run.classes),
        "columns": [t("page.scores_true"), *(t(f"report.column_{name}") for name in _OF_LABELS)],
        "rows": [
            [name, f"{photos:,}", *(percent(float(value), 1) for value in values)]
            for name, photos, *values in zip(run.classes, *found, strict=True)
        ],
        "right": mean,
        "count": len(true_NC),
        "note": t("page.scores_part" if is_part else "page.scores_whole", count=len(true_NC)),
        "samples": [
            {
                "row": int(rows_N[place]),
                "true": named(true_NC[place]),
                "predicted": named(given_NC[place]),
                "right": bool((true_NC[place] == given_NC[place]).all()),
            }
            for place in [*wrong.tolist(), *right.tolist()]
        ],
    }


def _outputs(run: Run) -> tuple[dict[str, NDArray[Any]], bool]:
    if run.evaluation.exists():
        return run.outputs(), False
    if not run.best.exists():
        raise RunError("runs.no_weights", run=run.path)
    return outputs_of(run), True


def _samples(
    run: Run,
    rows_N: NDArray[np.int64],
    labels_N: NDArray[np.int64],
    predicted_N: NDArray[np.int64],
    highest_N: NDArray[np.float64],
) -> list[dict[str, Any]]:
    """The mistakes with the highest probability, then some correct predictions."""
    wrong = np.flatnonzero(predicted_N != labels_N)
    wrong = wrong[np.argsort(-highest_N[wrong], kind="stable")][:_SAMPLES]
    right = np.flatnonzero(predicted_N == labels_N)
    right = np.sort(np.random.default_rng(0).permutation(right)[:_SAMPLES])
    return [
        {
            "row": int(rows_N[place]),
            "true": run.classes[int(labels_N[place])],
            "predicted": run.classes[int(predicted_N[place])],
            "probability": float(highest_N[place]),
            "right": bool(predicted_N[place] == labels_N[place]),
        }
        for place in [*wrong.tolist(), *right.tolist()]
    ]


ROUTES: Final = (Entry("GET", "scores", lambda visit: scores(visit.run), needs_network=True),)
