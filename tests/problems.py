"""The table that most tests of the lab run over: surfaces, starts, and learning rates that suit them."""

from __future__ import annotations

from typing import NamedTuple

from thalweg import surfaces


class Problem(NamedTuple):
    """A surface with three starts.

    Args:
        surface: the surface.
        starts: three points away from its critical points and from its lines of symmetry.
        lr_of_slope: a learning rate for optimizers whose step grows with the gradient: below 1 / the curvature met.
        lr_of_length: a learning rate for optimizers that divide by the gradient's size: a small part of the window.
    """

    surface: surfaces.Surface
    starts: tuple[tuple[float, float], ...]
    lr_of_slope: float
    lr_of_length: float


PROBLEMS = {
    "valley": Problem(
        surfaces.get("valley", condition=50.0, angle=0.3), ((-8.0, 2.0), (3.0, -1.5), (1.0, 0.5)), 0.02, 0.001
    ),
    "himmelblau": Problem(surfaces.get("himmelblau"), ((-0.5, -1.0), (1.0, 1.5), (-4.0, 4.0)), 0.002, 0.001),
    "rosenbrock": Problem(surfaces.get("rosenbrock"), ((-1.2, 1.0), (0.5, -0.5), (1.5, 2.5)), 0.0002, 0.0005),
    "styblinski_tang": Problem(surfaces.get("styblinski_tang"), ((0.5, 1.5), (-4.0, 3.0), (4.0, -1.0)), 0.002, 0.001),
    "plateau": Problem(surfaces.get("plateau"), ((3.2, 2.4), (-1.0, 2.0), (0.5, -0.3)), 0.1, 0.0003),
}

BY_SLOPE = frozenset({"sgd", "momentum", "nesterov"})
"""The optimizers that take `lr_of_slope`."""


def lr_for(problem: Problem, optimizer: str) -> float:
    """The learning rate with which an optimizer walks a problem without drama."""
    return problem.lr_of_slope if optimizer in BY_SLOPE else problem.lr_of_length
