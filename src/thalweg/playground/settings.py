"""The settings of a network in the plane: everything that decides how it trains, and the limits of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, NoReturn

from thalweg import optimizers, schedules
from thalweg.errors import UnknownNameError, UsageError


if TYPE_CHECKING:
    from collections.abc import Sequence

SHAPES: Final = ("circles", "spirals", "xor", "moons", "blobs", "line")  # that are drawn from a seed
DRAWN, PHOTOS = "drawn", "photos"  # points that the user gives
OPTIMIZERS: Final = tuple(name for name in optimizers.names() if optimizers.get(name).torch_class)
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "points": (*SHAPES, DRAWN, PHOTOS),
    "activation": ("relu", "leaky_relu", "tanh", "sigmoid", "gelu", "linear"),
    "init": ("torch", "he", "xavier", "orthogonal", "small", "large", "same", "zero"),
    "norm": ("none", "batch", "layer"),
    "loss": ("cross_entropy", "mse", "bce"),
    "optimizer": OPTIMIZERS,
}
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "noise": (0, 1),
    "count": (20, 1_000),
    "lr": (1e-9, 1e6),
    "batch": (1, 1_000),
    "decay": (0, 100),
    "dropout": (0, 0.99),
    "seed": (0, 2**32 - 1),
    "total": (1, 10_000),
}
MOST_LAYERS, WIDEST = 12, 32
FEWEST_DRAWN, MOST_DRAWN = 4, 1_000
FARTHEST, MOST_CLASSES = 6.0, 4  # of drawn points
_LONGEST_SCHEDULE: Final = 400  # characters
_WHOLE: Final = frozenset({"count", "batch", "seed", "total"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings of a network in the plane; each field has its limits in `LIMITS` or its names in `CHOICES`.

    Args:
        points: where the points come from: a shape of `SHAPES`, `drawn`, or `photos` (given to the session).
        noise: standard deviation that is added to points of a shape, which lie within about ±1.
        count: number of points of a shape; a fifth is held out.
        drawn: (x, y, class) of each drawn point; x and y within ±6, classes from 0.
        widths: units of each hidden layer.
        activation: after each hidden layer.
        init: of the weights: torch's own, He, Xavier, orthogonal, small (σ = 0.01), large (σ = 3), all the same, zero.
        norm: before each activation.
        loss: `bce` needs two classes, and has one output.
        optimizer: of the lab, with a counterpart in torch.optim.
        lr: learning rate.
        schedule: of the rate, in the language of `thalweg.schedules`.
        batch: points in each step; at most all.
        decay: weight decay.
        dropout: share of units that are dropped after each activation.
        seed: of points, weights, batches and dropout.
        total: number of steps to which percentages in the schedule refer.

    Raises:
        UnknownNameError: a name is none of `CHOICES`.
        UsageError: a value is beyond its limits.

    Example:
        >>> Settings(points="moons", widths=(4,)).layers
        2
        >>> Settings(noise=-1)
        Traceback (most recent call last):
        thalweg.errors.UsageError: noise is -1, but must be from 0 to 1.
    """

    points: str = "circles"
    noise: float = 0.1
    count: int = 300
    drawn: tuple[tuple[float, float, int], ...] = ()
    widths: tuple[int, ...] = (8, 8)
    activation: str = "tanh"
    init: str = "torch"
    norm: str = "none"
    loss: str = "cross_entropy"
    optimizer: str = "adam"
    lr: float = 0.01
    schedule: str = "constant"
    batch: int = 32
    decay: float = 0.0
    dropout: float = 0.0
    seed: int = 0
    total: int = 1_000

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UnknownNameError(name, str(getattr(self, name))[:80], known)
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not is_number(value, whole=name in _WHOLE) or not least <= value <= most:
                _refuse("number", name=name, value=str(value)[:40], least=least, most=most)
        if len(self.widths) > MOST_LAYERS or not all(_is_whole(width, 1, WIDEST) for width in self.widths):
            _refuse("widths", widths=str(list(self.widths))[:80], layers=MOST_LAYERS, width=WIDEST)
        if len(self.schedule) > _LONGEST_SCHEDULE:
            _refuse("schedule", most=_LONGEST_SCHEDULE, got=len(self.schedule))
        schedules.parse(self.schedule)
        if self.points == DRAWN:
            _check_drawn(self.drawn)

    @property
    def layers(self) -> int:
        """Number of linear layers, with the last."""
        return len(self.widths) + 1

    def values(self) -> dict[str, Any]:
        """Every field by name, as JSON writes it."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return found | {"widths": list(self.widths), "drawn": [list(point) for point in self.drawn]}


def is_number(value: object, *, whole: bool = False) -> bool:
    """Whether a value is a finite number, and a whole one if it must be."""
    kinds = int if whole else int | float
    return isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, least: int, most: int) -> bool:
    return is_number(value, whole=True) and least <= value <= most  # type: ignore[operator]


def _check_drawn(drawn: Sequence[Sequence[float]]) -> None:
    if not FEWEST_DRAWN <= len(drawn) <= MOST_DRAWN:
        _refuse("drawn_count", count=len(drawn), least=FEWEST_DRAWN, most=MOST_DRAWN)
    for point in drawn:
        if (
            len(point) != 3
            or not all(is_number(place) and abs(place) <= FARTHEST for place in point[:2])
            or not _is_whole(point[2], 0, MOST_CLASSES - 1)
        ):
            _refuse("drawn_point", point=str(list(point))[:80], most=FARTHEST, classes=MOST_CLASSES - 1)
    if len({label for _, _, label in drawn}) < 2:
        _refuse("drawn_classes")


def _refuse(what: str, **values: Any) -> NoReturn:
    raise UsageError(f"playground.bad_{what}", **values)
