"""Batches straight from the cache, as a `Viewer` makes them.

The order of an epoch and the views of a batch are pure functions of (seed, epoch, batch), so a training that is
resumed in the middle of an epoch goes on with the very batches that it would have seen.

Shape suffixes: N photos, C channels, H height, W width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thalweg.data.augment import Augmentation, Views, draw_views
from thalweg.data.streams import ORDER, VIEWS
from thalweg.data.viewing import on_device


if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    from thalweg.data.viewing import Viewer


class Batches:
    """Augmented training batches.

    Args:
        viewer: makes the views, where they are wanted.
        rows: which of its photos belong to the training split.
        labels: their classes, aligned with `rows`.
        size: side of the pictures in a batch, in pixels.
        batch_size: photos a batch; the last batch of an epoch may be smaller. A single photo that is left over joins
            the batch before: alone it gives batch norm nothing to average.
        policy: how far the views may differ.
        seed: of order and views.
    """

    def __init__(
        self,
        viewer: Viewer,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        size: int,
        batch_size: int,
        policy: Augmentation,
        seed: int,
    ) -> None:
        self.viewer = viewer
        self.rows = rows
        self.labels = labels
        self.size = size
        self.batch_size = batch_size
        self.policy = policy
        self.seed = seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, rows)

    def __len__(self) -> int:
        """Batches an epoch."""
        batches = math.ceil(len(self.rows) / self.batch_size)
        alone = len(self.rows) % self.batch_size == 1
        return batches - 1 if alone and batches > 1 and self.batch_size > 1 else batches

    def __call__(self, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The batch of an index in an epoch.

        Returns:
            images_NCHW, float32 in channels-last order, valid until the next call; and labels_N, int64; both on the
            viewer's device.
        """
        last = None if index == len(self) - 1 else (index + 1) * self.batch_size
        chosen = self._epoch_order(epoch)[index * self.batch_size : last]
        random = np.random.default_rng([self.seed, VIEWS, epoch, index])
        views = draw_views(self.policy, len(chosen), self.viewer.stored, self.size, random)
        images_NCHW = self.viewer(self.rows[chosen], views, self.size)
        return images_NCHW, on_device(self.labels[chosen], self.viewer.device)

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        if self._order[0] != epoch:
            random = np.random.default_rng([self.seed, ORDER, epoch])
            self._order = epoch, random.permutation(len(self.rows))
        return self._order[1]


def plain_batches(
    viewer: Viewer,
    rows: NDArray[np.int64],
    *,
    size: int,
    batch_size: int,
    flip: bool = False,
    box: tuple[int, int, int, int] | None = None,
) -> Iterator[torch.Tensor]:
    """Batches for evaluation, in the order of `rows`: the same view of each photo, the whole of it by default.

    Args:
        viewer: makes the views.
        rows: which of its photos, in the order wanted.
        size: side of the pictures in a batch, in pixels.
        batch_size: photos a batch.
        flip: mirror all of them.
        box: top, left, height, width of the crop, in pixels of the cached picture.

    Yields:
        images_NCHW, float32 in channels-last order, valid until the next batch.
    """
    whole = (0, 0, viewer.stored, viewer.stored)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        count = len(chosen)
        views = Views(
            np.tile(np.array(box or whole, dtype=np.int64), (count, 1)),
            np.full(count, flip),
            np.ones((count, 3), dtype=np.float32),
            np.zeros((count, 4), dtype=np.int64),
        )
        yield viewer(chosen, views, size)
