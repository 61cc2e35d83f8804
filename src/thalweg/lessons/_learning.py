"""Small networks that learn the built-in photos, watched from epoch to epoch.

Shape suffixes: N photos, E epochs, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.lessons._photos import CLASSES, SIDE
from thalweg.lessons._torch import one_thread, require_torch, seeded


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    Batch = tuple[Tensor, Tensor]

_AT_A_TIME: Final = 500  # photos that an evaluation takes together


@dataclass(frozen=True)
class Curves:
    """Loss and accuracy of some sets of photos, before the first epoch and after each.

    Attributes:
        loss: mean cross-entropy in nats for each name, shape (E + 1,).
        right: share of photos that are classified correctly for each name, shape (E + 1,).
    """

    loss: Mapping[str, NDArray[np.float64]]
    right: Mapping[str, NDArray[np.float64]]


def dense_network(hidden: tuple[int, ...], seed: int) -> nn.Module:
    """Fully connected layers with ReLU between them, from the pixels of a gray photo to ten logits."""
    require_torch()
    from torch import nn

    with seeded(seed):
        sizes = (SIDE * SIDE, *hidden, CLASSES)
        layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *layers[:-1])


def convolved_network(channels: int, seed: int) -> nn.Module:
    """Two blocks of convolution, ReLU and pooling, then one linear layer."""
    require_torch()
    from torch import nn

    with seeded(seed):
        return nn.Sequential(
            *(nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(channels, 2 * channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            nn.Flatten(),
            nn.Linear(2 * channels * (SIDE // 4) ** 2, CLASSES),
        )


def learn(
    model: nn.Module,
    batches: Callable[[int], Iterable[Batch]],
    epochs: int,
    *,
    optimizer: torch.optim.Optimizer,
    watched: Mapping[str, Batch],
) -> Curves:
    """Train, and measure all watched photos as they are, before the first epoch and after each.

    Args:
        model: changes in place.
        batches: the batches of an epoch, given its number from 0.
        epochs: how many.
        optimizer: of the model's parameters.
        watched: photos and labels under the name of their curve.
    """
    from torch.nn.functional import cross_entropy

    rows = [measure(model, watched)]
    with one_thread():
        for epoch in range(epochs):
            model.train()
            for images, labels in batches(epoch):
                optimizer.zero_grad()
                cross_entropy(model(images), labels).backward()
                optimizer.step()
            rows.append(measure(model, watched))
    return Curves(
        *({name: np.array([row[name][kind] for row in rows]) for name in watched} for kind in (0, 1)),
    )


def measure(model: nn.Module, watched: Mapping[str, Batch]) -> dict[str, tuple[float, float]]:
    """Loss and share of correct photos of each set, in evaluation mode."""
    import torch
    from torch.nn.functional import cross_entropy

    model.eval()
    found = {}
    with one_thread(), torch.inference_mode():
        for name, (images, labels) in watched.items():
            logits_NC = torch.cat([model(part) for part in images.split(_AT_A_TIME)])
            right = (logits_NC.argmax(dim=1) == labels).double().mean()
            found[name] = cross_entropy(logits_NC, labels).item(), right.item()
    return found


def shuffled(images: Tensor, labels: Tensor, size: int, seed: int) -> Callable[[int], Iterator[Batch]]:
    """Batches in an order that depends on the seed and the epoch; the last may be smaller."""
    import torch

    def batches(epoch: int) -> Iterator[Batch]:
        order_N = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(labels)))
        for chosen_N in order_N.split(size):
            yield images[chosen_N], labels[chosen_N]

    return batches
