"""Critical points: where the gradient vanishes, and of which kind each is.

Newton's method on ∇f = 0 runs from a grid of starts over the window, all at once. The points that it finds are merged,
refined to the last digit, and classified by the eigenvalues of the exact Hessian.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

Kind = Literal["minimum", "maximum", "saddle", "degenerate"]

STARTS = 40
"""Newton's method starts at this many places along each side of the window."""
ROUNDS = 120
"""Newton's steps from each: at a degenerate point they only halve the distance."""
SETTLED = 1e-9
"""A start has arrived if its last step was shorter than this share of the window."""
MERGE = 1e-4
"""Arrivals closer to each other than this share of the window are one point."""
FLAT = 1e-7
"""An eigenvalue counts as zero below this share of the other one, or of the median curvature over the window."""
CHAIN = 0.05
"""Degenerate points with gaps below this share of the window form one curve."""
CIRCLE = 1e-3
"""Radius, as a share of the window, of the circle on which a way down from a degenerate point is searched."""


@dataclass(frozen=True)
class CriticalPoint:
    """A point where the gradient vanishes.

    Args:
        position: (x, y).
        value: f there.
        kind: `minimum` when both eigenvalues are positive, `maximum` when both are negative, `saddle` when they
            differ in sign, `degenerate` when one is zero, so that the Hessian does not decide.
        eigenvalues: of the Hessian, the lowest first.
        escape: unit vector along which f falls fastest: the eigenvector of the lowest eigenvalue, or at a degenerate
            point the direction in which f is lowest on a small circle; `None` where no direction leads down.
    """

    position: tuple[float, float]
    value: float
    kind: Kind
    eigenvalues: tuple[float, float]
    escape: tuple[float, float] | None


class Differentiable(Protocol):
    """A function of two weights with exact derivatives: a `Surface`."""

    @property
    def window(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """((x0, x1), (y0, y1)), searched for critical points."""
        ...

    def value(self, x: ArrayLike, y: ArrayLike) -> NDArray[np.float64]:
        """The function at points of any shape."""
        ...

    def gradient(self, xy_N2: ArrayLike) -> NDArray[np.float64]:
        """∇f at points of shape (..., 2)."""
        ...

    def hessian(self, xy_N2: ArrayLike) -> NDArray[np.float64]:
        """Second derivatives at points of shape (..., 2)."""
        ...


def find(surface: Differentiable) -> tuple[CriticalPoint, ...]:
    """Find the critical points inside the surface's window, the lowest first.

    If they form a curve (as the minima of `(1 - x*y)**2`), one point represents each piece of it.

    Example:
        >>> from thalweg import surfaces
        >>> [point.kind for point in surfaces.get("toy_network").critical_points]
        ['degenerate', 'degenerate', 'saddle']
        >>> surfaces.get("saddle").critical_points[-1].escape
        (0.0, 1.0)
    """
    grid_N2 = _grid(surface)
    curvature = _median_curvature(surface, grid_N2)
    points = [_classify(surface, xy_2, curvature) for xy_2 in _merge(surface, _newton(surface, grid_N2))]
    return tuple(sorted(_thin_out(surface, points), key=lambda point: (point.value, point.position)))


def _grid(surface: Differentiable) -> NDArray[np.float64]:
    """The centers of a grid of cells over the window: off its axes, where Newton's steps may be undefined."""
    share = (np.arange(STARTS) + 0.5) / STARTS
    x, y = (low + (high - low) * share for low, high in surface.window)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def _newton(surface: Differentiable, xy_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points inside the window where Newton's method on ∇f = 0 arrives; singular Hessians take the least step."""
    slopes_N = np.hypot(*surface.gradient(xy_N2).T)
    nothing = 1e-12 * float(np.median(slopes_N[np.isfinite(slopes_N)])) if np.isfinite(slopes_N).any() else 0.0
    low_2, high_2 = np.array(surface.window).T
    size_2 = high_2 - low_2
    arrived = []
    for _ in range(ROUNDS):
        step_N2 = _newton_steps(surface, xy_N2, nothing)
        xy_N2 = xy_N2 - step_N2
        done_N = np.asarray(np.abs(step_N2 / size_2).max(axis=1) < SETTLED)
        inside_N = _within(xy_N2, low_2 - size_2, high_2 + size_2)
        arrived.append(xy_N2[inside_N & done_N])
        xy_N2 = xy_N2[inside_N & ~done_N]
        if not len(xy_N2):
            break
    found_N2 = np.concatenate(arrived)
    found_N2 = found_N2[_within(found_N2, low_2 - MERGE * size_2, high_2 + MERGE * size_2)]
    return found_N2[np.isfinite(surface.hessian(found_N2)).all(axis=(1, 2))]


def _within(xy_N2: NDArray[np.float64], low_2: NDArray[np.float64], high_2: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points lie in a box; NaN does not."""
    return np.asarray(np.all((xy_N2 >= low_2) & (xy_N2 <= high_2), axis=1))


def _newton_steps(surface: Differentiable, xy_N2: NDArray[np.float64], nothing: float) -> NDArray[np.float64]:
    """H⁺ ∇f at each point; NaN where more than `nothing` of the gradient lies along a direction without curvature."""
    gradient_N2, hessian_N22 = surface.gradient(xy_N2), surface.hessian(xy_N2)
    known_N = np.asarray(np.isfinite(np.column_stack([gradient_N2, hessian_N22.reshape(-1, 4)])).all(axis=1))
    eigenvalues_N2, vectors_N22 = np.linalg.eigh(np.where(known_N[:, None, None], hessian_N22, 0.0))
    along_N2 = np.einsum("nij,ni->nj", vectors_N22, gradient_N2)
    size_N2 = np.abs(eigenvalues_N2)
    curved_N2 = size_N2 > 1e-12 * size_N2.max(axis=1, keepdims=True)
    level_N2 = np.abs(along_N2) <= np.maximum(1e-9 * np.abs(along_N2).max(axis=1, keepdims=True), nothing)
    step_N2 = np.where(curved_N2, along_N2 / np.where(curved_N2, eigenvalues_N2, 1.0), np.where(level_N2, 0.0, np.nan))
    return np.einsum("nij,nj->ni", vectors_N22, step_N2)


def _median_curvature(surface: Differentiable, xy_N2: NDArray[np.float64]) -> float:
    hessian_N22 = surface.hessian(xy_N2)
    largest_N = np.abs(hessian_N22[np.isfinite(hessian_N22).all(axis=(1, 2))]).max(axis=(1, 2), initial=0.0)
    return float(np.median(largest_N)) if len(largest_N) else 0.0


def _merge(surface: Differentiable, xy_N2: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """One of each cluster of arrivals: the one with the smallest gradient."""
    size_2 = np.ptp(surface.window, axis=1)
    kept: list[NDArray[np.float64]] = []
    for xy_2 in xy_N2[np.argsort(np.hypot(*surface.gradient(xy_N2).T))]:
        if not kept or (np.abs((np.array(kept) - xy_2) / size_2).max(axis=1) > MERGE).all():
            kept.append(np.where(np.abs(xy_2) > SETTLED * size_2, xy_2, 0.0))
    return kept


def _classify(surface: Differentiable, xy_2: NDArray[np.float64], curvature: float) -> CriticalPoint:
    eigenvalues_2, vectors_22 = np.linalg.eigh(surface.hessian(xy_2))
    low, high = (float(value) for value in eigenvalues_2)
    kind: Kind
    smaller, larger = sorted((abs(low), abs(high)))
    if smaller <= FLAT * larger or larger <= FLAT * curvature:
        kind, escape = "degenerate", _steepest_fall(surface, xy_2)
    elif low > 0:
        kind, escape = "minimum", None
    else:
        kind, escape = ("maximum" if high < 0 else "saddle"), vectors_22[:, 0]
    return CriticalPoint(
        position=_pair(xy_2),
        value=float(surface.value(*xy_2)),
        kind=kind,
        eigenvalues=(low, high),
        escape=None if escape is None else _pair(escape * (np.sign(escape[np.abs(escape).argmax()]))),
    )


def _steepest_fall(surface: Differentiable, xy_2: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """The direction in which f is lowest on a small circle; `None` if it is nowhere lower than at the center."""
    angle_N = np.linspace(0.0, 2 * np.pi, 360, endpoint=False)
    circle_N2 = np.stack([np.cos(angle_N), np.sin(angle_N)], axis=1)
    radius = CIRCLE * np.ptp(surface.window, axis=1).min()
    rise_N = surface.value(*(xy_2 + radius * circle_N2).T) - surface.value(*xy_2)
    if np.isnan(rise_N).all() or np.nanmin(rise_N) >= -1e-6 * np.nanmax(np.abs(rise_N)):
        return None
    return circle_N2[np.nanargmin(rise_N)]


def _thin_out(surface: Differentiable, points: list[CriticalPoint]) -> list[CriticalPoint]:
    """If degenerate points form a curve, keep of each piece the point nearest to the window's center."""
    isolated = [point for point in points if point.kind != "degenerate"]
    waiting = [point for point in points if point.kind == "degenerate"]
    low_2, high_2 = np.array(surface.window).T
    while waiting:
        piece, waiting = _connected(waiting, CHAIN * (high_2 - low_2))
        isolated.append(min(piece, key=lambda point: float(np.hypot(*(point.position - (low_2 + high_2) / 2)))))
    return isolated


def _connected(
    points: list[CriticalPoint], reach_2: NDArray[np.float64]
) -> tuple[list[CriticalPoint], list[CriticalPoint]]:
    """The points connected to the first one by gaps within reach, and the rest."""
    position_N2 = np.array([point.position for point in points])
    reached_N = np.zeros(len(points), dtype=bool)
    fresh = [0]
    while fresh:
        reached_N[fresh] = True
        gaps_FN2 = np.abs(position_N2[fresh, None] - position_N2[None])
        fresh = np.flatnonzero((gaps_FN2 <= reach_2).all(axis=2).any(axis=0) & ~reached_N).tolist()
    piece = [point for point, inside in zip(points, reached_N, strict=True) if inside]
    return piece, [point for point, inside in zip(points, reached_N, strict=True) if not inside]


def _pair(vector_2: NDArray[np.float64]) -> tuple[float, float]:
    x, y = (vector_2 + 0.0).tolist()  # + 0.0 makes −0.0 plain
    return x, y
