"""The compiled crop against torch's resize of bytes, and against the same loop run by Python."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from thalweg.data.augmentation import Crops, augmentation, draw_crops
from thalweg.data.cropping import crop, crop_photos
from thalweg.data.segmented import open_segments


def pictures(stored, count=5):
    return np.random.default_rng(stored).integers(0, 256, (count, stored, stored, 3), dtype=np.uint8)


def by_torch(photo_HWC, box, flip, size):
    top, left, height, width = box
    crop_1CHW = torch.from_numpy(photo_HWC[top : top + height, left : left + width].copy()).permute(2, 0, 1)[None]
    resized_1CHW = interpolate(crop_1CHW, (size, size), mode="bilinear", antialias=True)
    image_HWC = resized_1CHW[0].permute(1, 2, 0).numpy()
    return image_HWC[:, ::-1] if flip else image_HWC


@pytest.mark.parametrize(("stored", "size"), [(28, 28), (40, 32), (160, 128), (33, 64), (160, 28), (1, 3), (7, 1)])
def test_a_crop_is_torchs_within_one_gray_level(stored, size):
    photos_NHWC = pictures(stored)
    random = np.random.default_rng(size)
    crops = draw_crops(augmentation("standard"), 24, stored, size, random)
    rows = random.integers(0, len(photos_NHWC), 24)
    made = crop_photos(photos_NHWC, rows, crops, size)
    for position, row in enumerate(rows):
        expected = by_torch(photos_NHWC[row], crops.boxes_N4[position], crops.flips_N[position], size)
        assert np.abs(made[position].astype(int) - expected).max() <= 1


def test_a_crop_without_resize_is_an_exact_copy():
    photos_NHWC = pictures(20)
    boxes = np.array([[0, 0, 16, 16], [4, 3, 16, 16]])
    crops = Crops(boxes, np.array([False, True]), np.ones((2, 3), np.float32), np.zeros((2, 4), np.int64))
    made = crop_photos(photos_NHWC, np.array([1, 4]), crops, 16)
    np.testing.assert_array_equal(made[0], photos_NHWC[1, :16, :16])
    np.testing.assert_array_equal(made[1], photos_NHWC[4, 4:20, 3:19][:, ::-1])


@pytest.mark.parametrize("size", [12, 9])
def test_a_photo_is_mirrored_beyond_its_edges(size):
    photos_NHWC = pictures(12)
    boxes = np.array([[-3, 2, 12, 12], [2, -5, 12, 12], [1, 4, 12, 12], [-2, -2, 12, 12], [5, 5, 12, 12]])
    crops = Crops(boxes, boxes[:, 0] > 0, np.ones((5, 3), np.float32), np.zeros((5, 4), np.int64))
    made = crop_photos(photos_NHWC, np.arange(5), crops, size)
    for position, (top, left, height, width) in enumerate(boxes):
        padded_HWC = np.pad(photos_NHWC[position], ((6, 6), (6, 6), (0, 0)), mode="reflect")
        expected = by_torch(padded_HWC, (top + 6, left + 6, height, width), crops.flips_N[position], size)
        assert np.abs(made[position].astype(int) - expected).max() <= (size != 12)


def test_the_compiled_loop_is_pythons_loop():
    photos_NHWC = pictures(11)
    crops = draw_crops(augmentation("standard"), 6, 11, 7, np.random.default_rng(1))
    rows = np.arange(6) % 5
    out = np.zeros((6, 7, 7, 3), dtype=np.uint8)
    scratch = np.zeros(1000)
    starts = rows * photos_NHWC[0].nbytes
    flat = (photos_NHWC.ravel(), starts, crops.boxes_N4.ravel(), crops.flips_N, scratch, out.reshape(-1))
    crop(6, 11, 7, 6, *flat)
    assert np.abs(out.astype(int) - crop_photos(photos_NHWC, rows, crops, 7)).max() <= 1  # fp64 may round another way


def test_the_files_of_several_maps_are_read_where_they_lie(tmp_path):
    photos_NHWC = pictures(16, count=40)
    edges = [0, 7, 7, 8, 33, 40]
    for number, part in enumerate(np.split(photos_NHWC, edges[1:-1])):
        part.tofile(tmp_path / str(number))
    several = open_segments([tmp_path / str(number) for number in range(5)], np.diff(edges).tolist(), 16)
    random = np.random.default_rng(3)
    crops = draw_crops(augmentation("standard"), 90, 16, 12, random)
    rows = random.integers(0, 40, 90)
    np.testing.assert_array_equal(crop_photos(several, rows, crops, 12), crop_photos(photos_NHWC, rows, crops, 12))


def test_a_memory_map_is_read_directly(tmp_path):
    photos_NHWC = pictures(16)
    photos_NHWC.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, mode="r", shape=photos_NHWC.shape)
    crops = draw_crops(augmentation("light"), 5, 16, 12, np.random.default_rng(2))
    rows = np.arange(5)
    np.testing.assert_array_equal(crop_photos(mapped, rows, crops, 12), crop_photos(photos_NHWC, rows, crops, 12))
