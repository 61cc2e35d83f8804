"""A landscape: the loss over a plane through any model's weights.

Shape suffixes: H, W points of the grid, K checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thalweg.diagnosis.landscape.directions import random_directions
from thalweg.diagnosis.landscape.grid import Plane
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor, nn

Kind = Literal["random", "trajectory"]

_CHUNK = 512  # examples of one forward pass
MOST_POINTS = 1001


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A training's trajectory, projected onto a plane.

    Attributes:
        epochs_K: epochs of the checkpoints; 0 is the initial weights.
        a_K: projections of the checkpoints along the first direction.
        b_K: the same along the second.
        loss_K: loss of the checkpoints themselves, with their own running statistics.
        plane_loss_K: loss of their projections.
        outside_K: distance of each from the plane, as a share of its distance from the last one, in [0, 1].
        outside: share of the sum of squared distances from the last one that lies outside the plane, in [0, 1].
    """

    epochs_K: NDArray[np.int64]
    a_K: NDArray[np.float64]
    b_K: NDArray[np.float64]
    loss_K: NDArray[np.float64]
    plane_loss_K: NDArray[np.float64]
    outside_K: NDArray[np.float64]
    outside: float


@dataclass(frozen=True, slots=True)
class Landscape:
    """The loss over a plane: a slice, which does not show most of the directions of a training.

    Attributes:
        kind: of the plane.
        a_W: coordinates along the first direction.
        b_H: coordinates along the second.
        loss_HW: mean loss; not finite where it overflows.
        loss: at the origin, which is the model itself.
        parameters: number of directions in all.
        examples: number of examples in the mean loss.
        seed: of the random directions.
        trajectory: None for random directions.
    """

    kind: Kind
    a_W: NDArray[np.float64]
    b_H: NDArray[np.float64]
    loss_HW: NDArray[np.float64]
    loss: float
    parameters: int
    examples: int
    seed: int
    trajectory: Trajectory | None = None


def landscape_of(
    model: nn.Module,
    loss_fn: Callable[[Any, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    points: int = 41,
    span: float = 1.0,
    seed: int = 0,
) -> Landscape:
    """Compute the loss over a random plane through a model's weights, with filter normalization.

    `L(a, b) = ℓ(W + a D₁ + b D₂)` for a and b in [−span, span]; at 1, every filter has moved by its own length.
    Biases and the gains of norms stay fixed. A copy of the model runs in evaluation mode: no dropout, and BatchNorm
    with running statistics that do not follow the weights. The model itself does not change.

    Args:
        model: any module that takes `inputs`.
        loss_fn: `loss_fn(model(inputs), targets)` is a scalar, a mean over the examples.
        inputs: of all examples, which are the first dimension.
        targets: one per example.
        points: along each side, 3 to 1,001; odd, so that the model itself is one of the points.
        span: how far to go in each direction, above 0.
        seed: of the two directions.

    Raises:
        UsageError: an invalid argument.

    Example:
        >>> import torch
        >>> from torch.nn.functional import cross_entropy
        >>> found = landscape_of(torch.nn.Linear(2, 3), cross_entropy, torch.eye(2), torch.tensor([0, 1]), points=3)
        >>> found.loss_HW.shape, bool(found.loss == found.loss_HW[1, 1])
        ((3, 3), True)

    Source: Li et al. 2018, https://arxiv.org/abs/1712.09913.
    """
    check_grid(points, span)
    if not len(targets) or len(inputs) != len(targets):
        raise UsageError("landscape.no_examples", inputs=len(inputs), targets=len(targets))
    batches = list(zip(inputs.split(_CHUNK), targets.split(_CHUNK), strict=True))
    plane = Plane(model, random_directions(model, seed), loss_fn, batches)
    along_W = np.linspace(-span, span, points)
    return Landscape(
        "random",
        along_W,
        along_W,
        plane.losses(along_W.tolist(), along_W.tolist()),
        float(plane.losses([0.0], [0.0])[0, 0]),
        sum(parameter.numel() for parameter in model.parameters()),
        len(targets),
        seed,
    )


def check_grid(points: int, span: float) -> None:
    """Refuse an invalid grid.

    Raises:
        UsageError: `points` or `span` is out of range.
    """
    if not 3 <= points <= MOST_POINTS or points % 2 == 0:
        raise UsageError("landscape.bad_points", value=points, most=MOST_POINTS)
    if not 0 < span < float("inf"):
        raise UsageError("landscape.bad_span", value=span)
