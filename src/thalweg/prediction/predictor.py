"""Probabilities of the classes for photos that have no label.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg import models
from thalweg.data import build_cache, open_photos
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import plain_batches
from thalweg.errors import RunError
from thalweg.prediction.ensemble import check_classes, expanded, together
from thalweg.prediction.predictions import Predictions, in_order
from thalweg.prediction.views import view_weights, views
from thalweg.training import Run, checkpoint
from thalweg.training.calibration import probabilities
from thalweg.training.evaluation import logits_of


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import nn

    from thalweg.data import BadImage, Cache

BATCH = 64


def predict(
    runs: Path | str | Sequence[Path | str],
    photos: Path | str,
    *,
    tta: int = 1,
    vote: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Classify photos with the weights that a run kept, or several runs together.

    Args:
        runs: the run's folder, or several, whose probabilities are averaged; a folder with `folds/` is its folds.
        photos: a folder, an archive, a table or one photo; of a folder with splits, its test split.
        tta: how many views of each photo are looked at, 1 to 12; the plain one has half of the say.
        vote: each run has one vote a photo; equal votes are decided by the mean probability.
        progress: called with (photos decoded, all photos).

    Raises:
        RunError: not a run, one that has no finished epoch yet, or runs of different classes.
        DataError: no photos there, or none that can be read.
        UsageError: `tta` out of range.
    """
    opened = [Run.open(path) for path in expanded([runs] if isinstance(runs, str | Path) else runs)]
    check_classes([(run.path, run.classes) for run in opened])
    for run in opened:
        views(tta, run.data["stored"])  # refused before any photo is decoded
    models_of = [best_model(run) for run in opened]
    images = open_photos(photos)
    found: list[NDArray[np.float64]] = []
    bad: tuple[BadImage, ...] = ()
    for run, model in zip(opened, models_of, strict=True):
        cache = build_cache(images, size=run.data["stored"], resize=run.config.resize, progress=progress)
        found.append(in_order(_probabilities(model, run, cache, tta), cache, images.photos, run.data["class_shares"]))
        bad = cache.bad
    return Predictions(images.photos, opened[0].classes, together(found, vote=vote), bad)


def best_model(run: Run) -> nn.Module:
    """The run's network with the weights that it kept, ready to evaluate.

    Raises:
        RunError: no epoch has ended yet.
    """
    if not run.best.exists():
        raise RunError("prediction.no_weights", run=run.path)
    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    model = models.build(run.config.model, classes=len(run.classes), size=run.config.size)
    tensors, _ = checkpoint.load(run.best)
    checkpoint.load_model(model, tensors)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - torch types leave it out
    return model.eval()


def _probabilities(model: nn.Module, run: Run, cache: Cache, tta: int) -> NDArray[np.float64]:
    """Weighted mean over the views, aligned with the cache's photos."""
    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    chosen = views(tta, cache.size)
    augmenter = HostAugmenter(cache.images_NHWC, run.data["mean"], run.data["std"])
    total_NC = np.zeros((len(cache.photos), len(run.classes)))
    for view, weight in zip(chosen, view_weights(tta), strict=True):
        batches = plain_batches(
            augmenter,
            np.arange(len(cache.photos)),
            size=run.config.size,
            batch_size=BATCH,
            flip=view.flip,
            box=view.box,
        )
        total_NC += weight * probabilities(logits_of(model, batches).numpy(), run.temperature)
    return total_NC
