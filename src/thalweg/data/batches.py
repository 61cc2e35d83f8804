"""Batches of augmented images, made from the cache by an `Augmenter`.

The order of an epoch and the crops of a batch are pure functions of (seed, epoch, batch), so a run that is resumed in
the middle of an epoch continues with the batches that it would have seen.

Shape suffixes: N photos, C channels, H height, W width.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thalweg.data.augmentation import CROPS, Augmentation, Crops, draw_crops
from thalweg.data.augmenters import on_device
from thalweg.data.sampling import sampling_of


if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    from thalweg.data.augmenters import Augmenter


AHEAD = 2  # batches that are prepared while the network computes


class Batches:
    """Batches of augmented images for training.

    Args:
        augmenter: makes the images, on its device.
        rows: the cached photos of the training split.
        labels: their classes, aligned with `rows`.
        size: side of the images, in pixels.
        batch_size: photos per batch; the last batch of an epoch may be smaller. A single photo left over joins the
            batch before, because batch norm cannot average over one photo.
        policy: bounds of the augmentation.
        seed: of order and crops.
        sampling: `shuffled` takes each photo once an epoch, `balanced` all classes equally often.
    """

    def __init__(
        self,
        augmenter: Augmenter,
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        *,
        size: int,
        batch_size: int,
        policy: Augmentation,
        seed: int,
        sampling: str = "shuffled",
    ) -> None:
        self.augmenter = augmenter
        self.rows = rows
        self.labels = labels
        self.size = size
        self.batch_size = batch_size
        self.policy = policy
        self.seed = seed
        self._sampling = sampling_of(sampling, labels, seed)
        self._orders: dict[int, NDArray[np.int64]] = {}  # of the epoch, and of the next near its end

    def __len__(self) -> int:
        """Batches per epoch."""
        batches = math.ceil(len(self.rows) / self.batch_size)
        alone = len(self.rows) % self.batch_size == 1
        return batches - 1 if alone and batches > 1 and self.batch_size > 1 else batches

    def __call__(self, epoch: int, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the batch at an index of an epoch.

        Returns:
            images_NCHW, float32 in channels-last order, valid until the next call; and labels_N, int64; both on the
            augmenter's device.
        """
        made = self._made(self._chosen(epoch, index), [epoch, index], self.augmenter)
        for ahead in range(1, AHEAD + 1):
            self.augmenter.expect(self.rows[self._after(epoch, index, ahead)])
        return made

    def shard(
        self, epoch: int, index: int, shard: int, positions: slice, augmenter: Augmenter
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a shard of a batch, with draws of its own.

        Args:
            epoch: of the batch.
            index: of the batch in its epoch.
            shard: number of the shard in the batch.
            positions: those of its photos in the batch.
            augmenter: makes the images; an augmenter has one caller at a time.
        """
        made = self._made(self._chosen(epoch, index)[positions], [epoch, index, shard], augmenter)
        augmenter.expect(self.rows[self._after(epoch, index, 1)[positions]])
        return made

    def count(self, index: int) -> int:
        """Return the number of photos in the batch at an index."""
        return self.batch_size if index < len(self) - 1 else len(self.rows) - index * self.batch_size

    def _made(
        self, chosen: NDArray[np.int64], place: list[int], augmenter: Augmenter
    ) -> tuple[torch.Tensor, torch.Tensor]:
        random = np.random.default_rng([self.seed, CROPS, *place])
        crops = draw_crops(self.policy, len(chosen), augmenter.stored, self.size, random)
        images_NCHW = augmenter(self.rows[chosen], crops, self.size)
        return images_NCHW, on_device(self.labels[chosen], augmenter.device)

    def _chosen(self, epoch: int, index: int) -> NDArray[np.int64]:
        last = None if index == len(self) - 1 else (index + 1) * self.batch_size
        return self._epoch_order(epoch)[index * self.batch_size : last]

    def _after(self, epoch: int, index: int, ahead: int) -> NDArray[np.int64]:
        """The photos of a batch that comes later, in this epoch or the next."""
        later = index + ahead
        return self._chosen(epoch + later // len(self), later % len(self))

    def _epoch_order(self, epoch: int) -> NDArray[np.int64]:
        orders = self._orders  # replaced whole: several threads may be here
        if epoch not in orders:
            kept = {other: order for other, order in orders.items() if other == epoch - 1}
            self._orders = orders = kept | {epoch: self._sampling(epoch)}
        return orders[epoch]


def plain_batches(
    augmenter: Augmenter,
    rows: NDArray[np.int64],
    *,
    size: int,
    batch_size: int,
    flip: bool = False,
    box: tuple[int, int, int, int] | None = None,
) -> Iterator[torch.Tensor]:
    """Batches for evaluation, in the order of `rows`: the same crop of each photo, by default the whole of it.

    Args:
        augmenter: makes the images.
        rows: the cached photos, in the order of the batches.
        size: side of the images, in pixels.
        batch_size: photos per batch.
        flip: whether to mirror all images left to right.
        box: top, left, height, width of the crop, in pixels of the cached photo.

    Yields:
        images_NCHW, float32 in channels-last order, valid until the next batch.
    """
    whole = (0, 0, augmenter.stored, augmenter.stored)
    for start in range(0, len(rows), batch_size):
        chosen = rows[start : start + batch_size]
        count = len(chosen)
        crops = Crops(
            np.tile(np.array(box or whole, dtype=np.int64), (count, 1)),
            np.full(count, flip),
            np.ones((count, 3), dtype=np.float32),
            np.zeros((count, 4), dtype=np.int64),
        )
        augmenter.expect(rows[start + count : start + (1 + AHEAD) * count])
        yield augmenter(chosen, crops, size)
