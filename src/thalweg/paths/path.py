"""A path: a rule's trace over a surface, with all that explains it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from thalweg.history import History


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.optimizers import Rule
    from thalweg.paths.events import Event
    from thalweg.surfaces import Surface

HISTORY_UNITS = {
    "step": "",
    "loss": "",
    "gradient_norm": "",
    "lr": "",
    "step_length": "",
    **{f"{name}_{axis}": "" for name in ("position", "direction", "scale") for axis in "xy"},
}
"""The columns of a path's history; a surface has no units."""


@dataclass(frozen=True, eq=False)
class Path:
    """A rule's trace over a surface: θ₀, θ₁, …, θ_S and what made each step.

    Rows after a divergence are NaN. Step t leads from row t of the positions to row t + 1.

    Args:
        surface: what was walked on.
        rule: what walked.
        lr: the learning rate before the schedule.
        steps: S, the number of steps asked for.
        last: the last row with a position: `steps`, or less when the path diverged.
        lr_S: η_t, the learning rate of each step, shape (S,).
        record_S8: rows (x, y, loss, gradient norm, m_x, m_y, σ_x, σ_y), shape (S + 1, 8); the last has no m and σ.
    """

    surface: Surface
    rule: Rule
    lr: float
    steps: int
    last: int
    lr_S: NDArray[np.float64] = field(repr=False)
    record_S8: NDArray[np.float64] = field(repr=False)

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
        """Whether the path went out of reach, or its loss is not finite at its end."""
        return self.last < self.steps or not np.isfinite(self.loss[-1])

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
        """η_t × curvature / σ_t of each coordinate, shape (S, 2): past 2, a step without momentum overshoots and grows.

        The curvature is the second derivative along the coordinate, at the position before the step.
        """
        curvature_S2 = np.diagonal(self.surface.hessian(self.positions_S2[:-1]), axis1=1, axis2=2)
        return self.rates_S2 * curvature_S2

    @cached_property
    def events(self) -> tuple[Event, ...]:
        """What happened on the way, in the order of steps: see `events.find`."""
        from thalweg.paths.events import find

        return find(self)

    def history(self) -> History:
        """The path as a history: a row for each position, up to the last one known."""
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
