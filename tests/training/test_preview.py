"""What `thalweg data preview` shows is what a training with that configuration takes."""

from dataclasses import replace

import numpy as np
import pytest

from thalweg.data import build_cache, open_images
from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import Batches
from thalweg.errors import DataError, UsageError
from thalweg.runs import TrainingConfig
from thalweg.training.preview import preview


CONFIG = TrainingConfig(size=24, augment="standard")


def test_the_first_column_is_the_photo_and_the_others_are_the_trainings(striped):
    found = preview(striped, CONFIG, count=3, copies=4)
    images = open_images(striped)
    chosen = [next(one for one in images.photos if one.path == path) for path, _ in found.names]
    assert sorted(name for _, name in found.names) == ["0", "1", "2"]
    cache = build_cache(images, size=30)
    rows = np.array([[one.path for one in cache.photos].index(one.path) for one in chosen])
    mean = cache.images_NHWC[rows].mean(axis=(0, 1, 2)) / 255
    augmenter = HostAugmenter(cache.images_NHWC, mean, [1.0] * 3)
    batches = Batches(
        augmenter, rows, np.arange(3), size=24, batch_size=3, policy=augmentation("standard"), seed=CONFIG.seed
    )
    for epoch in range(4):
        images_NCHW, rows_N = batches(epoch, 0)
        expected = np.clip(images_NCHW.permute(0, 2, 3, 1).numpy() + mean, 0, 1)
        np.testing.assert_allclose(found.copies_PKSS3[rows_N.numpy(), epoch], expected, atol=1e-5)
    assert not np.allclose(found.copies_PKSS3[:, 0], found.copies_PKSS3[:, 1])


def test_without_augmentation_every_image_is_the_photo(striped):
    found = preview(striped, replace(CONFIG, augment="none"), count=2, copies=3)
    np.testing.assert_allclose(found.copies_PKSS3, found.plain_PSS3[:, None].repeat(3, axis=1), atol=1e-5)


def test_mixing_is_seen(striped):
    plain = preview(striped, replace(CONFIG, augment="none"), count=3, copies=2)
    mixed = preview(striped, replace(CONFIG, augment="none", cutmix=1.0), count=3, copies=2)
    assert not np.allclose(plain.copies_PKSS3, mixed.copies_PKSS3)


def test_more_photos_than_there_are_classes_and_none_at_all(striped, tmp_path):
    assert len(preview(striped, CONFIG, count=8, copies=1).names) == 8
    with pytest.raises((DataError, UsageError)):
        preview(tmp_path, CONFIG)
