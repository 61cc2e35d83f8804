"""Adam, for each pair of rate and β₂: how soon it arrives. Simulated only: no closed form is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import UsageError
from thalweg.optimizers.adam import Adam
from thalweg.paths.checks import check_lr, check_starts, check_steps
from thalweg.paths.engine import Drive, Job, run_many


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.surfaces import Surface


@dataclass(frozen=True, eq=False)
class AdamMap:
    """Adam on a surface, simulated; row h, column w is (rate_W[w], beta2_H[h]).

    Args:
        surface: the surface.
        rate_W: η.
        beta2_H: β₂.
        steps: of each trace.
        near: distance from the goal, relative to the start's, that counts as arrived.
        arrival_HW: steps after which the trace stays near the goal; infinite if it does not arrive.
    """

    surface: Surface
    rate_W: NDArray[np.float64] = field(repr=False)
    beta2_H: NDArray[np.float64] = field(repr=False)
    steps: int
    near: float
    arrival_HW: NDArray[np.float64] = field(repr=False)

    @property
    def factor_HW(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """What a step multiplies the distance by, on average until the arrival; 1 without one."""
        return self.near ** (1 / self.arrival_HW)


def map_adam(
    surface: Surface,
    rates: Sequence[float],
    betas2: Sequence[float],
    *,
    beta1: float = 0.9,
    steps: int = 2_000,
    start: tuple[float, float] | None = None,
    near: float = 1e-3,
) -> AdamMap:
    """Simulate Adam for each pair of rate and β₂. There is no closed form: σ depends on the whole path.

    Args:
        surface: a surface whose lowest point is the origin.
        rates: η, each above 0.
        betas2: β₂, each in [0, 1).
        beta1: β₁, in [0, 1).
        steps: of each trace.
        start: (x, y); the surface's own when not given.
        near: distance from the goal, relative to the start's, that counts as arrived; between 0 and 1.

    Raises:
        UsageError: a value is out of range.

    Example:
        >>> from thalweg import surfaces
        >>> found = map_adam(surfaces.get("bowl"), rates=[0.001, 0.1], betas2=[0.9, 0.999])
        >>> np.isfinite(found.arrival_HW).tolist()
        [[False, False], [False, True]]
    """
    rate_W = np.array([check_lr(rate) for rate in rates])
    optimizers = [Adam(betas=(beta1, beta2)) for beta2 in betas2]
    steps = check_steps(steps, paths=len(rate_W) * len(optimizers))
    if not 0 < near < 1:
        raise UsageError("paths.bad_near", near=near)
    start_2 = check_starts(surface, [surface.start if start is None else start])[0]
    start_N2 = np.tile(start_2, (len(rate_W), 1))
    target_N3 = np.tile([0.0, 0.0, near * float(np.hypot(*start_2))], (len(rate_W), 1))
    jobs = [Job(optimizer, start_N2, rate_W, target_N3) for optimizer in optimizers]
    ends = run_many(surface, jobs, Drive(np.ones(steps), None))
    arrived_N = (ends.settled_N < steps) & (ends.steps_N == steps)  # one out of reach has not settled
    arrival_HW = np.where(arrived_N, ends.settled_N, np.inf).reshape(len(optimizers), len(rate_W))
    return AdamMap(surface, rate_W, np.array(betas2, dtype=np.float64), steps, near, arrival_HW)
