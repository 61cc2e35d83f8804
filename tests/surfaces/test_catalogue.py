"""The catalogue: its size, its parameters, and that each surface shows what it is there to show."""

import numpy as np
import pytest

from thalweg import paths, surfaces
from thalweg.errors import UnknownNameError, UsageError


def test_at_least_fourteen_sorted():
    assert len(surfaces.names()) >= 14
    assert list(surfaces.names()) == sorted(surfaces.names())


@pytest.mark.parametrize("name", surfaces.names())
def test_a_path_can_begin_at_its_start(name):
    surface = surfaces.get(name)
    (x0, x1), (y0, y1) = surface.window
    assert x0 < surface.start[0] < x1
    assert y0 < surface.start[1] < y1
    assert np.isfinite(surface.value(*surface.start))
    assert 0 < np.hypot(*surface.gradient(surface.start)) < np.inf


def test_the_valley_has_the_condition_number_it_is_given():
    for condition, angle in ((1000.0, 0.0), (1000.0, 0.05), (10.0, 0.7)):
        eigenvalues = np.linalg.eigvalsh(surfaces.get("valley", condition=condition, angle=angle).hessian([1.0, 1.0]))
        assert eigenvalues == pytest.approx([10.0 / condition, 10.0])


def test_rosenbrock_has_its_parameters():
    surface = surfaces.get("rosenbrock", a=2.0, b=5.0)
    assert surface.value(2.0, 4.0) == 0.0
    assert surface.value(0.0, 1.0) == 9.0


def test_softmax_is_the_lecture_s():
    """Three logits, the third −1000, the target is the first class."""
    x, y = np.random.default_rng(0).uniform(-10, 10, (2, 100))
    logits_N3 = np.column_stack([x, y, np.full(100, -1000.0)])
    exponentials_N3 = np.exp(logits_N3 - logits_N3.max(axis=1, keepdims=True))
    softmax_N3 = exponentials_N3 / exponentials_N3.sum(axis=1, keepdims=True)
    errors_N = ((softmax_N3 - [1, 0, 0]) ** 2).sum(axis=1)
    np.testing.assert_allclose(surfaces.get("softmax_mse").value(x, y), errors_N, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        surfaces.get("softmax_cross_entropy").value(x, y), -np.log(softmax_N3[:, 0]), rtol=1e-10, atol=1e-14
    )


def test_far_from_the_goal_squared_error_is_flat_where_cross_entropy_is_steep():
    far = (-9.0, 9.0)
    assert np.hypot(*surfaces.get("softmax_mse").gradient(far)) < 1e-6
    assert np.hypot(*surfaces.get("softmax_cross_entropy").gradient(far)) > 1.0


def test_the_cliff_has_one_huge_gradient():
    surface = surfaces.get("cliff")
    slope_N = np.abs(surface.gradient(np.column_stack([np.linspace(-4, 4, 801), np.zeros(801)]))[:, 0])
    assert slope_N.max() > 50 * np.median(slope_N)


@pytest.mark.slow
def test_along_the_turn_rmsprop_beats_adagrad_at_any_rate():
    surface = surfaces.get("turn")
    (goal,) = surface.critical_points
    rates = np.geomspace(1e-3, 3.0, 12)
    result = paths.sweep(surface, ["adagrad", "rmsprop"], rates, steps=2_000)
    distances = np.hypot(*(result.positions_OLP2[:, :, 0] - goal.position).transpose(2, 0, 1))
    assert distances[0].min() > 0.5
    assert distances[1].min() < 0.05
    assert (distances[1] < distances[0]).all()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("valley", {"condition": 0.0}), ("valley", {"condition": float("nan")}), ("valley", {"angle": float("inf")})],
)
def test_bad_parameters_are_refused(name, parameters):
    with pytest.raises(UsageError, match="valley"):
        surfaces.get(name, **parameters)


def test_unknown_names_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="rosenbrock"):
        surfaces.get("rosenbrok")
    with pytest.raises(UnknownNameError, match="condition"):
        surfaces.get("valley", conditions=3)
