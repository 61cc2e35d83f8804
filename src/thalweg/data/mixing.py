"""Mixup and CutMix: each image of a batch is mixed with another one, and so is its target.

`x ← λ x + (1 − λ) x[π]`, `y ← λ y + (1 − λ) y[π]`, with a permutation π of the batch and one λ for each image. Both are
pure functions of (seed, epoch, batch).

Shape suffixes: N photos, C channels, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from thalweg.data.augmentation import MIXES
from thalweg.data.augmenters import inside, on_device


if TYPE_CHECKING:
    from numpy.typing import NDArray

BLEND_SHAPE = 0.4  # of the beta distribution of mixup: most images change little


class Mix(NamedTuple):
    """How each image of a batch of N is mixed.

    Attributes:
        permutation_N: position in the batch of the other image.
        blends_N: weight of the other image in every pixel, in [0, 0.5]; 0 without mixup.
        boxes_N4: top, left, height, width of the rectangle taken from the other image, in pixels; height 0 without
            CutMix.
        lambda_N: weight of the image's own label in its target.
    """

    permutation_N: NDArray[np.int64]
    blends_N: NDArray[np.float32]
    boxes_N4: NDArray[np.int64]
    lambda_N: NDArray[np.float32]


def draw_mix(mixup: float, cutmix: float, count: int, size: int, random: np.random.Generator) -> Mix:
    """Draw how `count` images of `size` × `size` pixels are mixed.

    Args:
        mixup: share of the images that are blended.
        cutmix: share of the images that get a rectangle; its share of the area is uniform in [0, 1].
        count: number of images.
        size: side in pixels.
        random: source of the numbers.

    Source: Zhang et al. 2017, https://arxiv.org/abs/1710.09412; Yun et al. 2019, https://arxiv.org/abs/1905.04899.
    """
    permutation_N = random.permutation(count)
    kind_N = random.random(count)
    blend_N = random.beta(BLEND_SHAPE, BLEND_SHAPE, count)
    blend_N = np.minimum(blend_N, 1 - blend_N) * (kind_N < mixup)
    side_N = np.rint(size * np.sqrt(random.random(count)))
    center_N2 = random.random((count, 2)) * size
    cut_N = (kind_N >= mixup) & (kind_N < mixup + cutmix)
    first_N2 = np.clip(np.rint(center_N2 - side_N[:, None] / 2), 0, size)
    last_N2 = np.clip(np.rint(center_N2 + side_N[:, None] / 2), 0, size)
    boxes_N4 = (np.concatenate([first_N2, last_N2 - first_N2], axis=1) * cut_N[:, None]).astype(np.int64)
    cut_share_N = boxes_N4[:, 2] * boxes_N4[:, 3] / size**2
    lambda_N = 1 - blend_N - cut_share_N
    return Mix(permutation_N, blend_N.astype(np.float32), boxes_N4, lambda_N.astype(np.float32))


class Mixing:
    """Mixes the images of training batches.

    Args:
        mixup: share of the images that are blended with another, in [0, 1].
        cutmix: share of the images that get a rectangle of another, in [0, 1 - mixup].
        seed: of the permutations and lambdas.
    """

    def __init__(self, mixup: float, cutmix: float, seed: int) -> None:
        self.mixup, self.cutmix, self.seed = mixup, cutmix, seed
        self._others_NHWC = torch.empty(0)  # allocated once: large temporaries cost page faults

    def __call__(
        self, images_NCHW: torch.Tensor, epoch: int, index: int, *shard: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mix a batch, or a shard of one, in place.

        Args:
            images_NCHW: in channels-last order.
            epoch: of the batch.
            index: of the batch in its epoch.
            *shard: number of the shard, if it is one.

        Returns:
            The permutation, and lambda: the weight of each image's own label in its target; both of shape (N,).
        """
        count, _, size, _ = images_NCHW.shape
        mix = draw_mix(
            self.mixup, self.cutmix, count, size, np.random.default_rng([self.seed, MIXES, epoch, index, *shard])
        )
        if images_NCHW.is_cuda:
            return mix_on_device(images_NCHW, mix)
        images_NHWC = images_NCHW.permute(0, 2, 3, 1)
        permutation_N = torch.from_numpy(mix.permutation_N)
        if self._others_NHWC.shape != images_NHWC.shape:
            self._others_NHWC = torch.empty(images_NHWC.shape)
        others_NHWC = torch.index_select(images_NHWC, 0, permutation_N, out=self._others_NHWC)
        if mix.blends_N.any():
            images_NHWC.lerp_(others_NHWC, torch.from_numpy(mix.blends_N)[:, None, None, None])
        for position in np.flatnonzero(mix.boxes_N4[:, 2]):
            top, left, height, width = mix.boxes_N4[position]
            box = (position, slice(top, top + height), slice(left, left + width))
            images_NHWC[box] = others_NHWC[box]
        return permutation_N, torch.from_numpy(mix.lambda_N)


def mix_on_device(images_NCHW: torch.Tensor, mix: Mix) -> tuple[torch.Tensor, torch.Tensor]:
    """Mix all images at once, on their device: one rectangle at a time would take one GPU kernel each.

    Returns:
        As in `Mixing`.
    """
    device = images_NCHW.device
    permutation_N, boxes_N4 = on_device(mix.permutation_N, device), on_device(mix.boxes_N4, device)
    numbers_2N = on_device(np.stack([mix.blends_N, mix.lambda_N]), device)
    inside_NHW = inside(boxes_N4, images_NCHW.shape[-1])
    of_other_N1HW = torch.where(inside_NHW, 1.0, numbers_2N[0, :, None, None])[:, None]
    images_NCHW.lerp_(images_NCHW.index_select(0, permutation_N), of_other_N1HW)
    return permutation_N, numbers_2N[1]
