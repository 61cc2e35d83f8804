"""The points of the plane, and the part of it that is shown."""

import pytest

from thalweg.playground.points import points_of
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
