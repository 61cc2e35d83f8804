"""The suggested learning rates suit the surface."""

import numpy as np
import pytest

from thalweg import optimizers, paths, surfaces
from thalweg.paths.rates import suggest_lr


BOUNDED = [name for name in surfaces.names() if name != "monkey_saddle"]  # which has no floor


@pytest.mark.parametrize("name", BOUNDED)
def test_descent_never_climbs(name):
    surface = surfaces.get(name)
    optimizer = optimizers.get("sgd")
    loss = paths.trace(surface, optimizer, lr=suggest_lr(surface, optimizer), steps=300).loss
    assert (np.diff(loss) <= 1e-12 * np.abs(loss[:-1]) + 1e-12).all()


@pytest.mark.parametrize("name", optimizers.names())
def test_every_optimizer_gets_somewhere_on_the_valley(name):
    surface = surfaces.get("valley")
    optimizer = optimizers.get(name)
    path = paths.trace(surface, optimizer, lr=suggest_lr(surface, optimizer), steps=20_000)
    assert path.last == 20_000
    assert path.loss.min() < 1e-3 * path.loss[0]


def test_the_rate_of_descent_is_a_share_of_the_inverse_curvature():
    optimizer = optimizers.get("sgd")
    for curvature in (0.5, 4.0, 250.0):
        surface = surfaces.parse(f"{curvature / 2}*(x**2 + y**2)")
        assert suggest_lr(surface, optimizer) == pytest.approx(1.8 / curvature, rel=0.05)


def test_a_plane_has_no_curvature_and_the_optimizer_its_default():
    optimizer = optimizers.get("sgd")
    assert suggest_lr(surfaces.parse("x + y"), optimizer) == optimizer.default_lr
