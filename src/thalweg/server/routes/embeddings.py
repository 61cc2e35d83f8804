"""Photos laid out by the features of the middle and the top layer, for each saved checkpoint.

Shape suffixes: N photos, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

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
    from thalweg.figures.class_choice import classes_with_color

    outputs = outputs_of(run, checkpoint)
    known = checkpoints_of(run)
    probability_NC = probabilities_of(run, outputs["logits"])
    arrays: dict[str, NDArray[Any]] = {
        "rows": outputs["rows"].astype(np.uint32),
        "labels": outputs["labels"].astype(np.uint32),
        "predicted": probability_NC.argmax(axis=1).astype(np.uint32),
        "probability": probability_NC.max(axis=1).astype(np.float32),
    }
    agreement = {}
    for layer in LAYERS:
        positions_N2, agreement[layer] = _map(run, checkpoint, layer)
        if checkpoint != known[-1]:
            positions_N2 = turned_like(positions_N2, _map(run, known[-1], layer)[0])
        arrays[layer] = positions_N2.astype(np.float32).ravel()
    last = outputs_of(
        run, known[-1]
    )  # which alone chooses the classes with a color: they stay the same over the epochs
    named = classes_with_color(last["labels"], last["logits"].argmax(axis=1), len(run.classes))
    right = float((arrays["predicted"] == arrays["labels"]).mean())
    header = {
        "at": checkpoint,
        "known": known,
        "agreement": agreement,
        "right": right,
        "classes": list(run.classes),
        "named": named,
    }
    return header, arrays


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

    outputs = outputs_of(run, checkpoint)
    found = embed(outputs[layer], outputs["labels"])
    return found.positions_M2, found.agreement


def _embedding(visit: Visit) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    return embedding(visit.run, visit.query.get("at", files.BEST))


ROUTES: Final = (Entry("GET", "embedding", _embedding, needs_network=True),)
