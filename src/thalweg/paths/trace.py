"""A trace: the path of an optimizer over a surface, with the numbers that explain it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from thalweg._notebook import drawn_as, shown_as
from thalweg.history import History
from thalweg.paths.checks import check_lr, check_noise, check_optimizer, check_starts, check_steps
from thalweg.paths.engine import run_one
from thalweg.paths.events import find
from thalweg.paths.rates import factors_along
from thalweg.schedules import Constant, parse


if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.optimizers import Optimizer
    from thalweg.paths.events import Event
    from thalweg.schedules import Schedule
    from thalweg.surfaces import Surface

HISTORY_UNITS = {
    "step": "",
    "loss": "",
    "gradient_norm": "",
    "lr": "",
    "step_length": "",
    **{f"{name}_{axis}": "" for name in ("position", "direction", "scale") for axis in "xy"},
}
"""The columns of a trace's history; a surface has no units."""


@dataclass(frozen=True, eq=False)
class Trace:
    """An optimizer's trace over a surface: θ₀, θ₁, …, θ_S and the parts of each step.

    Rows after a divergence are NaN. Step t leads from row t of the positions to row t + 1.

    Args:
        surface: the surface.
        optimizer: the optimizer.
        lr: the learning rate before the schedule.
        steps: S, the number of steps requested.
        last: the last row with a position: `steps`, or less if the trace diverged.
        lr_S: η_t, the learning rate of each step, shape (S,).
        record_S8: rows (x, y, loss, gradient norm, m_x, m_y, σ_x, σ_y), shape (S + 1, 8); the last has no m and σ.
        schedule: what multiplied the learning rate.
        noise_S2: what was added to each gradient, shape (S, 2); None for nothing.
    """

    surface: Surface
    optimizer: Optimizer
    lr: float
    steps: int
    last: int
    lr_S: NDArray[np.float64] = field(repr=False)
    record_S8: NDArray[np.float64] = field(repr=False)
    schedule: Schedule = field(default_factory=Constant)
    noise_S2: NDArray[np.float64] | None = field(repr=False, default=None)

    _repr_html_ = shown_as("trace")

    def draw(self) -> Figure:
        """Draw the surface, the path on it and its charts, to show them in a notebook."""
        return drawn_as("trace")(self)

    @property
    def positions_S2(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """θ, shape (S + 1, 2)."""
        return self.record_S8[:, :2]

    @property
    def loss(self) -> NDArray[np.float64]:
        """f(θ), shape (S + 1,)."""
        return self.record_S8[:, 2]

    @property
    def gradient_norm(self) -> NDArray[np.float64]:
        """‖∇f(θ)‖, without noise, shape (S + 1,)."""
        return self.record_S8[:, 3]

    @property
    def direction_S2(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """The direction m of each step, shape (S, 2)."""
        return self.record_S8[:-1, 4:6]

    @property
    def scale_S2(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """The scale σ of each step, shape (S, 2)."""
        return self.record_S8[:-1, 6:8]

    @property
    def diverged(self) -> bool:
        """Whether the trace went out of reach, or its last loss is not finite."""
        return self.last < self.steps or not np.isfinite(self.loss[-1])

    def gradients_at(self, steps_K: NDArray[np.int64]) -> NDArray[np.float64]:
        """G of some steps as the optimizer's formula has it: with the noise, the sign of `maximize`, and coupled decay.

        Args:
            steps_K: steps, from 1 to S.

        Returns:
            Shape (K, 2).
        """
        before_K = steps_K - 1
        slope_K2 = self.surface.gradient(self.positions_S2[before_K])
        if self.noise_S2 is not None:
            slope_K2 = slope_K2 + self.noise_S2[before_K]
        sign = -1.0 if self.optimizer.maximize else 1.0
        return sign * slope_K2 + self.optimizer.decays[0] * self.positions_S2[before_K]

    @cached_property
    def step_length(self) -> NDArray[np.float64]:
        """‖θ_{t+1} − θ_t‖, shape (S,)."""
        return np.hypot(*np.diff(self.positions_S2, axis=0).T)

    @cached_property
    def rates_S2(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """η_t / σ_t, the effective learning rate of each coordinate, shape (S, 2)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.lr_S[:, None] / self.scale_S2

    @cached_property
    def stability_S2(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """η_t × curvature / σ_t of each coordinate, shape (S, 2): above 2, steps without momentum overshoot and grow.

        The curvature is the second derivative along the coordinate, at the position before the step.
        """
        curvature_S2 = np.diagonal(self.surface.hessian(self.positions_S2[:-1]), axis1=1, axis2=2)
        with np.errstate(over="ignore", invalid="ignore"):  # a rate of 1e300 times any curvature
            return self.rates_S2 * curvature_S2

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """The events, in the order of steps: see `events.find`."""
        return find(self)

    def history(self) -> History:
        """The trace as a history: one row per position, up to the last known one."""
        rows_N = slice(0, self.last + 1)
        made_S3 = np.column_stack([self.lr_S, self.step_length])
        made_S3 = np.vstack([made_S3, [np.nan, np.nan]])  # no step leaves the last position
        history = History(HISTORY_UNITS)
        history.extend(
            np.column_stack(
                [
                    np.arange(self.steps + 1.0),
                    self.record_S8[:, 2:4],
                    made_S3,
                    self.record_S8[:, :2],
                    self.record_S8[:, 4:8],
                ]
            )[rows_N]
        )
        return history


def trace(
    surface: Surface,
    optimizer: Optimizer | str,
    *,
    lr: float | None = None,
    schedule: Schedule | str = "constant",
    steps: int,
    start: tuple[float, float] | None = None,
    noise: float = 0.0,
    seed: int = 0,
) -> Trace:
    """Run an optimizer over a surface and keep every step.

    Args:
        surface: from `surfaces.get` or `surfaces.parse`.
        optimizer: from `optimizers.get`, or its name.
        lr: η, above 0; the optimizer's default when not given.
        schedule: what multiplies η, an object or its text.
        steps: number of steps, 1 to `checks.MAX_STEPS`.
        start: (x, y); the surface's own when not given.
        noise: standard deviation of the normal noise added to each coordinate of each gradient, as from small batches.
        seed: of the noise.

    Raises:
        UsageError: a value is out of range, or the start is outside the surface's domain.

    Example:
        >>> from thalweg import surfaces
        >>> steps = trace(surfaces.get("bowl"), "sgd", lr=0.5, steps=2, start=(4.0, 0.0))
        >>> steps.positions_S2.tolist()
        [[4.0, 0.0], [2.0, 0.0], [1.0, 0.0]]
    """
    optimizer = check_optimizer(optimizer)
    lr = check_lr(optimizer.default_lr if lr is None else lr)
    steps = check_steps(steps)
    noise_S2 = draw_noise(steps, noise, seed)
    start_2 = check_starts(surface, [surface.start if start is None else start])[0]

    def run(factor_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
        return run_one(surface, optimizer, start_2, lr=lr, rate_S=lr * factor_S, noise_S2=noise_S2)

    schedule = parse(schedule) if isinstance(schedule, str) else schedule
    factor_S = factors_along(schedule, steps, lambda factor_S: run(factor_S)[0][:, 2])
    record_S8, last = run(factor_S)
    return Trace(surface, optimizer, lr, steps, last, lr * factor_S, record_S8, schedule, noise_S2)


def draw_noise(steps: int, noise: float, seed: int) -> NDArray[np.float64] | None:
    """The noise that is added to the gradient at each step, shape (S, 2); `None` for none."""
    deviation = check_noise(noise)
    return deviation * np.random.default_rng(seed).standard_normal((steps, 2)) if deviation else None
