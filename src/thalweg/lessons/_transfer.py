"""A small torch network on the built-in photos of clothes: trained on some classes, then on others.

Shape suffixes: N photos, D pixels, S steps, P positions.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from thalweg.data import build_cache, open_images
from thalweg.errors import ThalwegError
from thalweg.lessons._torch import one_thread


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_SIDE = 28  # pixels of the photos; averaged over squares of four
_HIDDEN = 48
_BATCH = 64
_RATE, _MOMENTUM = 0.05, 0.9


@dataclass(frozen=True)
class Photos:
    """Photos as vectors of gray pixels around 0, and their classes, counted from 0."""

    pixels_ND: Tensor
    labels_N: Tensor

    @classmethod
    def drawn(cls, classes: Sequence[int], each: int, seed: int) -> Photos:
        """Draw so many training photos of each of some classes of the built-in set.

        Raises:
            ThalwegError: torch is not installed.
        """
        if find_spec("torch") is None:
            raise ThalwegError("lessons.needs_torch")
        import torch

        cache = build_cache(open_images("builtin"), size=_SIDE)
        rows_N, labels_N = cache.rows("train"), cache.labels("train")
        random = np.random.default_rng(seed)
        chosen = [random.permutation(rows_N[labels_N == label])[:each] for label in classes]
        images_NHWC = cache.images_NHWC[np.concatenate(chosen)].astype(np.float64) / 255
        half = _SIDE // 2
        gray_NHW = images_NHWC.mean(axis=3).reshape(-1, half, 2, half, 2).mean(axis=(2, 4))
        labels = np.repeat(np.arange(len(classes)), [len(rows) for rows in chosen])
        return cls(torch.from_numpy(gray_NHW.reshape(len(labels), -1) - 0.3), torch.from_numpy(labels))


Weights = list["Tensor"]
"""Weights and biases of both hidden layers and of the classifier."""


def first_weights(seed: int, pixels: int, classes: int) -> Weights:
    """Draw weights from normal distributions that preserve the scale of the maps; biases are zero."""
    import torch

    random = torch.Generator().manual_seed(seed)
    weights: Weights = []
    for outputs, inputs, scale in ((_HIDDEN, pixels, 1.0), (_HIDDEN, _HIDDEN, 1.0), (classes, _HIDDEN, 0.3)):
        drawn = torch.randn(outputs, inputs, generator=random, dtype=torch.float64)
        weights += [scale * (2 / inputs) ** 0.5 * drawn, torch.zeros(outputs, dtype=torch.float64)]
    return weights


def with_new_classifier(weights: Weights, others: Weights) -> Weights:
    """Take the hidden layers of the first, and the classifier of the second."""
    return [*weights[:-2], *others[-2:]]


def train(
    weights: Weights, photos: Photos, steps: int, *, seed: int, watched: bool = True
) -> tuple[Weights, NDArray[np.float64]]:
    """Train with momentum on batches drawn with a seed.

    Returns:
        The last weights, and, if watched, the loss of all photos before each step, shape (S,).
    """
    import torch

    random = torch.Generator().manual_seed(seed)
    point = [one.clone().requires_grad_() for one in weights]
    optimizer = torch.optim.SGD(point, lr=_RATE, momentum=_MOMENTUM)
    losses = []
    with one_thread():
        for _ in range(steps):
            if watched:
                losses.append(loss(point, photos))
            rows = torch.randint(len(photos.labels_N), (_BATCH,), generator=random)
            optimizer.zero_grad()
            _cross_entropy(point, photos.pixels_ND[rows], photos.labels_N[rows]).backward()
            optimizer.step()
    return [one.detach() for one in point], np.array(losses)


def line(ends: Sequence[Weights], photos: Photos, positions_P: NDArray[np.float64]) -> NDArray[np.float64]:
    """The loss along the straight line between two networks, at positions from 0 to 1, shape (P,)."""
    first, last = ends
    mixed = ([(1 - at) * one + at * two for one, two in zip(first, last, strict=True)] for at in positions_P)
    with one_thread():
        return np.array([loss(weights, photos) for weights in mixed])


def ridge(losses_P: NDArray[np.float64]) -> float:
    """How far the loss between two ends rises above the higher end.

    Example:
        >>> ridge(np.array([0.25, 1.0, 0.5])), ridge(np.array([0.5, 0.25, 0.5]))
        (0.5, 0.0)
    """
    return float(losses_P.max() - max(losses_P[0], losses_P[-1]))


def apart(ends: Sequence[Weights]) -> float:
    """The distance between the hidden layers of two networks."""
    first, last = ends
    return float(sum((one - two).square().sum() for one, two in zip(first[:-2], last[:-2], strict=True)) ** 0.5)


def loss(weights: Weights, photos: Photos) -> float:
    """Mean cross-entropy of all photos, in nats."""
    import torch

    with torch.no_grad():
        return float(_cross_entropy(weights, photos.pixels_ND, photos.labels_N))


def _cross_entropy(weights: Weights, pixels_ND: Tensor, labels_N: Tensor) -> Tensor:
    import torch

    hidden = pixels_ND
    for layer in (0, 2):
        hidden = torch.relu(torch.addmm(weights[layer + 1], hidden, weights[layer].T))
    return torch.nn.functional.cross_entropy(torch.addmm(weights[-1], hidden, weights[-2].T), labels_N)
