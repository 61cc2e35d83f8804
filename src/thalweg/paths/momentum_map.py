"""Momentum on a quadratic, for each pair of rate and momentum: how fast it converges, in closed form and simulated.

With momentum, the error along an eigenvector of curvature λ follows x_{t+1} = (1 + μ − ηλ) x_t − μ x_{t−1}. The larger
root of r² − (1 + μ − ηλ) r + μ is the factor by which a step multiplies that error in the long run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from thalweg.errors import UsageError
from thalweg.optimizers.momentum import Momentum
from thalweg.paths.checks import check_lr, check_steps
from thalweg.paths.engine import run_one
from thalweg.surfaces import parse


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from thalweg.paths.trace import Trace

MONOTONE: Final = 0
"""Both roots are real and positive: the error shrinks without a change of sign."""
RIPPLES: Final = 1
"""The roots are complex: the error swings around zero, and shrinks by √μ a step whatever the rate is."""
ALTERNATES: Final = 2
"""Both roots are real and negative: the error changes its sign at every step."""
DIVERGES: Final = 3
"""A root is −1 or below: the error does not shrink."""

_SMALLEST: Final = 1e-250
"""Errors below this share of the first are not measured: they soon lose their digits."""


class Fastest(NamedTuple):
    """The best choice for a quadratic.

    Args:
        lr: η.
        momentum: μ.
        factor: of the error, a step.
    """

    lr: float
    momentum: float
    factor: float


@dataclass(frozen=True, eq=False)
class MomentumMap:
    """Momentum on a quadratic; row h, column w of every array is (rate_W[w], momentum_H[h]).

    Args:
        curvature_E: the eigenvalues λ of the Hessian.
        rate_W: η.
        momentum_H: μ.
        steps: of each simulated trace.
        factor_EHW: what a step multiplies the error along each eigenvector by, in closed form.
        simulated_EHW: the same, measured on traces of the lab's optimizer.
        damping_EHW: `MONOTONE`, `RIPPLES`, `ALTERNATES` or `DIVERGES`.
        fastest: the best choice in closed form.
    """

    curvature_E: NDArray[np.float64]
    rate_W: NDArray[np.float64] = field(repr=False)
    momentum_H: NDArray[np.float64] = field(repr=False)
    steps: int
    factor_EHW: NDArray[np.float64] = field(repr=False)
    simulated_EHW: NDArray[np.float64] = field(repr=False)
    damping_EHW: NDArray[np.int64] = field(repr=False)
    fastest: Fastest

    @property
    def worst_HW(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """The factor of the slowest direction, in closed form."""
        return self.factor_EHW.max(axis=0)

    @property
    def worst_simulated_HW(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """The factor of the slowest direction, simulated."""
        return self.simulated_EHW.max(axis=0)

    @property
    def gap(self) -> float:
        """The largest relative difference of both, over all directions and cells where both converge."""
        both = (self.factor_EHW < 1) & (self.simulated_EHW < 1) & (self.factor_EHW > 0)
        return float(np.abs(self.simulated_EHW[both] / self.factor_EHW[both] - 1).max(initial=0.0))


def contraction(curvature: ArrayLike, lr: ArrayLike, momentum: ArrayLike) -> NDArray[np.float64]:
    """The factor of a step with momentum along an eigenvector: the spectral radius of its iteration.

    max |r| over r² − (1 + μ − ηλ) r + μ = 0. Arguments are broadcast against each other.

    Args:
        curvature: λ, above 0.
        lr: η, above 0.
        momentum: μ, in [0, 1).

    Returns:
        Below 1 where the error shrinks.

    Example:
        >>> contraction(10.0, [0.1, 0.2, 0.3], 0.25).round(3).tolist()
        [0.5, 0.5, 1.593]

    Source:
        Polyak, 1964, https://doi.org/10.1016/0041-5553(64)90137-5;
        Goh, Why Momentum Really Works, Distill, 2017, https://doi.org/10.23915/distill.00006
    """
    product, memory = np.broadcast_arrays(np.asarray(curvature, float) * np.asarray(lr, float), momentum)
    root = np.sqrt(memory)
    discriminant = ((1 - root) ** 2 - product) * ((1 + root) ** 2 - product)
    larger = (np.abs(1 + memory - product) + np.sqrt(np.maximum(discriminant, 0))) / 2
    return np.where(discriminant < 0, root, larger)


def damping(curvature: ArrayLike, lr: ArrayLike, momentum: ArrayLike) -> NDArray[np.int64]:
    """Whether the error along an eigenvector is `MONOTONE`, `RIPPLES`, `ALTERNATES` or `DIVERGES`.

    The borders are ηλ = (1 − √μ)², (1 + √μ)² and 2 (1 + μ).

    Args:
        curvature: λ, above 0.
        lr: η, above 0.
        momentum: μ, in [0, 1).

    Example:
        >>> damping(10.0, [0.02, 0.1, 0.23, 0.25], 0.25).tolist()
        [0, 1, 2, 3]
    """
    product, memory = np.broadcast_arrays(np.asarray(curvature, float) * np.asarray(lr, float), momentum)
    root = np.sqrt(memory)
    borders = (product > (1 - root) ** 2, product >= (1 + root) ** 2, product >= largest_lr(1.0, memory))
    return np.sum(borders, axis=0)


def largest_lr(curvature: ArrayLike, momentum: ArrayLike) -> NDArray[np.float64]:
    """The learning rate at which momentum diverges along an eigenvector: 2 (1 + μ) / λ.

    Args:
        curvature: λ, above 0.
        momentum: μ, in [0, 1).

    Example:
        >>> largest_lr(10.0, [0.0, 0.9]).tolist()
        [0.2, 0.38]
    """
    return 2 * (1 + np.asarray(momentum, float)) / np.asarray(curvature, float)


def fastest(curvatures: ArrayLike) -> Fastest:
    """The learning rate and the momentum whose slowest direction is the fastest.

    With ℓ and L the smallest and the largest curvature: η = (2 / (√ℓ + √L))², μ = ((√L − √ℓ) / (√L + √ℓ))², and the
    factor is √μ.

    Args:
        curvatures: the eigenvalues of the Hessian, above 0.

    Raises:
        UsageError: a curvature is not a finite number above 0.

    Example:
        >>> fastest([1.0, 9.0])
        Fastest(lr=0.25, momentum=0.25, factor=0.5)

    Source:
        Polyak, 1964, https://doi.org/10.1016/0041-5553(64)90137-5
    """
    roots_E = np.sqrt(_curvatures(curvatures))
    low, high = float(roots_E.min()), float(roots_E.max())
    factor = (high - low) / (high + low)
    return Fastest((2 / (low + high)) ** 2, factor**2, factor)


def map_momentum(
    curvatures: ArrayLike, rates: Sequence[float], momenta: Sequence[float], *, steps: int = 1_000
) -> MomentumMap:
    """Compute the factor of each direction for each pair of rate and momentum, and simulate it.

    Args:
        curvatures: the eigenvalues λ of the Hessian, above 0.
        rates: η, each above 0.
        momenta: μ, each in [0, 1).
        steps: of each simulated trace; to tell a factor from 1, more than 1 / (1 − factor).

    Raises:
        UsageError: a value is out of range.

    Example:
        >>> found = map_momentum([1.0, 9.0], rates=[0.2, 0.25], momenta=[0.0, 0.25])
        >>> found.worst_HW.round(3).tolist(), found.gap < 0.01
        ([[0.8, 1.25], [0.685, 0.5]], True)
    """
    curvature_E = _curvatures(curvatures)
    rate_W = np.array([check_lr(rate) for rate in rates])
    momentum_H = np.array([_check_momentum(value) for value in momenta])
    steps = check_steps(steps, paths=len(curvature_E) * len(rate_W) * len(momentum_H))
    grid = curvature_E[:, None, None], rate_W, momentum_H[:, None]
    simulated_EHW = np.array(
        [[_simulate(curvature, rate_W, momentum, steps) for momentum in momentum_H] for curvature in curvature_E]
    )
    return MomentumMap(
        curvature_E,
        rate_W,
        momentum_H,
        steps,
        contraction(*grid),
        simulated_EHW,
        damping(*grid),
        fastest(curvature_E),
    )


def direction_errors(trace: Trace) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The distance from the origin along each eigenvector of the Hessian there.

    Args:
        trace: over a surface whose lowest point is the origin.

    Returns:
        The curvatures, the smaller first, and the distances at every position, shape (S + 1, 2).

    Example:
        >>> from thalweg import paths, surfaces
        >>> path = paths.trace(surfaces.get("valley"), "sgd", lr=0.1, steps=2, start=(1.0, 2.0))
        >>> curvature_2, error_S2 = direction_errors(path)
        >>> curvature_2.tolist(), error_S2.round(3).tolist()
        ([0.01, 10.0], [[1.0, 2.0], [0.999, 0.0], [0.998, 0.0]])
    """
    curvature_2, directions_22 = np.linalg.eigh(trace.surface.hessian(np.zeros(2)))
    return curvature_2, np.abs(trace.positions_S2 @ directions_22)


def _simulate(curvature: float, rate_W: NDArray[np.float64], momentum: float, steps: int) -> NDArray[np.float64]:
    """The factor of a step, measured on a trace along one eigenvector for each rate."""
    surface = parse(f"{float(curvature) / 2!r}*(x**2 + y**2)", window=((-1.0, 1.0), (-1.0, 1.0)))
    optimizer, start_2 = Momentum(momentum=float(momentum)), np.array([1.0, 0.0])
    records = (
        run_one(surface, optimizer, start_2, lr=rate, rate_S=np.full(steps, rate), noise_S2=None)[0][:, 0]
        for rate in rate_W.tolist()
    )
    error_WS = np.stack(list(records))
    # an error that ripples passes zero, but potential and kinetic energy together do not
    speed_WS = np.diff(error_WS, axis=1) / np.sqrt(curvature * rate_W)[:, None]
    return _slope(np.hypot(error_WS[:, 1:], speed_WS))


def _slope(size_WS: NDArray[np.float64]) -> NDArray[np.float64]:
    """The factor of a step that fits the later half of each row best, on a logarithmic scale."""
    known_WS = np.logical_and.accumulate(size_WS > _SMALLEST, axis=1)  # false for NaN
    count_W = known_WS.sum(axis=1)
    step_S = np.arange(size_WS.shape[1])
    used_WS = known_WS & (step_S >= count_W[:, None] // 2)
    log_WS = np.log(np.where(used_WS, size_WS, 1.0))
    used_W = np.maximum(used_WS.sum(axis=1), 1)
    away_WS = np.where(used_WS, step_S - ((used_WS * step_S).sum(axis=1) / used_W)[:, None], 0.0)
    spread_W = (away_WS**2).sum(axis=1)
    slope_W = (away_WS * log_WS).sum(axis=1) / np.where(spread_W > 0, spread_W, 1.0)
    return np.where(spread_W > 0, np.exp(slope_W), 0.0)  # the error was gone within three steps


def _curvatures(curvatures: ArrayLike) -> NDArray[np.float64]:
    curvature_E = np.atleast_1d(np.asarray(curvatures, dtype=np.float64)).ravel()
    wrong = curvature_E[~((curvature_E > 0) & np.isfinite(curvature_E))].tolist()
    if wrong or not len(curvature_E):
        raise UsageError("paths.bad_curvature", curvature=wrong[0] if wrong else curvatures)
    return np.sort(curvature_E)


def _check_momentum(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value < 1:
        raise UsageError("paths.bad_momentum", momentum=value)
    return float(value)
