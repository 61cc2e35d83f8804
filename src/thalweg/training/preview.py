"""What the network will see: some photos of the training split, plain and as augmentation changes them.

Shape suffixes: P photos, K copies of each, S side of the images, 3 colors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import Batches, plain_batches
from thalweg.data.decoding import decode
from thalweg.data.mixing import Mixing
from thalweg.errors import DataError
from thalweg.runs.photos import find_photos
from thalweg.training.prepare import choose_sizes, typical_side


if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data import ImageSet, Photo
    from thalweg.runs import TrainingConfig


class Preview(NamedTuple):
    """Photos as a training with some configuration sees them; colors in [0, 1].

    Attributes:
        names: path and class of each photo.
        plain_PSS3: as for validation.
        copies_PKSS3: as for training, drawn as the training draws them.
    """

    names: list[tuple[str, str]]
    plain_PSS3: NDArray[np.float32]
    copies_PKSS3: NDArray[np.float32]


def preview(photos: Path | str, config: TrainingConfig, *, count: int = 6, copies: int = 8) -> Preview:
    """Draw photos as the network will see them, without decoding the rest.

    Args:
        photos: as `thalweg.train` takes them.
        config: its size, resizing, augmentation, mixing and seed apply.
        count: number of photos, at least 1; of different classes as far as there are.
        copies: number of augmented images of each, at least 1.

    Raises:
        BadImageError: a photo cannot be read.
        DataError: there are no photos for training.
    """
    images = find_photos(photos, config)
    chosen = _one_of_each_class(images, count, config.seed)
    policy = augmentation(config.augment)
    size, stored = choose_sizes(config.size, config.max_size, typical_side(images), policy.enlarge)
    pixels_PSS3 = np.stack([decode(images.read(one), stored, config.resize, path=one.path) for one in chosen])
    mean_3 = pixels_PSS3.mean(axis=(0, 1, 2)) / 255  # which an erased rectangle has
    augmenter = HostAugmenter(pixels_PSS3, mean_3.tolist(), [1.0] * 3)
    rows_P = np.arange(len(chosen))
    batches = Batches(augmenter, rows_P, rows_P, size=size, batch_size=count, policy=policy, seed=config.seed)
    mixing = Mixing(config.mixup, config.cutmix, config.seed) if config.mixup + config.cutmix else None
    copies_PKSS3 = np.empty((len(chosen), copies, size, size, 3), dtype=np.float32)
    for epoch in range(copies):
        images_NCHW, rows_N = batches(epoch, 0)  # the rows are their labels, so each image knows its photo
        if mixing:
            mixing(images_NCHW, epoch, 0)
        copies_PKSS3[rows_N.numpy(), epoch] = images_NCHW.permute(0, 2, 3, 1).numpy() + mean_3
    (plain_NCHW,) = plain_batches(augmenter, rows_P, size=size, batch_size=len(chosen))
    plain_PSS3 = plain_NCHW.permute(0, 2, 3, 1).numpy() + mean_3
    names = [(one.path, one.written(images.classes) or "") for one in chosen]
    return Preview(names, np.clip(plain_PSS3, 0, 1), np.clip(copies_PKSS3, 0, 1))


def _one_of_each_class(images: ImageSet, count: int, seed: int) -> list[Photo]:
    """Photos of the training split, drawn by the seed: of each class one, then of each another one."""
    photos = [one for one in images.split("train") if one.is_labeled]
    if not photos:
        raise DataError("data.no_images", path=images.root)
    order = np.random.default_rng(seed).permutation(len(photos))
    turn: dict[int, int] = {}
    ranked = []
    for at in order:
        label = min(photos[at].all_labels, default=-1)
        turn[label] = turn.get(label, 0) + 1
        ranked.append((turn[label], label, int(at)))
    return [photos[at] for _, _, at in sorted(ranked)[:count]]
