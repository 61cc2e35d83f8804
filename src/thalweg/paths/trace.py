"""One path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg import optimizers, schedules
from thalweg.paths.adaptive import looks_at_the_loss, settle
from thalweg.paths.checks import check_lr, check_noise, check_schedule, check_starts, check_steps
from thalweg.paths.engine import run_one
from thalweg.paths.path import Path


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.optimizers import Rule
    from thalweg.surfaces import Surface


def trace(
    surface: Surface,
    rule: Rule | str,
    *,
    lr: float | None = None,
    schedule: schedules.Schedule | str = "constant",
    steps: int,
    start: tuple[float, float] | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Path:
    """Run a rule over a surface and keep everything.

    Args:
        surface: from `surfaces.get` or `surfaces.parse`.
        rule: from `optimizers.get`, or its name.
        lr: η, above 0; the rule's own default when not given.
        schedule: what multiplies η, an object or its text.
        steps: number of steps, 1 to `checks.MAX_STEPS`.
        start: (x, y); the surface's own when not given.
        noise: standard deviation of the normal noise added to each coordinate of each gradient, as small batches do.
        seed: of the noise.

    Raises:
        UsageError: a value out of its range, or a start outside the surface's domain.

    Example:
        >>> from thalweg import surfaces
        >>> path = trace(surfaces.get("bowl"), "sgd", lr=0.5, steps=2, start=(4.0, 0.0))
        >>> path.positions_S2.tolist()
        [[4.0, 0.0], [2.0, 0.0], [1.0, 0.0]]
    """
    rule = optimizers.get(rule) if isinstance(rule, str) else rule
    lr = check_lr(rule.default_lr if lr is None else lr)
    schedule, steps = check_schedule(schedule), check_steps(steps)
    noise_S2 = draw_noise(steps, noise, seed)
    start_2 = check_starts(surface, [surface.start if start is None else start])[0]

    def run(rate_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
        return run_one(surface, rule, start_2, lr=lr, rate_S=rate_S, noise_S2=noise_S2)

    if looks_at_the_loss(schedule):
        rate_S = lr * settle(schedule, steps, lambda factor_S: run(lr * factor_S)[0][:, 2])
    else:
        rate_S = lr * schedules.factors(schedule, steps)
    record_S8, last = run(rate_S)
    return Path(surface, rule, lr, steps, last, rate_S, record_S8)


def draw_noise(steps: int, noise: float, seed: int) -> NDArray[np.float64] | None:
    """What is added to the gradient at each step, shape (S, 2); `None` for nothing."""
    deviation = check_noise(noise)
    return deviation * np.random.default_rng(seed).standard_normal((steps, 2)) if deviation else None
