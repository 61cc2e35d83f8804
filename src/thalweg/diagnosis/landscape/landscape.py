"""A landscape: the loss over a plane through any model's weights.

Shape suffixes: H, W points of the grid, K checkpoints.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from thalweg.diagnosis.landscape.directions import random_directions
from thalweg.diagnosis.landscape.grid import Plane
from thalweg.errors import UsageError
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor, nn

Kind = Literal["random", "trajectory"]

_CHUNK = 512  # examples of one forward pass
MOST_POINTS = 1001

# Points along each side, and examples: a landscape that is not told otherwise takes the first pair that it can compute
# in so many seconds, or the last.
SECONDS = 50.0
GRIDS = (
    *((41, 512), (31, 512), (25, 512), (25, 256), (21, 256)),
    *((21, 128), (15, 128), (11, 128), (11, 64), (11, 32)),
)
LONG = 90.0  # seconds, above which the announcement says how to shorten the work


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A training's trajectory, projected onto a plane.

    Attributes:
        epochs_K: epochs of the checkpoints; 0 is the initial weights.
        a_K: projections of the checkpoints along the first direction.
        b_K: the same along the second.
        loss_K: loss of the checkpoints themselves, with their own running statistics.
        plane_loss_K: loss of their projections.
        distance_K: distance of each from the last one.
        moved_K: distance of each from the one before; 0 for the first.
        outside_K: distance of each from the plane, as a share of its distance from the last one, in [0, 1].
        outside: share of the sum of squared distances from the last one that lies outside the plane, in [0, 1].
    """

    epochs_K: NDArray[np.int64]
    a_K: NDArray[np.float64]
    b_K: NDArray[np.float64]
    loss_K: NDArray[np.float64]
    plane_loss_K: NDArray[np.float64]
    distance_K: NDArray[np.float64]
    moved_K: NDArray[np.float64]
    outside_K: NDArray[np.float64]
    outside: float

    @property
    def held(self) -> float:
        """Share of the movement that the plane holds: of the sum of squared distances from the last one, in [0, 1]."""
        return 1 - self.outside


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

    def to_dict(self) -> dict[str, Any]:
        """All numbers as lists, for JSON that knows what is not finite."""
        return {name: _listed(getattr(self, name)) for name in self.__slots__}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Landscape:
        """The landscape of `to_dict`.

        Example:
            >>> along = np.linspace(-1, 1, 3)
            >>> found = Landscape("random", along, along, np.zeros((3, 3)), 0.5, 10, 4, 0)
            >>> Landscape.from_dict(found.to_dict()).loss_HW.shape
            (3, 3)
        """
        way = values["trajectory"]
        return cls(**{**_arrayed(values), "trajectory": way and Trajectory(**_arrayed(way))})


def _listed(value: Any) -> Any:
    if isinstance(value, Trajectory):
        return {name: _listed(getattr(value, name)) for name in value.__slots__}
    return value.tolist() if isinstance(value, np.ndarray) else value


def _arrayed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.array(value) if isinstance(value, list) else value for name, value in values.items()}


def landscape_of(
    model: nn.Module,
    loss_fn: Callable[[Any, Tensor], Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    points: int | None = None,
    span: float = 1.0,
    seed: int = 0,
    listener: Listener | None = None,
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
        points: along each side, 3 to 1,001; odd, so that the model itself is one of the points. None: as many as take
            less than a minute on this machine, 11 to 41.
        span: how far to go in each direction, above 0.
        seed: of the two directions.
        listener: receives the chosen size, the expected time, and the progress.

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
    listener = listener or Listener()
    batches = list(zip(inputs.split(_CHUNK), targets.split(_CHUNK), strict=True))
    plane = Plane(model, random_directions(model, seed), loss_fn, batches)
    began = time.perf_counter()
    loss = float(plane.losses([0.0], [0.0])[0, 0])
    a_point = time.perf_counter() - began
    points = points or chosen_grid(a_point / len(targets), examples=len(targets))[0]
    announce(listener, points, len(targets), points**2 * a_point)
    along_W = np.linspace(-span, span, points)
    computed = counter(listener, points**2)
    return Landscape(
        "random",
        along_W,
        along_W,
        plane.losses(along_W.tolist(), along_W.tolist(), computed=computed),
        loss,
        sum(parameter.numel() for parameter in model.parameters()),
        len(targets),
        seed,
    )


def chosen_grid(
    an_example: float, *, points: int | None = None, examples: int | None = None, most: int = GRIDS[0][1]
) -> tuple[int, int]:
    """Choose how many points along each side, and how many examples, take less than a minute.

    Args:
        an_example: seconds for the loss of one example at one point.
        points: None: chosen.
        examples: None: chosen.
        most: number of examples that there are.

    Example:
        >>> chosen_grid(1e-5), chosen_grid(1e-3), chosen_grid(1e-3, points=25), chosen_grid(1e-3, examples=512)
        ((41, 512), (15, 128), (25, 64), (11, 512))
    """
    pairs = [(points or side, examples or min(number, most)) for side, number in GRIDS]
    return next((pair for pair in pairs if pair[0] ** 2 * pair[1] * an_example <= SECONDS), pairs[-1])


def announce(listener: Listener, points: int, examples: int, seconds: float) -> None:
    """Tell a listener the size of the grid and the expected time."""
    key = "landscape.begins_long" if seconds > LONG else "landscape.begins"
    listener.note(key, points=points, examples=examples, seconds=seconds, minutes=seconds / 60)


def counter(listener: Listener, total: int) -> Callable[[], None]:
    """A function that counts the points computed, and tells a listener."""
    listener.working("points", 0, total)
    done = count(1)
    return lambda: listener.working("points", next(done), total)


def check_grid(points: int | None, span: float) -> None:
    """Refuse an invalid grid.

    Raises:
        UsageError: `points` or `span` is out of range.
    """
    if points is not None and not (3 <= points <= MOST_POINTS and points % 2):
        raise UsageError("landscape.bad_points", value=points, most=MOST_POINTS)
    if not 0 < span < float("inf"):
        raise UsageError("landscape.bad_span", value=span)
