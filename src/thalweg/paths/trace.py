"""One path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg import optimizers, schedules
from thalweg.paths.checks import check_lr, check_noise, check_schedule, check_starts, check_steps
from thalweg.paths.engine import Drive, run_one
from thalweg.paths.path import Path


if TYPE_CHECKING:
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
    drive = make_drive(check_schedule(schedule), check_steps(steps), check_noise(noise), seed)
    start_2 = check_starts(surface, [surface.start if start is None else start])[0]
    record_S8, last = run_one(surface, rule, start_2, lr, drive)
    return Path(surface, rule, lr, len(drive.factor_S), last, lr * drive.factor_S, record_S8)


def make_drive(schedule: schedules.Schedule, steps: int, noise: float, seed: int) -> Drive:
    """The schedule's factors and the noise of every step."""
    drawn_S2 = noise * np.random.default_rng(seed).standard_normal((steps, 2)) if noise else None
    return Drive(schedules.factors(schedule, steps), drawn_S2)
