"""Batches against a literal twin: crop, resize, mirror, color, normalize, one photo at a time."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from thalweg.data.augmentation import AUGMENTATIONS, Augmentation, augmentation, draw_crops
from thalweg.data.augmenters import DeviceAugmenter, HostAugmenter
from thalweg.data.batches import Batches, plain_batches
from thalweg.errors import UnknownNameError


MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def images_NHWC():  # noqa: N802 - shape suffix
    return np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), dtype=np.uint8)


LABELS = np.arange(20) % 4


def batches(images_NHWC, policy, *, seed=3, labels=LABELS, augmenter=None):
    augmenter = augmenter or HostAugmenter(images_NHWC, MEAN, STD)
    return Batches(augmenter, np.arange(20), labels, size=32, batch_size=8, policy=policy, seed=seed)


def literal_image(image_HWC, crops, position, size):
    """The same image, one step after the other, in float64."""
    top, left, height, width = crops.boxes_N4[position]
    padded_HWC = np.pad(image_HWC, ((9, 9), (9, 9), (0, 0)), mode="reflect")
    crop_HWC = torch.from_numpy(padded_HWC[top + 9 : top + 9 + height, left + 9 : left + 9 + width].copy())
    crop_1CHW = crop_HWC.permute(2, 0, 1)[None]
    if (height, width) != (size, size):
        crop_1CHW = interpolate(crop_1CHW, (size, size), mode="bilinear", antialias=True)
    pixels_HWC = crop_1CHW[0].permute(1, 2, 0).double().numpy() / 255
    if crops.flips_N[position]:
        pixels_HWC = pixels_HWC[:, ::-1]
    brightness, contrast, saturation = (float(factor) for factor in crops.colors_N3[position])
    luma_3 = np.array([0.299, 0.587, 0.114])
    mean_gray = (pixels_HWC @ luma_3).mean()
    gray_HW1 = (pixels_HWC @ luma_3)[:, :, None]
    pixels_HWC = saturation * pixels_HWC + (1 - saturation) * gray_HW1
    pixels_HWC = contrast * pixels_HWC + (1 - contrast) * mean_gray
    pixels_HWC = (brightness * pixels_HWC - np.array(MEAN)) / np.array(STD)
    top, left, height, width = crops.erased_N4[position]
    pixels_HWC[top : top + height, left : left + width] = 0
    return pixels_HWC.transpose(2, 0, 1)


def augmenter_of(kind, images_NHWC):
    if kind == "host":
        return HostAugmenter(images_NHWC, MEAN, STD)
    return DeviceAugmenter(images_NHWC, MEAN, STD, torch.device("cpu"))  # it runs on every device


@pytest.mark.parametrize("kind", ["host", "device"])
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_batches_equal_the_literal_twin(images_NHWC, name, kind):
    policy = augmentation(name)
    made = batches(images_NHWC, policy, augmenter=augmenter_of(kind, images_NHWC))
    epoch, index = 2, 1
    images_NCHW, labels_N = made(epoch, index)
    order = np.random.default_rng([3, 0, epoch]).permutation(20)[8:16]
    crops = draw_crops(policy, 8, 40, 32, np.random.default_rng([3, 1, epoch, index]))
    assert labels_N.tolist() == (order % 4).tolist()
    for position, row in enumerate(order):
        expected_CHW = literal_image(images_NHWC[row], crops, position, 32)
        # a resized pixel may be one gray level off; brightness, contrast and deviation magnify it
        off = np.abs(images_NCHW[position].numpy() - expected_CHW)
        assert off.max() < 4 / 255 / min(STD)
        assert off.mean() < 0.5 / 255 / min(STD)


@pytest.mark.parametrize("size", [24, 40, 56])
@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_crops_made_on_a_device_are_those_of_the_host_up_to_a_byte(images_NHWC, name, size):
    """The host rounds to bytes before color; apart from that, both are the same numbers."""
    host, device = (augmenter_of(kind, images_NHWC) for kind in ("host", "device"))
    rows_N = np.array([3, 3, 19, 0, 7])
    crops = draw_crops(augmentation(name), 5, 40, size, np.random.default_rng(5))
    crops = crops._replace(colors_N3=np.ones((5, 3), dtype=np.float32))
    off = (host(rows_N, crops, size) - device(rows_N, crops, size)).abs()
    assert off.max() < 0.51 / 255 / min(STD)


def test_an_epoch_sees_each_photo_once_and_epochs_differ(images_NHWC):
    made = batches(images_NHWC, Augmentation(), labels=np.arange(20))
    orders = [torch.cat([made(epoch, index)[1] for index in range(len(made))]).tolist() for epoch in range(3)]
    assert [sorted(order) for order in orders] == [list(range(20))] * 3
    assert orders[0] != orders[1] != orders[2]


def test_a_batch_is_a_function_of_seed_epoch_and_index(images_NHWC):
    policy = augmentation("standard")
    first, again = batches(images_NHWC, policy), batches(images_NHWC, policy)
    for epoch, index in ((4, 2), (0, 0), (4, 1)):  # in another order than a training asks for them
        wanted = [tensor.clone() for tensor in first(epoch, index)]
        first(1, 1)
        assert torch.equal(again(epoch, index)[0], wanted[0])
    other, _ = batches(images_NHWC, policy, seed=4)(0, 0)
    assert not torch.equal(other, first(0, 0)[0])


def test_plain_batches_show_the_whole_photo_mirrored_or_not(images_NHWC):
    rows = np.array([5, 3, 9])
    augmenter = HostAugmenter(images_NHWC, MEAN, STD)
    plain = torch.cat([b.clone() for b in plain_batches(augmenter, rows, size=40, batch_size=2)])
    expected = ((images_NHWC[rows] / 255 - MEAN) / STD).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(plain.numpy(), expected, atol=2e-5)
    mirrored = next(plain_batches(augmenter, rows, size=40, batch_size=3, flip=True))
    np.testing.assert_allclose(mirrored.numpy(), expected[..., ::-1], atol=2e-5)


@pytest.mark.parametrize("name", sorted(AUGMENTATIONS))
def test_crops_stay_inside_the_photo_and_keep_the_area_promised(name):
    policy = augmentation(name)
    crops = draw_crops(policy, 5000, 160, 128, np.random.default_rng(0))
    top_N, left_N, height_N, width_N = crops.boxes_N4.T
    over = round(160 * policy.shift)
    for first_N, side_N in ((top_N, height_N), (left_N, width_N)):
        assert (-over <= first_N).all()
        assert (first_N + side_N <= 160 + over).all()
        assert over == 0 or (first_N.min(), first_N.max()) == (-over, over)
    area_N = height_N * width_N / 160**2
    # A crop that is wider than the photo is cut to it, which may cost area up to the ratio.
    assert area_N.min() >= policy.smallest_area / policy.widest_ratio - 0.01
    erased_N = crops.erased_N4[:, 2] > 0
    assert erased_N.mean() == pytest.approx(policy.erase, abs=0.03)
    assert crops.flips_N.mean() == pytest.approx(0.5 if policy.flip else 0, abs=0.03)


def test_an_unknown_augmentation_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="standard"):
        augmentation("standart")


@pytest.mark.parametrize(
    ("photos", "batch_size", "sizes"),
    [(17, 8, [8, 9]), (16, 8, [8, 8]), (18, 8, [8, 8, 2]), (1, 8, [1]), (3, 1, [1, 1, 1])],
)
def test_no_photo_is_left_alone_in_the_last_batch(images_NHWC, photos, batch_size, sizes):
    made = Batches(
        HostAugmenter(images_NHWC, MEAN, STD), np.arange(photos), np.arange(photos), size=16, batch_size=batch_size,
        policy=augmentation("none"), seed=0,
    )  # fmt: skip
    seen = [made(0, index)[1].tolist() for index in range(len(made))]
    assert [len(labels) for labels in seen] == sizes
    assert sorted(label for labels in seen for label in labels) == list(range(photos))


def test_balanced_batches_hold_the_classes_equally_often(images_NHWC):
    labels = np.repeat([0, 1], [15, 5])
    options = {"size": 32, "batch_size": 8, "policy": augmentation("none"), "seed": 3}
    made = Batches(HostAugmenter(images_NHWC, MEAN, STD), np.arange(20), labels, **options, sampling="balanced")
    taken = torch.cat([made(0, index)[1] for index in range(len(made))])
    assert torch.bincount(taken).tolist() == [10, 10]
    parts = [made.shard(0, 1, shard, places, made.augmenter)[1] for shard, places in enumerate((slice(3), slice(3, 8)))]
    assert torch.equal(torch.cat(parts), made(0, 1)[1])  # the same photos, whoever computes them
