"""Probabilities of the classes for photos that have no label.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg import models
from thalweg.data import build_cache, open_photos
from thalweg.data.batches import plain_batches
from thalweg.errors import RunError
from thalweg.prediction.views import views
from thalweg.training import Run, checkpoint
from thalweg.training.evaluation import logits_of


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import nn

    from thalweg.data import BadImage, Cache, Photo

BATCH = 64


@dataclass(frozen=True, slots=True)
class Predictions:
    """What the network says of each photo.

    Attributes:
        photos: all photos, in natural order of their paths.
        classes: names, in the order of the columns.
        probability_NC: of each class; rows add up to 1.
        bad: photos that could not be read. Their rows are the shares of the classes in the training split, so that a
            submission has as many rows as there are pictures.
    """

    photos: tuple[Photo, ...]
    classes: tuple[str, ...]
    probability_NC: NDArray[np.float64]
    bad: tuple[BadImage, ...]

    @property
    def label_N(self) -> NDArray[np.int64]:  # noqa: N802 - shape suffix
        """The most probable class of each photo."""
        return self.probability_NC.argmax(axis=1)


def predict(
    run: Path | str,
    photos: Path | str,
    *,
    tta: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Classify photos with the best weights of a run.

    Args:
        run: the run's folder.
        photos: a folder, an archive, a table or one photo; of a folder with splits, its test split.
        tta: how many views of each photo are averaged, 1 to 12.
        progress: called with (photos decoded, all photos).

    Raises:
        RunError: not a run, or one that has no finished epoch yet.
        DataError: no photos there, or none that can be read.
        UsageError: `tta` out of range.
    """
    opened = Run.open(Path(run))
    views(tta, opened.data["stored"])  # refused before any photo is decoded
    model = best_model(opened)
    images = open_photos(photos)
    cache = build_cache(images, size=opened.data["stored"], fit=opened.config.fit, progress=progress)
    cached_NC = _probabilities(model, opened, cache, tta)
    return Predictions(images.photos, opened.classes, _in_order(cached_NC, cache, images.photos, opened), cache.bad)


def best_model(run: Run) -> nn.Module:
    """The run's network with the weights of its best epoch, ready to evaluate.

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
    """Mean over the views, aligned with the cache's photos."""
    assert run.config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
    chosen = views(tta, cache.size)
    total_NC = np.zeros((len(cache.photos), len(run.classes)))
    for view in chosen:
        batches = plain_batches(
            cache.images_NHWC,
            np.arange(len(cache.photos)),
            size=run.config.size,
            batch_size=BATCH,
            mean=run.data["mean"],
            std=run.data["std"],
            flip=view.flip,
            box=view.box,
        )
        total_NC += logits_of(model, batches).double().softmax(dim=1).numpy()
    return total_NC / len(chosen)


def _in_order(cached_NC: NDArray[np.float64], cache: Cache, photos: tuple[Photo, ...], run: Run) -> NDArray[np.float64]:
    """One row a photo, also for those that the cache left out."""
    row_of = {photo.path: row for row, photo in enumerate(cache.photos)}
    prior_C = np.asarray(run.data["class_shares"])
    return np.stack([cached_NC[row_of[photo.path]] if photo.path in row_of else prior_C for photo in photos])
