"""The suggested learning rates suit the surface."""

import numpy as np
import pytest

from thalweg import optimizers, paths, surfaces
from thalweg.paths.rates import suggest_lr


BOUNDED = [name for name in surfaces.names() if name != "monkey_saddle"]  # which has no floor


@pytest.mark.parametrize("name", BOUNDED)
def test_descent_never_climbs(name):
    surface = surfaces.get(name)
    rule = optimizers.get("sgd")
    loss = paths.trace(surface, rule, lr=suggest_lr(surface, rule), steps=300).loss
    assert (np.diff(loss) <= 1e-12 * np.abs(loss[:-1]) + 1e-12).all()


@pytest.mark.parametrize("name", optimizers.names())
def test_every_rule_gets_somewhere_on_the_valley(name):
    surface = surfaces.get("valley")
    rule = optimizers.get(name)
    path = paths.trace(surface, rule, lr=suggest_lr(surface, rule), steps=20_000)
    assert path.last == 20_000
    assert path.loss.min() < 1e-3 * path.loss[0]


def test_the_rate_of_descent_is_a_share_of_the_inverse_curvature():
    rule = optimizers.get("sgd")
    for curvature in (0.5, 4.0, 250.0):
        surface = surfaces.parse(f"{curvature / 2}*(x**2 + y**2)")
        assert suggest_lr(surface, rule) == pytest.approx(1.8 / curvature, rel=0.05)


def test_a_plane_has_no_curvature_and_the_rule_its_default():
    rule = optimizers.get("sgd")
    assert suggest_lr(surfaces.parse("x + y"), rule) == rule.default_lr
