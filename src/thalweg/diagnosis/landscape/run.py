"""The landscape of a run: around its best weights, or over the plane of its trajectory.

Shape suffixes: N photos, K checkpoints.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg import models
from thalweg.diagnosis.landscape.directions import principal_plane
from thalweg.diagnosis.landscape.grid import Plane
from thalweg.diagnosis.landscape.landscape import (
    GRIDS,
    Kind,
    Landscape,
    Trajectory,
    announce,
    check_grid,
    chosen_grid,
    counter,
    landscape_of,
)
from thalweg.errors import RunError, UsageError
from thalweg.probes.batches import Batch
from thalweg.runs import Run, files
from thalweg.training.losses import loss_of
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data.photos import Split

_BATCH = 128
_TIMED = 64  # photos
_FEWEST = 3  # checkpoints that span a plane
_MARGIN = 0.15  # margin around the trajectory, as a share of its extent


def landscape_of_run(
    run: Path | str,
    *,
    plane: Kind = "random",
    points: int | None = None,
    span: float = 1.0,
    photos: int | None = None,
    split: Split = "valid",
    seed: int = 0,
    photos_at: Path | str | None = None,
    listener: Listener | None = None,
) -> Landscape:
    """Compute the loss of a run's network over a plane, without label smoothing.

    Args:
        run: the run's folder.
        plane: `random`: two directions with filter normalization through the best weights; `trajectory`: the plane of
            the run's own trajectory, through its last epoch; it needs the weights of all epochs (`--save-every-epoch`).
        points: along each side, odd. None: 11 to 41, so that the landscape takes less than a minute on this machine.
        span: of random directions, in lengths of the filters; of a trajectory, in multiples of its extent.
        photos: number of photos in the mean loss, at most; a smaller split has fewer. None: 32 to 512, likewise.
        split: the split from which the photos are taken, evenly.
        seed: of the random directions.
        photos_at: where the run's photos are now, if they have moved.
        listener: receives the chosen size, the expected time, and the progress.

    Raises:
        RunError: the folder is not a run, no epoch has ended, no epochs were saved, or the photos have changed.
        UsageError: an invalid argument.
    """
    check_grid(points, span)
    if photos is not None and photos < 1:
        raise UsageError("landscape.bad_photos", value=photos)
    opened = Run.open(run, photos=photos_at)
    epochs = _saved_epochs(opened) if plane == "trajectory" else []
    model = opened.load_network(epochs[-1] if epochs else files.BEST)
    models.freeze(model, opened.config.freeze)
    listener = listener or Listener()
    images, labels_N = _photos(opened, photos or GRIDS[0][1], split, listener)
    an_example = _seconds_a_photo(model, images)
    points, count = chosen_grid(an_example, points=points, examples=photos and len(images), most=len(images))
    kept_N = np.linspace(0, len(images) - 1, count).round().astype(int)
    images, labels_N = images[kept_N], labels_N[kept_N]
    loss_fn = partial(_loss, opened.config.loss)
    if plane == "random":
        return landscape_of(model, loss_fn, images, labels_N, points=points, span=span, seed=seed, listener=listener)
    batches = [Batch(*pair) for pair in zip(images.split(_BATCH), labels_N.split(_BATCH), strict=True)]
    states = [opened.load_weights(epoch) for epoch in epochs]
    announce(listener, points, count, points**2 * count * an_example)
    return _along(model, dict(zip(epochs, states, strict=True)), loss_fn, batches, (points, span), listener=listener)


@torch.no_grad()
def _seconds_a_photo(model: nn.Module, images: Tensor) -> float:
    """The time of a forward pass for one photo; the first pass only warms up."""
    model(images[:_TIMED])
    began = time.perf_counter()
    model(images[:_TIMED])
    return (time.perf_counter() - began) / len(images[:_TIMED])


def _along(
    model: nn.Module,
    states: dict[int, dict[str, Tensor]],
    loss_fn: partial[Tensor],
    batches: list[Batch],
    grid: tuple[int, float],
    *,
    listener: Listener,
) -> Landscape:
    """The plane of the run's trajectory through its epochs; the model has the weights of the last."""
    trained = [name for name, _ in model.named_parameters()]
    found = principal_plane([{name: state[name] for name in trained} for state in states.values()])
    plane = Plane(model, found.directions, loss_fn, batches)
    a_W, b_H = (_extent(values_K, *grid) for values_K in (found.a_K, found.b_K))
    trajectory = Trajectory(
        np.array(list(states)),
        found.a_K,
        found.b_K,
        np.array([plane.loss_at(state) for state in states.values()]),
        np.array([float(plane.losses([a], [b])[0, 0]) for a, b in zip(found.a_K, found.b_K, strict=True)]),
        found.distance_K,
        found.moved_K,
        found.outside_K,
        found.outside,
    )
    losses_HW = plane.losses(a_W.tolist(), b_H.tolist(), computed=counter(listener, a_W.size * b_H.size))
    count = sum(parameter.numel() for parameter in model.parameters())
    origin = float(plane.losses([0.0], [0.0])[0, 0])
    return Landscape(
        "trajectory", a_W, b_H, losses_HW, origin, count, sum(batch.size for batch in batches), 0, trajectory
    )


def _extent(values_K: NDArray[np.float64], points: int, span: float) -> NDArray[np.float64]:
    """Evenly spaced values over the trajectory, with a margin; 0, the last checkpoint, is one unless it is outside."""
    low, high = float(values_K.min()), float(values_K.max())
    half = span * (1 + 2 * _MARGIN) * (high - low) / 2 or 1.0
    left, right = (low + high) / 2 - half, (low + high) / 2 + half
    if not left < 0 < right:
        return np.linspace(left, right, points)
    gap, before = min((max(-left / before, right / (points - 1 - before)), before) for before in range(1, points - 1))
    return np.arange(-before, points - before) * np.float64(gap)


def _loss(name: str, logits_NC: Tensor, labels_N: Tensor) -> Tensor:
    return loss_of(name, logits_NC, labels_N, 0.0)


def _saved_epochs(run: Run) -> list[int]:
    """The epochs whose weights the run has saved, in order.

    Raises:
        RunError: there are too few for a plane.
    """
    epochs = run.saved_epochs()
    if len(epochs) < _FEWEST:
        raise RunError("landscape.no_epochs", run=run.path, count=len(epochs), least=_FEWEST)
    return epochs


def _photos(run: Run, count: int, split: Split, listener: Listener) -> tuple[Tensor, Tensor]:
    """Photos of a split as the network sees them in evaluation, and their classes.

    Raises:
        RunError: the photos have changed.
        UsageError: the split has no labels.
    """
    cache = run.open_photos(progress=listener.caching)
    labels = cache.labels(split)
    if not len(labels) or bool((labels < 0).any()):
        raise UsageError("landscape.no_labels", split=split)
    chosen = np.linspace(0, len(labels) - 1, min(count, len(labels))).round().astype(int)
    batches = run.batches(cache, cache.rows(split)[chosen], batch_size=_BATCH)
    pictures = torch.cat([batch.clone() for batch in batches])
    return pictures, torch.from_numpy(labels[chosen])
