"""Augmentation: random crops, mirrors, colors and erasures, drawn as numbers before any pixel is touched.

An `Augmentation` bounds how far augmented images may differ; `draw_crops` draws one crop per photo from a random
generator; `augmenters` turn crops into images. The draw depends only on the generator, so a resumed run sees the
same images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thalweg.errors import UnknownNameError


if TYPE_CHECKING:
    from numpy.typing import NDArray

# Independent random streams of one seed: draws depend only on (seed, stream, epoch, batch), also after resuming.
ORDER, CROPS, MIXES, TURNS = 0, 1, 2, 3

# ITU-R BT.601 luma, the gray that saturation fades to.
LUMA_C = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, kw_only=True, slots=True)
class Augmentation:
    """How far augmented images of one photo may differ.

    Attributes:
        smallest_area: smallest share of the photo's area that a random crop keeps, in (0, 1]; 1 crops nothing.
        widest_ratio: largest ratio of a crop's width to its height, and of its height to its width, at least 1.
        shift: largest shift up, down, left or right, as a share of the side; the photo is mirrored beyond its edges.
            Unlike a resized crop, a shift blurs no pixel.
        flip: whether half of the images are mirrored left to right.
        brightness: factor drawn from 1 ± this.
        contrast: factor around the image's own mean gray, drawn from 1 ± this.
        saturation: factor around each pixel's own gray, drawn from 1 ± this.
        erase: share of images in which one rectangle is blanked (2 to 20 % of the area).
        enlarge: ratio of the cached photo's side to the training size, so that crops need not be scaled up.
    """

    smallest_area: float = 1.0
    widest_ratio: float = 1.0
    shift: float = 0.0
    flip: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    erase: float = 0.0
    enlarge: float = 1.0


AUGMENTATIONS = {
    "none": Augmentation(),
    "flip": Augmentation(flip=True),
    "shift": Augmentation(shift=0.08, flip=True),
    "light": Augmentation(smallest_area=0.7, widest_ratio=1.15, flip=True, brightness=0.1, contrast=0.1),
    "standard": Augmentation(
        smallest_area=0.35,
        widest_ratio=4 / 3,
        flip=True,
        brightness=0.2,
        contrast=0.3,
        saturation=0.3,
        erase=0.25,
        enlarge=1.25,
    ),
}


def augmentation(name: str) -> Augmentation:
    """The augmentation of a name in `AUGMENTATIONS`.

    Raises:
        UnknownNameError: there is no such name.
    """
    if name not in AUGMENTATIONS:
        raise UnknownNameError("augmentation", name, AUGMENTATIONS)
    return AUGMENTATIONS[name]


class Crops(NamedTuple):
    """One crop for each photo of a batch of N, with its mirroring, colors and erasure."""

    boxes_N4: NDArray[np.int64]  # top, left, height, width in pixels of the cached photo; they may reach
    # beyond its edges by less than its side, where the photo is mirrored
    flips_N: NDArray[np.bool_]
    colors_N3: NDArray[np.float32]  # factors of brightness, contrast, saturation
    erased_N4: NDArray[np.int64]  # top, left, height, width in pixels of the image; height 0 erases nothing


def draw_crops(policy: Augmentation, count: int, stored: int, size: int, random: np.random.Generator) -> Crops:
    """Draw `count` crops of photos of `stored` × `stored` pixels for images of `size` × `size`.

    Args:
        policy: bounds of the augmentation.
        count: number of crops.
        stored: side of the cached photos in pixels.
        size: side of the images in pixels.
        random: source of the numbers.
    """
    area_N = random.uniform(policy.smallest_area, 1, count)
    spread = np.log(policy.widest_ratio)
    ratio_N = np.exp(random.uniform(-spread, spread, count))
    height_N = np.clip(np.rint(stored * np.sqrt(area_N / ratio_N)), 1, stored)
    width_N = np.clip(np.rint(stored * np.sqrt(area_N * ratio_N)), 1, stored)
    flips_N = random.random(count) < (0.5 if policy.flip else 0)
    boxes_N4 = _placed_boxes(height_N, width_N, stored, random)
    if policy.shift:
        most = round(policy.shift * stored)
        boxes_N4[:, :2] += random.integers(-most, most + 1, (count, 2))
    spans_3 = np.array([policy.brightness, policy.contrast, policy.saturation])
    return Crops(
        boxes_N4,
        flips_N,
        (1 + spans_3 * random.uniform(-1, 1, (count, 3))).astype(np.float32),
        _erased_boxes(policy.erase, count, size, random),
    )


def _placed_boxes(
    height_N: NDArray[np.float64], width_N: NDArray[np.float64], side: int, random: np.random.Generator
) -> NDArray[np.int64]:
    top_N = np.floor(random.random(len(height_N)) * (side - height_N + 1))
    left_N = np.floor(random.random(len(width_N)) * (side - width_N + 1))
    return np.stack([top_N, left_N, height_N, width_N], axis=1).astype(np.int64)


def _erased_boxes(share: float, count: int, size: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Random erasing (Zhong et al. 2017, https://arxiv.org/abs/1708.04896)."""
    area_N = random.uniform(0.02, 0.2, count)
    ratio_N = np.exp(random.uniform(np.log(0.3), np.log(1 / 0.3), count))
    chosen_N = random.random(count) < share
    height_N = np.clip(np.rint(size * np.sqrt(area_N / ratio_N)), 1, size) * chosen_N
    width_N = np.clip(np.rint(size * np.sqrt(area_N * ratio_N)), 1, size) * chosen_N
    return _placed_boxes(height_N, width_N, size, random)


def color_matrices(colors_N3: NDArray[np.float32], gray_N: NDArray[np.floating]) -> NDArray[np.float32]:
    """Brightness, contrast and saturation of each image as one affine map of RGB in 0..1.

    With `b, c, s` the factors, `g` the image's mean gray and `L` the map to each pixel's gray:
    `x ↦ b·(c·(s·x + (1 - s)·L·x) + (1 - c)·g)`.

    Args:
        colors_N3: factors of brightness, contrast, saturation.
        gray_N: mean gray of each image, in 0..1.

    Returns:
        (N, 4, 3): a pixel, as a row vector, is multiplied by rows 0 to 2; row 3 is added.
    """
    brightness_N11, contrast_N11, saturation_N11 = (colors_N3[:, k, None, None] for k in range(3))
    to_gray_33 = np.repeat(LUMA_C[:, None], 3, axis=1)
    matrix_N33 = brightness_N11 * contrast_N11 * (saturation_N11 * np.eye(3) + (1 - saturation_N11) * to_gray_33)
    offset_N13 = np.repeat(brightness_N11 * (1 - contrast_N11) * gray_N[:, None, None], 3, axis=2)
    return np.concatenate([matrix_N33, offset_N13], axis=1).astype(np.float32)
