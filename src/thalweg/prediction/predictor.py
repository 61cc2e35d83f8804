"""Class probabilities of unlabeled photos.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.data import ImageSet, Photo, open_photos
from thalweg.prediction.crops import crops
from thalweg.prediction.ensemble import check_classes, thresholds_together, together
from thalweg.prediction.pixels import each_of, squares_of
from thalweg.prediction.predictions import Predictions, in_order
from thalweg.prediction.views import mean_over_views
from thalweg.runs import Run, expand_folds
from thalweg.runs.photos import decode_photos


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

    from thalweg.data import BadImage
    from thalweg.data.sources import Note


def predict(
    runs: Run | Path | str | Sequence[Run | Path | str],
    photos: Path | str | Sequence[Path | str] | ImageSet | Any,
    *,
    tta: int = 1,
    vote: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Classify photos with one run or several together.

    Args:
        runs: a run or its folder, or several, to average their probabilities; a folder with `folds/` means all its
            folds.
        photos: a folder, an archive, a table, one photo or several; a set with a training and a test split means its
            test split; or a set that is open. Pictures that a program holds are taken as `Classifier.predict` takes
            them: `PIL.Image`s, arrays, tensors, bytes.
        tta: number of crops of each photo, 1 to 12; the whole photo has half the weight.
        vote: each run has one vote per photo; the mean probability breaks ties.
        progress: called with (photos decoded, all photos), then with (photos classified, all), where each run and crop
            counts.

    Raises:
        RunError: a folder is not a run, has no finished epoch, or the runs have different classes.
        DataError: there are no photos, or none can be read; of pictures that a program holds, one cannot be read.
        UsageError: `tta` is out of range.
    """
    opened = [Run.open(path) for path in expand_folds([runs] if isinstance(runs, str | Path | Run) else runs)]
    thresholds = [run.thresholds for run in opened]
    check_classes([(run.path, run.classes, own_C) for run, own_C in zip(opened, thresholds, strict=True)])
    common_C = thresholds_together(thresholds, vote=vote)
    for run in opened:
        crops(tta, run.data["stored"])  # raises before any photo is decoded
    networks = [run.load_network() for run in opened]
    homework = all(run.data["layout"] == "flat" for run in opened)
    if not _are_files(photos):
        # several runs see the same pictures, even if these come from a generator, or in another order each time
        pictures = photos if len(opened) == 1 else [picture for _, picture in each_of(photos)]
        squares = [squares_of(pictures, run) for run in opened]
        found = [
            mean_over_views(model, run, pixels_NSS3, tta)
            for model, run, (_, pixels_NSS3) in zip(networks, opened, squares, strict=True)
        ]
        held = tuple(Photo(name, "test", None) for name in squares[0][0])
        joined_NC = together(found, vote=vote, thresholds=thresholds)
        return Predictions(held, opened[0].classes, joined_NC, (), homework=homework, thresholds_C=common_C)
    images = photos if isinstance(photos, ImageSet) else open_photos(photos)
    found = []
    bad: tuple[BadImage, ...] = ()
    notes: tuple[Note, ...] = images.notes
    views = len(opened) * len(crops(tta, opened[0].data["stored"]))
    classified = _counter(progress, views * len(images.photos))
    for run, model in zip(opened, networks, strict=True):
        config = replace(run.config, on_bad_image="skip")  # a submission needs a row for every photo
        cache = decode_photos(images, config, run.data["stored"], progress, rendering=run.rendering)
        cached_NC = mean_over_views(model, run, cache.images_NHWC, tta, classified)
        found.append(in_order(cached_NC, cache, images.photos, run.data["class_shares"]))
        bad, notes = cache.bad, (*notes, *cache.notes)
    joined_NC = together(found, vote=vote, thresholds=thresholds)
    return Predictions(images.photos, opened[0].classes, joined_NC, bad, notes, homework, common_C)


def _are_files(photos: Any) -> bool:
    """Whether photos are files, one by one or together, and not pictures that a program holds."""
    if isinstance(photos, str | os.PathLike | ImageSet):
        return True
    return isinstance(photos, list | tuple) and all(isinstance(one, str | os.PathLike) for one in photos)


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
