"""A learning rate to begin with, for any rule on any surface: torch.optim's defaults are meant for networks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np


if TYPE_CHECKING:
    from thalweg.optimizers import Rule
    from thalweg.surfaces import Surface

GRID: Final = 61
"""Points along each side of the window at which curvature is looked at."""

_OF_CURVATURE: Final = {"sgd": 1.8, "momentum": 0.45, "nesterov": 0.45}
"""η · largest curvature, for rules whose step grows with the gradient; plain descent is stable below 2."""

_OF_WINDOW: Final = {"adagrad": 1 / 20, "lion": 1 / 2000, "sign_sgd": 1 / 2000}
"""η / the window's longer side, for rules that normalize: adagrad's steps shrink, those of signs never do."""

_OF_WINDOW_ELSE: Final = 1 / 400


def suggest_lr(surface: Surface, rule: Rule, *, start: tuple[float, float] | None = None) -> float:
    """A learning rate with which the rule neither crawls nor leaps, to two digits.

    A rule that normalizes its steps gets a share of the window. One that does not gets a share of 1/L, where L is the
    largest curvature met below the start's height: descent at less than 2/L never climbs out of there (Nesterov,
    "Introductory Lectures on Convex Optimization", 2004, section 1.2.3). Adadelta, which has units of its own, keeps
    torch.optim's 1.

    Args:
        surface: any.
        rule: any.
        start: (x, y); the surface's own when not given.

    Example:
        >>> from thalweg import optimizers, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> [suggest_lr(bowl, optimizers.get(name)) for name in ("sgd", "adagrad", "adam")]
        [1.8, 0.3, 0.015]
    """
    if rule.name == "adadelta":
        return rule.default_lr
    if rule.name in _OF_CURVATURE:
        curvature = _largest_curvature(surface, surface.start if start is None else start)
        return _two_digits(_OF_CURVATURE[rule.name] / curvature) if curvature else rule.default_lr
    side = max(high - low for low, high in surface.window)
    return _two_digits(side * _OF_WINDOW.get(rule.name, _OF_WINDOW_ELSE))


def _largest_curvature(surface: Surface, start: tuple[float, float]) -> float:
    """The largest eigenvalue of the Hessian, by size, at points of the window no higher than the start."""
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
