"""Learning rates along a trace: a suggested one, and a schedule's factor at each step."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from thalweg.errors import UsageError
from thalweg.schedules import Moment, Plateau, Schedule, factors, parse


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thalweg.optimizers import Optimizer
    from thalweg.surfaces import Surface

MAX_STEPS_WITH_PLATEAU: Final = 5_000
"""A schedule that follows the loss reads all losses so far at every step, so long traces take minutes."""

GRID: Final = 61
"""Points along each side of the window at which curvature is sampled."""

_OF_CURVATURE: Final = {"sgd": 1.8, "momentum": 0.45, "nesterov": 0.45}
"""η · largest curvature, for optimizers whose step grows with the gradient; plain descent is stable below 2."""

_OF_WINDOW: Final = {"adagrad": 1 / 20, "lion": 1 / 2000, "sign_sgd": 1 / 2000}
"""η / the window's longer side, for optimizers that normalize: adagrad's steps shrink, those of signs never do."""

_OF_WINDOW_ELSE: Final = 1 / 400


def suggest_lr(surface: Surface, optimizer: Optimizer, *, start: tuple[float, float] | None = None) -> float:
    """Suggest a learning rate at which the optimizer neither crawls nor leaps, to two digits.

    torch.optim's defaults are meant for networks. Here an optimizer that normalizes its steps gets a share of the
    window. One that does not gets a share of 1/L, where L is the largest curvature below the start's height: descent
    at less than 2/L never climbs out of there (Nesterov, "Introductory Lectures on Convex Optimization", 2004, section
    1.2.3). Adadelta, which has units of its own, keeps torch.optim's 1.

    Args:
        surface: any.
        optimizer: any.
        start: (x, y); the surface's own when not given.

    Example:
        >>> from thalweg import optimizers, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> [suggest_lr(bowl, optimizers.get(name)) for name in ("sgd", "adagrad", "adam")]
        [1.8, 0.3, 0.015]
    """
    if optimizer.name == "adadelta":
        return optimizer.default_lr
    if optimizer.name in _OF_CURVATURE:
        curvature = _largest_curvature(surface, surface.start if start is None else start)
        return _two_digits(_OF_CURVATURE[optimizer.name] / curvature) if curvature else optimizer.default_lr
    side = max(high - low for low, high in surface.window)
    return _two_digits(side * _OF_WINDOW.get(optimizer.name, _OF_WINDOW_ELSE))


def fixed_factors(schedule: Schedule | str, steps: int) -> NDArray[np.float64]:
    """The factors of a schedule that all traces share, shape (steps,).

    Raises:
        UsageError: the schedule follows the loss, so each trace would have its own factors.
    """
    schedule = parse(schedule) if isinstance(schedule, str) else schedule
    if _looks_at_the_loss(schedule):
        raise UsageError("paths.plateau_needs_one_path", schedule=schedule)
    return factors(schedule, steps)


def factors_along(
    schedule: Schedule | str, steps: int, loss_of: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """The factors of a schedule along one trace, shape (steps,).

    Args:
        schedule: any; if it follows the loss, factors and trace depend on each other.
        steps: number of steps.
        loss_of: the losses θ_0 … θ_S of the trace that factors of shape (S,) lead to.

    Raises:
        UsageError: the schedule follows the loss, and there are more than `MAX_STEPS_WITH_PLATEAU` steps.
    """
    schedule = parse(schedule) if isinstance(schedule, str) else schedule
    return _settle(schedule, steps, loss_of) if _looks_at_the_loss(schedule) else factors(schedule, steps)


def _looks_at_the_loss(schedule: object) -> bool:
    """Whether a schedule contains a `Plateau`."""
    if isinstance(schedule, tuple):
        return any(map(_looks_at_the_loss, schedule))
    if isinstance(schedule, Schedule) and is_dataclass(schedule):
        parts = [getattr(schedule, field.name) for field in fields(schedule)]
        return isinstance(schedule, Plateau) or any(map(_looks_at_the_loss, parts))
    return False


def _settle(
    schedule: Schedule, steps: int, loss_of: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Find factors that agree with the losses of the trace that they produce; the factor can only drop.

    Run with the known factors, find the first step at which the losses so far require another factor, and repeat: each
    round settles the factors up to one more drop.
    """
    limit = MAX_STEPS_WITH_PLATEAU
    if steps > limit:
        raise UsageError("paths.too_many_steps_for_plateau", steps=f"{steps:,}", limit=f"{limit:,}")
    factor_S = _factors(schedule, steps, ())
    settled = 0
    while True:
        losses = loss_of(factor_S)[:steps].tolist()
        low, high = settled, steps  # the first step with another factor lies in low..high; `steps`: none
        while low < high:
            middle = (low + high) // 2
            if schedule(middle, steps, losses[:middle]) == factor_S[middle]:
                low = middle + 1
            else:
                high = middle
        if low == steps:
            return factor_S
        factor_S[low:] = _factors(schedule, steps, losses[:low])[low:]
        settled = low + 1


def _factors(schedule: Schedule, steps: int, losses: Sequence[float]) -> NDArray[np.float64]:
    """The factors of all steps if the losses ended here."""
    step_S = np.arange(steps, dtype=np.float64)
    return np.array(schedule.factor(Moment(step_S, steps, 0.0, steps, losses)))


def _largest_curvature(surface: Surface, start: tuple[float, float]) -> float:
    """The Hessian's eigenvalue of largest size, over points of the window that are no higher than the start."""
    axes = (np.linspace(*side, GRID) for side in surface.window)
    points_N2 = np.vstack([np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2), start])
    with np.errstate(all="ignore"):
        below_N = surface.value(*points_N2.T) <= surface.value(*start)
        below_N[-1] = True
        hessians_N22 = surface.hessian(points_N2[below_N])
    known_N22 = hessians_N22[np.isfinite(hessians_N22).all(axis=(1, 2))]
    return float(np.abs(np.linalg.eigvalsh(known_N22)).max()) if len(known_N22) else 0.0


def _two_digits(value: float) -> float:
    return float(f"{value:.1e}")
