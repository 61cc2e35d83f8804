"""The points of the plane, and the part of it that is shown."""

import numpy as np
import pytest

from thalweg.errors import UsageError
from thalweg.playground.points import photo_points, points_of
from thalweg.playground.settings import Settings


@pytest.mark.parametrize(
    ("far", "window"),
    [(0.1, (-1.56, 1.56, -1.56, 1.56)), (6.0, (-1.2 - 1.08, 6 + 1.08, -3.6 - 1.08, 3.6 + 1.08))],
    ids=["room around few points", "all points"],
)
def test_one_can_draw_beyond_the_points_that_are_there(far, window):
    drawn = ((0.0, 0.0, 0), (0.1, 0.0, 1), (0.0, 0.1, 0), (far, 0.0, 1))
    assert points_of(Settings(points="drawn", drawn=drawn)).window == pytest.approx(window, abs=1e-6)


def test_a_shape_fills_its_window():
    points = points_of(Settings(points="moons"))
    left, right, low, high = points.window
    assert right - left == pytest.approx(high - low)
    extent = max(points.inputs_N2.max(axis=0) - points.inputs_N2.min(axis=0))
    assert right - left == pytest.approx(1.3 * extent)


ODD = np.random.default_rng(0).uniform(0, 1, 64)


@pytest.mark.parametrize(
    "features_NF",
    [
        np.tile(ODD, (30, 1)),
        np.tile(np.float32(ODD), (30, 1)) * np.where(np.arange(30) % 2, np.float32(1), np.float32(1 + 1.2e-7))[:, None],
        ODD + np.outer(np.arange(30.0), ODD),
    ],
    ids=["same", "same up to rounding", "along one line"],
)
def test_photos_alike_up_to_rounding_have_no_two_components(features_NF):
    with pytest.raises(UsageError, match="alike"):
        photo_points(features_NF, np.arange(30) % 2, ("a", "b"))


def test_photos_that_differ_a_little_have_two_components():
    features_NF = ODD + 1e-4 * np.random.default_rng(1).normal(size=(30, 64))
    found = photo_points(np.float32(features_NF), np.arange(30) % 2, ("a", "b"))
    assert found.inputs_N2.std(axis=0) == pytest.approx(1, abs=1e-3)
