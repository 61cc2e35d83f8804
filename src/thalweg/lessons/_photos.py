"""The built-in photos, as the lessons need them: a few of each class, drawn by a seed and decoded in memory.

Shape suffixes: N photos, H height, W width, C channels.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

    from thalweg.data import ImageSet
    from thalweg.data.photos import Split

SIDE = 28  # pixels
CLASSES = 10


class Photos(NamedTuple):
    """Photos with their classes, the classes taking turns.

    Attributes:
        images_NHWC: RGB bytes of shape (N, 28, 28, 3); the three channels are equal.
        labels_N: 0 to 9.
    """

    images_NHWC: NDArray[np.uint8]
    labels_N: NDArray[np.int64]

    @property
    def gray_NHW(self) -> NDArray[np.float64]:  # noqa: N802 - a shape suffix
        """The pixels, 0 (black) to 1 (white)."""
        return self.images_NHWC[..., 0] / 255.0

    def tensors(self, dtype: torch.dtype | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (N, 1, 28, 28) of mean 0 and deviation 1 over the built-in set, float32 by default; and labels."""
        import torch

        mean, std = MOMENTS
        pixels_N1HW = torch.from_numpy((self.gray_NHW - mean) / std)[:, None]
        return pixels_N1HW.to(dtype or torch.float32), torch.from_numpy(self.labels_N)


MOMENTS = (0.286, 0.353)
"""Mean and standard deviation of the gray values of the training photos."""


def draw_photos(split: Split, each: int, seed: int = 0) -> Photos:
    """Draw photos of the built-in set, equally many of each class.

    Args:
        split: `train` has 600 of each class, `valid` and `test` 100 each.
        each: how many of each class.
        seed: of the draw.

    Example:
        >>> draw_photos("valid", 2).labels_N.tolist()[:12]
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    """
    by_class = _paths(split)
    random = np.random.default_rng([seed, len(split)])
    chosen = [random.permutation(len(paths))[:each] for paths in by_class]
    paths = [paths[order[turn]] for turn in range(each) for paths, order in zip(by_class, chosen, strict=True)]
    return Photos(np.stack([_decoded(path) for path in paths]), np.tile(np.arange(CLASSES), each))


def photo(label: int, place: int) -> NDArray[np.float64]:
    """One validation photo in gray, 0 to 1, of shape (28, 28).

    Args:
        label: its class, 0 to 9.
        place: among the photos of its class, 0 to 99.
    """
    return _decoded(_paths("valid")[label][place])[..., 0] / 255.0


def class_name(label: int) -> str:
    """The name of a class, as the photos' own set writes it."""
    return _images().classes[label]


@cache
def _images() -> ImageSet:
    from thalweg.data import open_images

    return open_images("builtin")


@cache
def _paths(split: Split) -> Sequence[Sequence[str]]:
    """The photos of each class, in natural order."""
    photos = _images().split(split)
    return [[photo.path for photo in photos if photo.label == label] for label in range(CLASSES)]


@cache
def _decoded(path: str) -> NDArray[np.uint8]:
    from thalweg.data.decoding import decode

    return decode(_images().source.read(path), SIDE, path=path)
