"""Charts of lines: ticks are round, lines break where a value is missing, everything stays inside."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest

from thalweg.notebooks.chart import HEIGHT, WIDTH, Axis, Line, chart, ticks


@pytest.mark.parametrize(
    ("low", "high", "scale"),
    [(0, 1, "linear"), (-3.7, 1e6, "linear"), (2.301, 2.304, "linear"), (1e-24, 10, "log"), (0.3, 9, "log")],
)
def test_ticks_are_round_inside_and_few(low, high, scale):
    found = ticks(low, high, scale=scale)
    assert all(low - 1e-9 * abs(low) <= value <= high for value in found)
    assert found == sorted(set(found))
    assert len(found) <= 8
    if scale == "linear":
        steps = {f"{later - earlier:.3g}" for earlier, later in pairwise(found)}
        assert len(steps) == 1
        assert f"{float(steps.pop()):e}"[0] in "125"
    else:
        assert {f"{value:e}"[0] for value in found} <= set("125")


def points(svg):
    return [
        [tuple(map(float, point.split(","))) for point in line.split()]
        for line in re.findall(r'<polyline points="([^"]*)"', svg)
    ]


def test_a_line_breaks_where_a_value_is_missing():
    svg = chart("", [Line("", range(6), [1, 2, math.nan, 3, math.inf, 1])], Axis(), Axis(low=0, high=4))
    assert [len(piece) for piece in points(svg)] == [2]
    svg = chart("", [Line("", range(6), [1, 2, math.nan, 3, 2, 1])], Axis(), Axis(low=0, high=4))
    assert [len(piece) for piece in points(svg)] == [2, 3]


@pytest.mark.parametrize("values", [[], [math.nan], [5.0], [0.0, 0.0], [-1e308, 1e308], [1e-320, 1.0], [-1.0, 2.0]])
@pytest.mark.parametrize("scale", ["linear", "log"])
def test_whatever_the_values_the_chart_stays_in_its_frame(values, scale):
    svg = chart("title", [Line("a", range(len(values)), values)], Axis("x"), Axis("y", scale=scale))
    assert "nan" not in svg
    assert "inf" not in svg
    for x, y in (point for piece in points(svg) for point in piece):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_long_line_is_short_to_send_and_keeps_its_extremes():
    values = np.random.default_rng(0).normal(size=100_000)
    values[70_000] = 40.0
    svg = chart("", [Line("", np.arange(100_000), values)], Axis(), Axis(high=40.0))
    assert len(svg) < 12_000
    assert min(y for piece in points(svg) for _, y in piece) == pytest.approx(26, abs=0.1)  # the top of the frame
