"""Batches straight from the cache: geometry in uint8, then color and normalization in one affine map.

The order of an epoch and the views of a batch are pure functions of (seed, epoch, batch), so a training that is
resumed in the middle of an epoch goes on with the very batches that it would have seen.

Shape suffixes: N photos, C channels, H height, W width, P pixels (H·W).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from thalweg.data.augment import LUMA_C, Augmentation, Views, color_matrices, draw_views
from thalweg.data.cutting import cut_views
from thalweg.data.streams import ORDER, VIEWS


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray


class Batches:
    """Augmented training batches.

    Args:
        images_NHWC: all cached pictures, uint8, square; may be a memory map.
        rows: which of them belong to the training split.
        labels: their classes, aligned with `rows`.
        size: side of the pictures in a batch, in pixels.
        batch_size: photos a batch; the last batch of an epoch may be smaller.
        policy: how far the views may differ.
        mean: mean of the training split for each channel, in 0..1.
        std: standard deviation of the same.
        seed: of order and views.
    """

    def __init__(
        self,
        images_NHWC: NDArray[np.uint8],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        size: int,
        batch_size: int,
        policy: Augmentation,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int,
    ) -> None:
        self.images_NHWC = images_NHWC
        self.rows = rows
        self.labels = labels
        self.size = size
        self.batch_size = batch_size
        self.policy = policy
        self.seed = seed
        self._normalize = _Normalize(mean, std)
        self._order: tuple[int, NDArray[np.int64]] = (-1, rows)

    def __len__(self) -> int:
        """Batches an epoch."""
        return math.ceil(len(self.rows) / self.batch_size)

    def __call__(self, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of an index in an epoch.

        Returns:
            images_NCHW, float32 in channels-last order, valid until the next call; and labels_N, int64.
        """
        chosen = self._epoch_order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        stored = self.images_NHWC.shape[1]
        random = np.random.default_rng([self.seed, VIEWS, epoch, index])
        views = draw_views(self.policy, len(chosen), stored, self.size, random)
        views_NHWC = cut_views(self.images_NHWC, self.rows[chosen], views, self.size)
        images_NCHW = self._normalize(torch.from_numpy(views_NHWC), views.colors_N3)
        _erase(images_NCHW, views)
        return images_NCHW, torch.from_numpy(self.labels[chosen])

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            random = np.random.default_rng([self.seed, ORDER, epoch])
            self._order = epoch, random.permutation(len(self.rows))
        return self._order[1]


def plain_batches(
    images_NHWC: NDArray[np.uint8],
    rows: NDArray[np.int64],
    *,
    size: int,
    batch_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    flip: bool = False,
    box: tuple[int, int, int, int] | None = None,
) -> Iterator[torch.Tensor]:
    """Batches for evaluation, in the order of `rows`: the same view of each photo, the whole of it by default.

    Args:
        images_NHWC: all cached pictures, uint8, square.
        rows: which of them, in the order wanted.
        size: side of the pictures in a batch, in pixels.
        batch_size: photos a batch.
        mean: as in training.
        std: as in training.
        flip: mirror all of them.
        box: top, left, height, width of the crop, in pixels of the cached picture.

    Yields:
        images_NCHW, float32 in channels-last order, valid until the next batch.
    """
    stored = images_NHWC.shape[1]
    normalize = _Normalize(mean, std)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        count = len(chosen)
        views = Views(
            np.tile(np.array(box or (0, 0, stored, stored), dtype=np.int64), (count, 1)),
            np.full(count, flip),
            np.ones((count, 3), dtype=np.float32),
            np.zeros((count, 4), dtype=np.int64),
        )
        yield normalize(torch.from_numpy(cut_views(images_NHWC, chosen, views, size)), views.colors_N3)


class _Normalize:
    """Color and normalization in one affine map a photo, into memory that is allocated once."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self._mean_3 = np.asarray(mean)
        self._std_3 = np.asarray(std)
        self._buffers: dict[tuple[int, ...], tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, images_NHWC: torch.Tensor, colors_N3: NDArray[np.float32]) -> torch.Tensor:
        count, height, width, channels = images_NHWC.shape
        if images_NHWC.shape not in self._buffers:
            pixels_NPC = torch.empty((count, height * width, channels))
            self._buffers[images_NHWC.shape] = pixels_NPC, torch.empty_like(pixels_NPC)
        pixels_NPC, normalized_NPC = self._buffers[images_NHWC.shape]
        pixels_NPC.copy_(images_NHWC.view(count, -1, channels))
        gray_N = (pixels_NPC.mean(dim=1).numpy() @ LUMA_C) / 255
        maps_N43 = color_matrices(colors_N3, gray_N)
        scale_N33 = maps_N43[:, :3] / (255 * self._std_3)
        offset_N13 = (maps_N43[:, 3:] - self._mean_3) / self._std_3
        torch.baddbmm(
            torch.from_numpy(offset_N13.astype(np.float32)),
            pixels_NPC,
            torch.from_numpy(scale_N33.astype(np.float32)),
            out=normalized_NPC,
        )
        return normalized_NPC.view(count, height, width, channels).permute(0, 3, 1, 2)


def _erase(images_NCHW: torch.Tensor, views: Views) -> None:
    for position in np.flatnonzero(views.erased_N4[:, 2]):
        top, left, height, width = views.erased_N4[position]
        images_NCHW[position, :, top : top + height, left : left + width] = 0
