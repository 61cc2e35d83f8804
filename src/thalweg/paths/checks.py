"""The arguments of traces, checked before anything is allocated."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg import optimizers
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.optimizers import Optimizer
    from thalweg.surfaces import Surface

MAX_STEPS = 2_000_000
"""Steps of one trace, which keeps 64 bytes per step."""

MAX_UPDATES = 4_000_000_000
"""Steps × traces of a sweep or a map: seconds on two cores, or a minute if every step computes an exponential."""

MAX_PATHS = 4_000_000
"""Traces of a sweep or a map."""


def check_steps(steps: Any, paths: int = 1) -> int:
    """The number of steps, checked to be a whole number within the limits.

    Raises:
        UsageError: it is not, or `steps` × `paths` is too large.
    """
    if isinstance(steps, bool) or not isinstance(steps, int | float | np.integer) or steps != steps // 1 or steps < 1:
        raise UsageError("paths.bad_steps", steps=steps)
    if steps > MAX_STEPS:
        raise UsageError("paths.too_many_steps", steps=f"{steps:,.0f}", limit=f"{MAX_STEPS:,}")
    if paths > MAX_PATHS:
        raise UsageError("paths.too_many_paths", paths=f"{paths:,}", limit=f"{MAX_PATHS:,}")
    if steps * paths > MAX_UPDATES:
        raise UsageError("paths.too_many_updates", updates=f"{steps * paths:,.0f}", limit=f"{MAX_UPDATES:,}")
    return int(steps)


def check_lr(lr: Any) -> float:
    """The learning rate, checked to be a finite number above 0.

    Raises:
        UsageError: it is not.
    """
    if isinstance(lr, bool) or not isinstance(lr, int | float | np.number) or not 0 < lr < math.inf:
        raise UsageError("paths.bad_lr", lr=lr)
    return float(lr)


def check_noise(noise: Any) -> float:
    """The standard deviation of the gradient's noise, checked to be a finite number of at least 0.

    Raises:
        UsageError: it is not.
    """
    if isinstance(noise, bool) or not isinstance(noise, int | float | np.number) or not 0 <= noise < math.inf:
        raise UsageError("paths.bad_noise", noise=noise)
    return float(noise)


def check_optimizer(optimizer: Optimizer | str) -> Optimizer:
    """An optimizer, from its name or unchanged.

    Raises:
        UnknownNameError: there is no optimizer of this name.
    """
    return optimizers.get(optimizer) if isinstance(optimizer, str) else optimizer


def check_points(points: Any) -> int:
    """The number of points along a side of a map, checked to be a whole number above 0.

    Raises:
        UsageError: it is not.
    """
    if isinstance(points, bool) or not isinstance(points, int | np.integer) or not 1 <= points <= MAX_PATHS:
        raise UsageError("paths.bad_points", points=points)
    return int(points)


def check_starts(surface: Surface, starts: Sequence[tuple[float, float]] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Starts as an array of shape (N, 2), checked to have a value and a gradient.

    Raises:
        UsageError: a start is not a pair of finite numbers, or lies outside the surface's domain.
    """
    try:
        start_N2 = np.array(starts, dtype=np.float64).reshape(len(starts), 2)
    except (TypeError, ValueError):
        raise UsageError("paths.bad_start", start=starts) from None
    for start_2 in start_N2[~np.isfinite(start_N2).all(axis=1)][:1]:
        raise UsageError("paths.bad_start", start=tuple(start_2.tolist()))
    known_N = np.isfinite(surface.value(*start_N2.T)) & np.isfinite(surface.gradient(start_N2)).all(axis=1)
    for x, y in start_N2[~known_N][:1]:
        raise UsageError("paths.start_outside_domain", formula=surface.formula, x=float(x), y=float(y))
    return start_N2
