"""Photos laid out by the features of the middle and the top layer, for each saved checkpoint.

Shape suffixes: N photos, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.data.label_sets import written
from thalweg.i18n import t
from thalweg.runs import files
from thalweg.server.model_cache import Recent, at_a_time, checkpoints_of, key_of, outputs_of, probabilities_of
from thalweg.server.request import Entry


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.runs import Run
    from thalweg.server.request import Visit

LAYERS: Final = ("mid", "top")

_maps = Recent()


@at_a_time
def embedding(run: Run, checkpoint: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Maps of both layers at a checkpoint; maps of earlier epochs are rotated to match the last one.

    Raises:
        RunError: there is no such checkpoint, or the photos have changed.
        DataError: the photos are gone, or too few.
    """
    outputs = outputs_of(run, checkpoint)
    known = checkpoints_of(run)
    probability_NC = probabilities_of(run, outputs["logits"])
    arrays: dict[str, NDArray[Any]] = {
        "rows": outputs["rows"].astype(np.uint32),
        **_answers(run, outputs["labels"], probability_NC),
        "probability": probability_NC.max(axis=1).astype(np.float32),
    }
    agreement = {}
    for layer in LAYERS:
        positions_N2, agreement[layer] = _map(run, checkpoint, layer)
        if checkpoint != known[-1]:
            positions_N2 = turned_like(positions_N2, _map(run, known[-1], layer)[0])
        arrays[layer] = positions_N2.astype(np.float32).ravel()
    right = float((arrays["predicted"] == arrays["labels"]).mean())
    header = {
        "at": checkpoint,
        "known": known,
        "agreement": agreement,
        "right": right,
        **_of_classes(run, arrays["labels"], arrays["predicted"]),
    }
    return header | _of_labels(run, outputs["labels"], probability_NC), arrays


def _of_classes(run: Run, labels_N: NDArray[np.integer], predicted_N: NDArray[np.integer]) -> dict[str, Any]:
    """The names of the classes, and which have a color: of several labels, no label is one more, and the largest do."""
    from thalweg.figures.class_choice import classes_with_color

    several = run.task.several
    classes = [*run.classes, t("data.no_label")] if several else list(run.classes)
    return {
        "classes": classes,
        "named": classes_with_color(labels_N, labels_N if several else predicted_N, len(classes)),
    }


def _answers(
    run: Run, labels: NDArray[np.integer], probability_NC: NDArray[np.float64]
) -> dict[str, NDArray[np.uint32]]:
    """The class of each photo by which it is drawn, and the predicted one: another if the answer is wrong."""
    from thalweg.report.several import rarest_labels

    if not run.task.several:
        return {"labels": labels.astype(np.uint32), "predicted": probability_NC.argmax(axis=1).astype(np.uint32)}
    rarest_N = rarest_labels(labels)
    right_N = (run.task.decided(probability_NC, run.thresholds) == (labels > 0)).all(axis=1)
    predicted_N = np.where(right_N, rarest_N, len(run.classes) + 1)
    return {"labels": rarest_N.astype(np.uint32), "predicted": predicted_N.astype(np.uint32)}


def _of_labels(run: Run, labels: NDArray[np.integer], probability_NC: NDArray[np.float64]) -> dict[str, Any]:
    """Of several labels: what each photo has, and what it is given."""
    if not run.task.several:
        return {}
    bare = t("data.no_label")

    def named(which_NC: NDArray[np.bool_]) -> list[str]:
        return [written(run.classes[label] for label in np.flatnonzero(which_C)) or bare for which_C in which_NC]

    given_NC = run.task.decided(probability_NC, run.thresholds)
    return {"true": named(labels > 0), "given": named(given_NC), "about": t("page.embeddings_rarest")}


def turned_like(positions_N2: NDArray[np.floating], other_N2: NDArray[np.floating]) -> NDArray[np.floating]:
    """Rotate and mirror points as a whole to match other points as closely as possible (orthogonal Procrustes).

    The directions of t-SNE are arbitrary: without this, epochs would differ by rotations that were not learned.

    Example:
        >>> points = np.array([[1.0, 0.0], [0.0, 2.0], [-1.0, -2.0]])
        >>> quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
        >>> bool(np.allclose(turned_like(points @ quarter, points), points))
        True

    Source: Schönemann 1966, https://doi.org/10.1007/BF02289451.
    """
    centered_N2 = positions_N2 - positions_N2.mean(axis=0)
    left_22, _, right_22 = np.linalg.svd(centered_N2.T @ (other_N2 - other_N2.mean(axis=0)))
    return centered_N2 @ (left_22 @ right_22)


def _map(run: Run, checkpoint: str, layer: str) -> tuple[NDArray[np.float32], float]:
    return _maps.get((key_of(run, checkpoint), layer), lambda: _embed(run, checkpoint, layer))


def _embed(run: Run, checkpoint: str, layer: str) -> tuple[NDArray[np.float32], float]:
    from thalweg.figures.run_tsne import embed
    from thalweg.report.several import rarest_labels

    outputs = outputs_of(run, checkpoint)
    labels = rarest_labels(outputs["labels"]) if run.task.several else outputs["labels"]
    found = embed(outputs[layer], labels)
    return found.positions_M2, found.agreement


def _embedding(visit: Visit) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    return embedding(visit.run, visit.query.get("at", files.BEST))


ROUTES: Final = (Entry("GET", "embedding", _embedding, needs_network=True),)
