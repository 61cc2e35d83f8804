"""Class probabilities of unlabeled photos.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.data import ImageSet, open_photos
from thalweg.models import logits_of
from thalweg.prediction.crops import crop_weights, crops
from thalweg.prediction.ensemble import check_classes, together
from thalweg.prediction.predictions import Predictions, in_order
from thalweg.runs import Run, expand_folds, softmax
from thalweg.runs.photos import decode_photos


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data import BadImage, Cache
    from thalweg.data.sources import Note

BATCH = 64


def predict(
    runs: Path | str | Sequence[Path | str],
    photos: Path | str | Sequence[Path | str] | ImageSet,
    *,
    tta: int = 1,
    vote: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Classify photos with one run or several together.

    Args:
        runs: a run's folder, or several, to average their probabilities; a folder with `folds/` means all its folds.
        photos: a folder, an archive, a table, one photo or several; a set with a training and a test split means its
            test split; or a set that is open.
        tta: number of crops of each photo, 1 to 12; the whole photo has half the weight.
        vote: each run has one vote per photo; the mean probability breaks ties.
        progress: called with (photos decoded, all photos), then with (photos classified, all), where each run and crop
            counts.

    Raises:
        RunError: a folder is not a run, has no finished epoch, or the runs have different classes.
        DataError: there are no photos, or none can be read.
        UsageError: `tta` is out of range.
    """
    opened = [Run.open(path) for path in expand_folds([runs] if isinstance(runs, str | Path) else runs)]
    check_classes([(run.path, run.classes) for run in opened])
    for run in opened:
        crops(tta, run.data["stored"])  # raises before any photo is decoded
    networks = [run.load_network() for run in opened]
    images = photos if isinstance(photos, ImageSet) else open_photos(photos)
    found: list[NDArray[np.float64]] = []
    bad: tuple[BadImage, ...] = ()
    notes: tuple[Note, ...] = images.notes
    views = len(opened) * len(crops(tta, opened[0].data["stored"]))
    classified = _counter(progress, views * len(images.photos))
    for run, model in zip(opened, networks, strict=True):
        config = replace(run.config, on_bad_image="skip")  # a submission needs a row for every photo
        cache = decode_photos(images, config, run.data["stored"], progress, rendering=run.rendering)
        found.append(
            in_order(_probabilities(model, run, cache, tta, classified), cache, images.photos, run.data["class_shares"])
        )
        bad, notes = cache.bad, (*notes, *cache.notes)
    return Predictions(images.photos, opened[0].classes, together(found, vote=vote), bad, notes)


def _counter(progress: Callable[[int, int], None] | None, total: int) -> Callable[[Iterator[Tensor]], Iterator[Tensor]]:
    """A function that passes batches on, and reports the photos of all its batches so far."""
    done = 0

    def count(batches: Iterator[Tensor]) -> Iterator[Tensor]:
        nonlocal done
        for batch_NCHW in batches:
            yield batch_NCHW
            done += len(batch_NCHW)
            if progress:
                progress(done, total)

    return count


def _probabilities(
    model: nn.Module, run: Run, cache: Cache, tta: int, counted: Callable[[Iterator[Tensor]], Iterator[Tensor]]
) -> NDArray[np.float64]:
    """Return the weighted mean over the crops, aligned with the cache's photos."""
    rows_N = np.arange(len(cache.photos))
    total_NC = np.zeros((len(rows_N), len(run.classes)))
    for crop, weight in zip(crops(tta, cache.size), crop_weights(tta), strict=True):
        batches = run.batches(cache, rows_N, batch_size=BATCH, flip=crop.flip, box=crop.box)
        logits_NC = logits_of(model, counted(batches))
        total_NC += weight * softmax(logits_NC.numpy(), run.temperature)
    return total_NC
