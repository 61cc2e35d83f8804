"""Photos laid out by what the middle and the top of the network find alike, for each checkpoint that is kept.

Shape suffixes: N photos, D features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.errors import RunError
from thalweg.figures.run_tsne import embed
from thalweg.server.networks import Kept, at_a_time, checkpoint_of, checkpoints, outputs_at, softmax


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.server.lab import Answer
    from thalweg.training import Run

LAYERS = ("mid", "top")

_maps = Kept()


@at_a_time
def embedding(run: Run, name: str) -> Answer:
    """Both layers at a checkpoint; the maps of earlier epochs are turned to lie like the last one.

    Raises:
        RunError: no such checkpoint.
        DataError: the photos are not there any more, or there are too few.
    """
    known = checkpoints(run)
    if not known:
        raise RunError("prediction.no_weights", run=run.path)
    outputs = outputs_at(run, checkpoint_of(run, name))
    probability_NC = softmax(outputs["logits"])
    arrays: dict[str, NDArray[Any]] = {
        "rows": outputs["rows"].astype(np.uint32),
        "labels": outputs["labels"].astype(np.uint32),
        "predicted": probability_NC.argmax(axis=1).astype(np.uint32),
        "probability": probability_NC.max(axis=1).astype(np.float32),
    }
    agreement = {}
    for layer in LAYERS:
        positions_N2, agreement[layer] = _map(run, name, layer)
        if name != known[-1]:
            positions_N2 = turned_like(positions_N2, _map(run, known[-1], layer)[0])
        arrays[layer] = positions_N2.astype(np.float32).ravel()
    right = float((arrays["predicted"] == arrays["labels"]).mean())
    return {"at": name, "known": known, "agreement": agreement, "right": right, "classes": list(run.classes)}, arrays


def turned_like(positions_N2: NDArray[np.floating], other_N2: NDArray[np.floating]) -> NDArray[np.floating]:
    """Points turned and mirrored, all as one, to lie as near to other points as they can (orthogonal Procrustes).

    t-SNE knows no directions: without this, a scrub over epochs would show turns that nobody learned.

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


def _map(run: Run, name: str, layer: str) -> tuple[NDArray[np.float32], float]:
    checkpoint = checkpoint_of(run, name)
    key = checkpoint, checkpoint.stat().st_mtime_ns, layer
    return _maps.get(key, lambda: _embed(run, name, layer))


def _embed(run: Run, name: str, layer: str) -> tuple[NDArray[np.float32], float]:
    outputs = outputs_at(run, checkpoint_of(run, name))
    found = embed(outputs[layer], outputs["labels"])
    return found.positions_M2, found.agreement
