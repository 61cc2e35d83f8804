"""The compiled cut against torch's resize of bytes, and against the very loop as Python runs it."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from thalweg.data.augment import Views, augmentation, draw_views
from thalweg.data.cutting import cut_views
from thalweg.data.cutting_loop import cut


def pictures(stored, count=5):
    return np.random.default_rng(stored).integers(0, 256, (count, stored, stored, 3), dtype=np.uint8)


def by_torch(image_HWC, box, flip, size):
    top, left, height, width = box
    crop_1CHW = torch.from_numpy(image_HWC[top : top + height, left : left + width].copy()).permute(2, 0, 1)[None]
    resized_1CHW = interpolate(crop_1CHW, (size, size), mode="bilinear", antialias=True)
    view_HWC = resized_1CHW[0].permute(1, 2, 0).numpy()
    return view_HWC[:, ::-1] if flip else view_HWC


@pytest.mark.parametrize(("stored", "size"), [(28, 28), (40, 32), (160, 128), (33, 64), (160, 28), (1, 3), (7, 1)])
def test_a_view_is_torchs_within_one_gray_level(stored, size):
    images_NHWC = pictures(stored)
    random = np.random.default_rng(size)
    views = draw_views(augmentation("standard"), 24, stored, size, random)
    rows = random.integers(0, len(images_NHWC), 24)
    made = cut_views(images_NHWC, rows, views, size)
    for position, row in enumerate(rows):
        expected = by_torch(images_NHWC[row], views.boxes_N4[position], views.flips_N[position], size)
        assert np.abs(made[position].astype(int) - expected).max() <= 1


def test_what_needs_no_resize_is_copied_to_the_bit():
    images_NHWC = pictures(20)
    boxes = np.array([[0, 0, 16, 16], [4, 3, 16, 16]])
    views = Views(boxes, np.array([False, True]), np.ones((2, 3), np.float32), np.zeros((2, 4), np.int64))
    made = cut_views(images_NHWC, np.array([1, 4]), views, 16)
    np.testing.assert_array_equal(made[0], images_NHWC[1, :16, :16])
    np.testing.assert_array_equal(made[1], images_NHWC[4, 4:20, 3:19][:, ::-1])


@pytest.mark.parametrize("size", [12, 9])
def test_beyond_its_edges_a_picture_is_its_mirror_image(size):
    images_NHWC = pictures(12)
    boxes = np.array([[-3, 2, 12, 12], [2, -5, 12, 12], [1, 4, 12, 12], [-2, -2, 12, 12], [5, 5, 12, 12]])
    views = Views(boxes, boxes[:, 0] > 0, np.ones((5, 3), np.float32), np.zeros((5, 4), np.int64))
    made = cut_views(images_NHWC, np.arange(5), views, size)
    for position, (top, left, height, width) in enumerate(boxes):
        padded_HWC = np.pad(images_NHWC[position], ((6, 6), (6, 6), (0, 0)), mode="reflect")
        expected = by_torch(padded_HWC, (top + 6, left + 6, height, width), views.flips_N[position], size)
        assert np.abs(made[position].astype(int) - expected).max() <= (size != 12)


def test_the_compiled_loop_is_the_loop():
    images_NHWC = pictures(11)
    views = draw_views(augmentation("standard"), 6, 11, 7, np.random.default_rng(1))
    rows = np.arange(6) % 5
    out = np.zeros((6, 7, 7, 3), dtype=np.uint8)
    scratch = np.zeros(1000)
    flat = (images_NHWC.ravel(), rows, views.boxes_N4.ravel(), views.flips_N, scratch, out.reshape(-1))
    cut(6, 11, 7, 6, *flat)
    assert np.abs(out.astype(int) - cut_views(images_NHWC, rows, views, 7)).max() <= 1  # fp64 may round another way


def test_a_map_of_a_file_is_read_as_it_is(tmp_path):
    images_NHWC = pictures(16)
    images_NHWC.tofile(tmp_path / "pixels")
    mapped = np.memmap(tmp_path / "pixels", np.uint8, mode="r", shape=images_NHWC.shape)
    views = draw_views(augmentation("light"), 5, 16, 12, np.random.default_rng(2))
    rows = np.arange(5)
    np.testing.assert_array_equal(cut_views(mapped, rows, views, 12), cut_views(images_NHWC, rows, views, 12))
