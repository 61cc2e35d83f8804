"""A sweep over optimizers × learning rates × starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thalweg._notebook import shown_as
from thalweg.paths.checks import check_lr, check_optimizer, check_starts, check_steps
from thalweg.paths.engine import Drive, Job, run_many
from thalweg.paths.rates import fixed_factors
from thalweg.paths.trace import draw_noise


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.optimizers import Optimizer
    from thalweg.schedules import Schedule
    from thalweg.surfaces import Surface


@dataclass(frozen=True, eq=False)
class Sweep:
    """The end of each trace of O optimizers × L learning rates × P starts.

    Args:
        surface: the surface.
        optimizers: O optimizers.
        lr_L: learning rates.
        start_P2: starts.
        steps: steps requested.
        positions_OLP2: the ends.
        loss_OLP: f there.
        gradient_norm_OLP: ‖∇f‖ there.
        steps_OLP: steps made in reach; fewer than `steps` if the trace diverged.
    """

    surface: Surface
    optimizers: tuple[Optimizer, ...]
    lr_L: NDArray[np.float64]
    start_P2: NDArray[np.float64]
    steps: int
    positions_OLP2: NDArray[np.float64] = field(repr=False)
    loss_OLP: NDArray[np.float64] = field(repr=False)
    gradient_norm_OLP: NDArray[np.float64] = field(repr=False)
    steps_OLP: NDArray[np.float64] = field(repr=False)

    _repr_html_ = shown_as("sweep")

    @property
    def diverged_OLP(self) -> NDArray[np.bool_]:  # noqa: N802 - shape suffix
        """Whether each trace diverged: it went out of reach, or its last loss is not finite."""
        return (self.steps_OLP < self.steps) | ~np.isfinite(self.loss_OLP)

    def best_lr(self) -> NDArray[np.float64]:
        """The learning rate with the lowest median loss over the starts, for each optimizer, shape (O,)."""
        loss_OLP = np.where(self.diverged_OLP, np.inf, self.loss_OLP)
        return self.lr_L[np.median(loss_OLP, axis=2).argmin(axis=1)]


def sweep(
    surface: Surface,
    optimizers: Sequence[Optimizer | str],
    lrs: Sequence[float],
    starts: Sequence[tuple[float, float]] | NDArray[np.float64] | None = None,
    *,
    steps: int,
    schedule: Schedule | str = "constant",
    noise: float = 0.0,
    seed: int = 0,
) -> Sweep:
    """Run every optimizer with every learning rate from every start, on all cores.

    Args:
        surface: from `surfaces.get` or `surfaces.parse`.
        optimizers: from `optimizers.get`, or names.
        lrs: learning rates, each above 0.
        starts: (x, y) each; the surface's own when not given.
        steps: number of steps.
        schedule: multiplies the learning rate; one with `plateau` is invalid.
        noise: standard deviation of the gradient's noise; the same draws for every trace.
        seed: of the noise.

    Raises:
        UsageError: a value is out of range, or there are more steps in all than `checks.MAX_UPDATES`.

    Example:
        >>> from thalweg import surfaces
        >>> result = sweep(surfaces.get("bowl"), ["sgd", "adam"], [0.1, 1.9, 2.1], steps=1000)
        >>> result.diverged_OLP[:, :, 0].tolist()
        [[False, False, True], [False, False, False]]
    """
    chosen = tuple(map(check_optimizer, optimizers))
    lr_L = np.array([check_lr(lr) for lr in lrs])
    start_P2 = check_starts(surface, [surface.start] if starts is None else starts)
    shape = len(chosen), len(lr_L), len(start_P2)
    steps = check_steps(steps, paths=shape[0] * shape[1] * shape[2])
    drive = Drive(fixed_factors(schedule, steps), draw_noise(steps, noise, seed))
    lr_N, start_N2 = np.repeat(lr_L, shape[2]), np.tile(start_P2, (shape[1], 1))
    ends = run_many(surface, [Job(optimizer, start_N2, lr_N) for optimizer in chosen], drive)
    return Sweep(
        surface,
        chosen,
        lr_L,
        start_P2,
        steps,
        ends.position_N2.reshape(*shape, 2),
        ends.loss_N.reshape(shape),
        ends.gradient_norm_N.reshape(shape),
        ends.steps_N.reshape(shape),
    )
