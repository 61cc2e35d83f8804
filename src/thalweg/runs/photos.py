"""The photos of a run: found, decoded, and batched as the network sees them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from thalweg import data
from thalweg.data.corrections import corrected


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from thalweg.data import Cache, ImageSet, LayoutChoice
    from thalweg.data.building import Builders
    from thalweg.data.rendering import Rendering
    from thalweg.data.segmented import Pixels
    from thalweg.runs.config import TrainingConfig

EVALUATION_BATCH = 128  # photos per batch, while they are small
_LARGEST_SIDE = 256  # pixels; of larger photos, a batch has as many pixels as of these


def find_photos(
    photos: Path | str,
    config: TrainingConfig,
    *,
    classes: Sequence[str] | None = None,
    corrections: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ImageSet:
    """Find the photos with the classes, splits and fold of a configuration, without decoding any.

    Args:
        photos: as `thalweg.open_images` takes them.
        config: its fields about photos apply.
        classes: the names of a run that was trained on them, which no longer needs their file; None: from the
            configuration.
        corrections: the run's own copy of the table of corrections; None: the one that the configuration names.
        progress: as for `thalweg.open_images`.

    Raises:
        DataError: there are no photos, their layout is unknown, or corrections do not fit them.
        UsageError: `classes` is not a list of names, there is no such layout, or there are too few photos for the
            folds.
    """
    images = data.open_images(
        photos,
        classes=config.classes if classes is None else classes,
        seed=config.seed,
        valid_fraction=config.valid_fraction,
        choice=layout_choice(config),
        progress=progress,
    )
    table = corrections or config.corrections
    if table is not None:
        images = corrected(images, table)
    if config.folds is None or config.fold is None:
        return images
    return data.fold_of(images, folds=config.folds, fold=config.fold, seed=config.seed)


def unlabeled_test(images: ImageSet) -> ImageSet:
    """Return only the test photos of a set, without labels, to be classified."""
    photos = tuple(replace(photo, label=None, labels=None) for photo in images.split("test"))
    return replace(images, layout="unlabeled", classes=(), photos=photos, notes=(), several=False)


def layout_choice(config: TrainingConfig) -> LayoutChoice:
    """Return how a configuration says that its photos are laid out.

    Raises:
        UsageError: there is no such layout.
    """
    return data.LayoutChoice(
        layout=config.photo_layout,
        table=config.table,
        path_column=config.path_column,
        label_column=config.label_column,
        encoding=config.encoding,
        labels=config.labels,
    )


def decode_photos(
    images: ImageSet,
    config: TrainingConfig,
    stored: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    rendering: Rendering | None = None,
    builders: Builders | None = None,
) -> Cache:
    """Decode the photos into the cache as a configuration requires.

    Args:
        images: from `find_photos`.
        config: its `resize`, `on_bad_image` and `cache_limit` apply.
        stored: side of the decoded photos, in pixels.
        progress: called with (photos decoded, all photos).
        rendering: that of the run; None: chosen from the photos, for a new run.
        builders: the processes that decode them together; None: this one.

    Raises:
        BadImageError: a photo cannot be used, and `on_bad_image` is `stop`.
        DataError: no photo can be used.
        StorageError: the cache cannot be written.
    """
    return data.build_cache(
        images,
        size=stored,
        resize=config.resize,
        on_bad_image=config.on_bad_image,
        rendering=rendering,
        progress=progress,
        builders=builders,
        limit=None if config.cache_limit is None else 1e9 * config.cache_limit,
    )


def evaluation_batches(
    images_NHWC: Pixels,
    facts: Mapping[str, Any],
    rows_N: NDArray[np.int64],
    *,
    size: int,
    batch_size: int = EVALUATION_BATCH,
    flip: bool = False,
    box: tuple[int, int, int, int] | None = None,
) -> Iterator[torch.Tensor]:
    """Yield batches of normalized photos without augmentation, in the order of `rows_N`.

    Args:
        images_NHWC: decoded photos.
        facts: of the run; `mean` and `std` of the training split are used.
        rows_N: indices of the photos.
        size: side of the network's input, in pixels.
        batch_size: photos per batch.
        flip: mirror all of them.
        box: top, left, height, width of the crop, in pixels of the decoded photo; None: all of it.

    Yields:
        images_NCHW, float32, on the CPU; valid until the next batch.
    """
    from thalweg.data.augmenters import HostAugmenter
    from thalweg.data.batches import plain_batches

    augmenter = HostAugmenter(images_NHWC, facts["mean"], facts["std"])
    batch_size = affordable_batch(size, batch_size)
    return plain_batches(augmenter, rows_N, size=size, batch_size=batch_size, flip=flip, box=box)


def affordable_batch(size: int, batch_size: int = EVALUATION_BATCH) -> int:
    """Return the photos per batch, so that memory does not grow with the square of their side.

    Args:
        size: side of the network's input, in pixels.
        batch_size: photos per batch, at most.

    Example:
        >>> affordable_batch(128), affordable_batch(512), affordable_batch(4096)
        (128, 32, 1)
    """
    return max(1, min(batch_size, EVALUATION_BATCH * _LARGEST_SIDE**2 // size**2))
