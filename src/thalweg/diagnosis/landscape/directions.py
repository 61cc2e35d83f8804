"""Planes through a network's weights: two random directions, or the plane closest to a training's trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

Direction = dict[str, "Tensor"]


def random_directions(model: nn.Module, seed: int) -> tuple[Direction, Direction]:
    """Draw two random directions with filter normalization; biases, gains of norms and frozen weights stay fixed.

    Each filter of a direction (a row of a matrix, an output channel of a kernel) gets the length of the model's filter,
    so that the picture does not depend on how the network distributes its scale over the layers.

    Args:
        model: the directions move its parameters with more than one dimension; of a network that is frozen as a whole,
            all of them.
        seed: of the directions; torch's random state is not used.

    Source: Li et al. 2018, Visualizing the Loss Landscape of Neural Nets, https://arxiv.org/abs/1712.09913.
    """
    random = torch.Generator().manual_seed(seed)
    named = dict(model.named_parameters())
    moving = {name for name, weight in named.items() if weight.ndim > 1 and weight.requires_grad}
    moving = moving or {name for name, weight in named.items() if weight.ndim > 1}
    first, second = (
        {name: _like(weight, random) if name in moving else torch.zeros_like(weight) for name, weight in named.items()}
        for _ in range(2)
    )
    return first, second


def _like(weight: Tensor, random: torch.Generator) -> Tensor:
    """Random filters with the lengths of the weight's filters."""
    noise = torch.randn(weight.shape, generator=random).to(weight)
    lengths = [part.detach().flatten(1).norm(dim=1) for part in (weight, noise)]
    ratio = lengths[0] / lengths[1].clamp_min(torch.finfo(noise.dtype).tiny)
    return noise * ratio.view(-1, *[1] * (weight.ndim - 1))


@dataclass(frozen=True, slots=True)
class PrincipalPlane:
    """The plane through the last checkpoint that lies closest to the others.

    Attributes:
        directions: two of length 1, at right angles to each other.
        a_K: projection of each checkpoint, along the first direction.
        b_K: the same along the second.
        distance_K: distance of each checkpoint from the last one.
        moved_K: distance of each checkpoint from the one before; 0 for the first.
        outside_K: distance of each checkpoint from the plane, as a share of its distance from the last one, in [0, 1].
        outside: share of the sum of squared distances from the last checkpoint that lies outside the plane.
    """

    directions: tuple[Direction, Direction]
    a_K: NDArray[np.float64]
    b_K: NDArray[np.float64]
    distance_K: NDArray[np.float64]
    moved_K: NDArray[np.float64]
    outside_K: NDArray[np.float64]
    outside: float


def principal_plane(checkpoints: Sequence[Direction]) -> PrincipalPlane:
    """Find the plane of a trajectory from principal components of its checkpoints' differences from the last one.

    Args:
        checkpoints: weights by name, at least three; the last is the plane's origin.

    Example:
        >>> way = [{"w": torch.tensor(point)} for point in ([3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0])]
        >>> plane = principal_plane(way)
        >>> plane.a_K.tolist(), plane.b_K.tolist(), plane.outside
        ([3.0, 0.0, 0.0], [0.0, 1.0, 0.0], 0.0)

    Source: Li et al. 2018, section 7.2.
    """
    last = checkpoints[-1]
    differences = [torch.cat([(w[name] - last[name]).reshape(-1).float() for name in last]) for w in checkpoints]
    gram_KK = np.array([[float(one.double() @ other.double()) for other in differences] for one in differences])
    values_K, vectors_KK = np.linalg.eigh(gram_KK)
    axes = [_axis(differences, float(values_K[-rank]), vectors_KK[:, -rank]) for rank in (1, 2)]
    coordinates_2K = np.array([[float(d.double() @ axis.double()) for d in differences] for axis in axes])
    squared_K = np.diag(gram_KK)
    left_K = np.clip(squared_K - (coordinates_2K**2).sum(axis=0), 0, None)
    share_K = np.sqrt(np.divide(left_K, squared_K, out=np.zeros_like(left_K), where=squared_K > 0))
    moved_K = [float((now - before).norm()) for before, now in pairwise(differences)]
    first, second = (_shaped(axis, last) for axis in axes)
    total = float(squared_K.sum())
    return PrincipalPlane(
        (first, second),
        coordinates_2K[0] + 0.0,
        coordinates_2K[1] + 0.0,
        np.sqrt(squared_K),
        np.array([0.0, *moved_K]),
        share_K,
        float(left_K.sum()) / total if total else 0.0,
    )


def _axis(differences: list[Tensor], value: float, weights_K: NDArray[np.float64]) -> Tensor:
    """A principal axis of length 1, with the sign that puts the farthest checkpoint on its positive side."""
    if value <= 0:
        return torch.zeros_like(differences[0])
    along_K = weights_K * np.sign(weights_K[np.abs(weights_K).argmax()])
    axis = torch.zeros_like(differences[0])
    for difference, weight in zip(differences, along_K / np.sqrt(value), strict=True):
        axis.add_(difference, alpha=float(weight))
    return axis


def _shaped(axis: Tensor, like: Direction) -> Direction:
    parts = axis.split([tensor.numel() for tensor in like.values()])
    return {name: part.view(like[name].shape).to(like[name]) for name, part in zip(like, parts, strict=True)}
