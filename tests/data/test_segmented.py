"""Photos in several files are read as those in one."""

import ctypes

import numpy as np
import pytest
import torch

from thalweg.data.augmentation import augmentation
from thalweg.data.augmenters import DeviceAugmenter, HostAugmenter
from thalweg.data.batches import Batches
from thalweg.data.segmented import SegmentedPhotos
from thalweg.data.segments import segments_of


@pytest.fixture
def array():
    return np.random.default_rng(0).integers(0, 256, (23, 8, 8, 3), dtype=np.uint8)


@pytest.fixture
def segmented(array):
    return SegmentedPhotos([array[:5], array[5:5], array[5:6], array[6:22], array[22:]])


@pytest.mark.parametrize(
    "key",
    [
        0, -1, np.int64(6), slice(None), slice(3, 9), slice(20, 2, -3), [22, 0, 5, 5], np.array([], dtype=np.int64),
        np.arange(23) % 3 == 0, (4, 2, 1), (slice(4, 8), slice(None, None, 2)), ([1, 21], slice(2), 3, 0),
    ],
)  # fmt: skip
def test_rows_are_those_of_the_array(array, segmented, key):
    assert np.array_equal(segmented[key], array[key])


def test_it_has_the_size_of_the_array(array, segmented):
    assert (len(segmented), segmented.shape, segmented.nbytes) == (len(array), array.shape, array.nbytes)
    assert np.array_equal(np.array(segmented), array)
    assert np.array_equal(np.stack(list(segmented)), array)
    for row in (23, -24):
        with pytest.raises(IndexError):
            segmented[row]


def test_a_row_is_in_memory_where_it_is_located(array, segmented):
    rows = np.array([22, 4, 5, 6, 0, 21, 6])
    base, starts = segmented.located(rows)
    for row, start in zip(rows, starts.tolist(), strict=True):
        assert ctypes.string_at(base.ctypes.data + start, array[row].nbytes) == array[row].tobytes()
    with pytest.raises(IndexError):
        segmented.located(np.array([23]))


@pytest.mark.parametrize("kind", [HostAugmenter, DeviceAugmenter])
def test_batches_are_those_of_the_array(array, segmented, kind):
    more = ["cpu"] if kind is DeviceAugmenter else []
    made = []
    for photos in (array, segmented):
        augmenter = kind(photos, [0.5] * 3, [0.25] * 3, *map(torch.device, more))
        batches = Batches(
            augmenter, np.arange(3, 23), np.arange(20), size=8, batch_size=6,
            policy=augmentation("standard"), seed=1,
        )  # fmt: skip
        made.append([batches(1, index)[0].clone() for index in range(len(batches))])
    assert all(map(torch.equal, *made))


@pytest.mark.parametrize(
    ("photos", "row_bytes"), [(1, 1), (1000, 1 << 20), (3, 1 << 30), (10**6, 76_800), (257, 1 << 26)]
)
def test_segments_cover_all_photos_in_few_files(photos, row_bytes):
    segments = segments_of(photos, row_bytes)
    assert [position for one in segments for position in one.positions] == list(range(photos))
    assert [one.number for one in segments] == list(range(len(segments)))
    assert len(segments) <= 256
