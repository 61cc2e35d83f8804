"""Points in the plane with classes: drawn from a seed, given by the user, or photos through two components.

Shape suffixes: N points, F features.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.errors import UsageError
from thalweg.playground.settings import DRAWN, PHOTOS


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.random import Generator
    from numpy.typing import NDArray

    from thalweg.playground.settings import Settings

MOST_PHOTOS: Final = 500
_HELD: Final = 5  # one point in five is held out
_MARGIN: Final = 0.15  # of the points' extent, around them
_SMALLEST: Final = 1e-9  # of the largest singular value: a second component of photos that is not just rounding
_ROOM: Final = 1.2  # for drawn points: with the margin, a little more than shapes of a seed have
_SHAPE, _HOLDOUT = 1, 2  # streams of random numbers


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points and how they are shown.

    Attributes:
        inputs_N2: float32.
        labels_N: int64, from 0.
        held_N: whether a point is held out.
        classes: names.
        reach: the window shows at least ±this, whatever the points are: room to draw further ones.
    """

    inputs_N2: NDArray[np.float32]
    labels_N: NDArray[np.int64]
    held_N: NDArray[np.bool_]
    classes: tuple[str, ...]
    reach: float = 0.0

    @property
    def window(self) -> tuple[float, float, float, float]:
        """The part of the plane that is shown: x from, x to, y from, y to; a square around all points."""
        room_22 = self.reach * np.array([[-1.0, -1.0], [1.0, 1.0]])
        shown_N2 = np.concatenate([self.inputs_N2, room_22]) if self.reach else self.inputs_N2
        low_2, high_2 = shown_N2.min(axis=0), shown_N2.max(axis=0)
        middle_2, half = (low_2 + high_2) / 2, float((high_2 - low_2).max()) / 2
        half = max(half * (1 + 2 * _MARGIN), 1e-3)
        return (
            *(float(middle_2[0]) - half, float(middle_2[0]) + half),
            *(float(middle_2[1]) - half, float(middle_2[1]) + half),
        )


def points_of(settings: Settings, photos: Points | None = None) -> Points:
    """The points of settings; those of a shape are a pure function of shape, noise, count and seed.

    Args:
        settings: say which.
        photos: of `photo_points`, if the settings want photos.

    Raises:
        UsageError: photos are wanted, but none are given.
    """
    if settings.points == PHOTOS:
        if photos is None:
            raise UsageError("playground.no_photos")
        return photos
    if settings.points == DRAWN:
        given = np.array(settings.drawn, dtype=np.float64)
        labels_N = given[:, 2].astype(np.int64)
        points = _points(given[:, :2], labels_N, int(labels_N.max()) + 1, settings.seed)
        return replace(points, reach=_ROOM)
    draw = np.random.default_rng([settings.seed, _SHAPE])
    labels_N = np.arange(settings.count) % 2
    inputs_N2 = _SHAPES[settings.points](labels_N, draw)
    return _points(inputs_N2 + settings.noise * draw.normal(size=inputs_N2.shape), labels_N, 2, settings.seed)


def photo_points(features_NF: NDArray[np.floating], labels_N: NDArray[np.integer], classes: Sequence[str]) -> Points:
    """Photos through the two principal components of their features, each divided by its standard deviation.

    Args:
        features_NF: pixels, or what a network computes; the first 500 are taken.
        labels_N: indices of `classes`.
        classes: names.

    Raises:
        UsageError: there are fewer than ten photos, or they are all alike.

    Example:
        >>> features = np.random.default_rng(0).normal(size=(30, 5)) * [9, 1, 1, 1, 1]
        >>> found = photo_points(features, np.arange(30) % 3, ("a", "b", "c"))
        >>> found.inputs_N2.std(axis=0).round(3).tolist()
        [1.0, 1.0]
    """
    taken_NF = np.asarray(features_NF[:MOST_PHOTOS], dtype=np.float64)
    centered_NF = taken_NF - taken_NF.mean(axis=0)
    if len(centered_NF) < 2 * _HELD:
        raise UsageError("playground.few_photos", count=len(centered_NF), least=2 * _HELD)
    left_NN, singular_N, _ = np.linalg.svd(centered_NF, full_matrices=False)
    kind = features_NF.dtype if np.issubdtype(features_NF.dtype, np.floating) else np.dtype(np.float64)
    rounding = np.finfo(kind).eps * np.sqrt(len(taken_NF)) * np.linalg.norm(taken_NF)
    if len(singular_N) < 2 or not singular_N[0] > rounding or not singular_N[1] > _SMALLEST * singular_N[0]:
        raise UsageError("playground.photos_alike")
    inputs_N2 = left_NN[:, :2] * np.sqrt(len(centered_NF))
    labels_N = np.asarray(labels_N[:MOST_PHOTOS], dtype=np.int64)
    return _points(inputs_N2, labels_N, len(classes), 0, tuple(classes))


def _points(
    inputs_N2: NDArray[np.floating], labels_N: NDArray[np.int64], count: int, seed: int, classes: tuple[str, ...] = ()
) -> Points:
    """Hold out one point in five, at least one."""
    order_N = np.random.default_rng([seed, _HOLDOUT]).permutation(len(labels_N))
    held_N = np.zeros(len(labels_N), dtype=bool)
    held_N[order_N[: max(1, len(labels_N) // _HELD)]] = True
    names = classes or tuple(map(str, range(count)))
    return Points(inputs_N2.astype(np.float32), labels_N, held_N, names)


def _circles(labels_N: NDArray[np.int64], draw: Generator) -> NDArray[np.float64]:
    angle_N = draw.uniform(0, 2 * np.pi, len(labels_N))
    radius_N = np.where(labels_N == 0, 0.4, 1.0)
    return _at(radius_N, angle_N)


def _spirals(labels_N: NDArray[np.int64], draw: Generator) -> NDArray[np.float64]:
    way_N = np.sqrt(draw.uniform(0.02, 1, len(labels_N)))
    return _at(1.2 * way_N, way_N * 1.5 * 2 * np.pi + np.pi * labels_N)


def _xor(labels_N: NDArray[np.int64], draw: Generator) -> NDArray[np.float64]:
    size_N2 = draw.uniform(0.1, 1.0, (len(labels_N), 2))
    side_N = np.where(draw.random(len(labels_N)) < 0.5, 1.0, -1.0)
    return size_N2 * np.stack([side_N, np.where(labels_N == 1, side_N, -side_N)], axis=1)


def _moons(labels_N: NDArray[np.int64], draw: Generator) -> NDArray[np.float64]:
    angle_N = draw.uniform(0, np.pi, len(labels_N))
    upper_N2 = np.stack([np.cos(angle_N) - 0.5, np.sin(angle_N) - 0.25], axis=1)
    return 0.8 * np.where(labels_N[:, None] == 0, upper_N2, -upper_N2)


def _blobs(labels_N: NDArray[np.int64], draw: Generator) -> NDArray[np.float64]:
    middle_N2 = np.where(labels_N[:, None] == 0, -0.6, 0.6)
    return middle_N2 + 0.15 * draw.normal(size=(len(labels_N), 2))


def _line(labels_N: NDArray[np.int64], draw: Generator) -> NDArray[np.float64]:
    along_N, away_N = draw.uniform(-1, 1, len(labels_N)), draw.uniform(0.05, 0.9, len(labels_N))
    away_N = np.where(labels_N == 0, -away_N, away_N)
    return np.stack([along_N + away_N, away_N - along_N], axis=1) / np.sqrt(2)


def _at(radius_N: NDArray[np.float64], angle_N: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([radius_N * np.cos(angle_N), radius_N * np.sin(angle_N)], axis=1)


_SHAPES: Final[dict[str, Callable[[NDArray[np.int64], Generator], NDArray[np.float64]]]] = {
    "circles": _circles,
    "spirals": _spirals,
    "xor": _xor,
    "moons": _moons,
    "blobs": _blobs,
    "line": _line,
}
