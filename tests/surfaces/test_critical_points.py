"""Critical points against the literature, and their kinds against what the surface does around them."""

from collections import Counter

import numpy as np
import pytest

from thalweg import surfaces


# Position, value, kind, to the digits that are published. Himmelblau, 1972, Applied Nonlinear Programming; six-hump
# camel: Dixon, Szegö, 1978; Styblinski, Tang, 1990; Beale and Rosenbrock: Moré, Garbow, Hillstrom, 1981.
LITERATURE = {
    "beale": [((3.0, 0.5), 0.0, "minimum"), ((0.0, 1.0), 14.203125, "saddle")],
    "bowl": [((0.0, 0.0), 0.0, "minimum")],
    "cliff": [((-2.0, 0.0), 0.0, "minimum")],
    "himmelblau": [
        ((3.0, 2.0), 0.0, "minimum"),
        ((-2.805118, 3.131312), 0.0, "minimum"),
        ((-3.779310, -3.283186), 0.0, "minimum"),
        ((3.584428, -1.848126), 0.0, "minimum"),
        ((-0.270845, -0.923039), 181.617, "maximum"),
        ((-3.073026, -0.081353), 104.015, "saddle"),
        ((-0.127961, -1.953715), 178.337, "saddle"),
        ((0.086678, 2.884255), 67.719, "saddle"),
        ((3.385154, 0.073852), 13.312, "saddle"),
    ],
    "monkey_saddle": [((0.0, 0.0), 0.0, "degenerate")],
    "plateau": [((0.0, 0.0), 0.0, "minimum")],
    "rosenbrock": [((1.0, 1.0), 0.0, "minimum")],
    "saddle": [
        ((0.0, 0.0), 0.0, "saddle"),
        ((0.0, 5**0.5), -1.25, "minimum"),
        ((0.0, -(5**0.5)), -1.25, "minimum"),
    ],
    "six_hump_camel": [
        ((0.089842, -0.712656), -1.031628, "minimum"),
        ((-0.089842, 0.712656), -1.031628, "minimum"),
        ((1.703607, -0.796084), -0.215464, "minimum"),
        ((-1.703607, 0.796084), -0.215464, "minimum"),
        ((1.607105, 0.568651), 2.104250, "minimum"),
        ((-1.607105, -0.568651), 2.104250, "minimum"),
        ((0.0, 0.0), 0.0, "saddle"),
    ],
    "styblinski_tang": [
        ((-2.903534, -2.903534), -78.332331, "minimum"),
    ],
    "toy_network": [
        ((0.0, 0.0), 1.0, "saddle"),
        ((1.0, 1.0), 0.0, "degenerate"),
        ((-1.0, -1.0), 0.0, "degenerate"),
    ],
    "valley": [((0.0, 0.0), 0.0, "minimum")],
}

COUNTS = {
    "beale": {"minimum": 1, "saddle": 2},
    "himmelblau": {"minimum": 4, "maximum": 1, "saddle": 4},
    "rastrigin": {"minimum": 121, "maximum": 100, "saddle": 220},
    "six_hump_camel": {"minimum": 6, "maximum": 2, "saddle": 7},
    "softmax_cross_entropy": {},
    "softmax_mse": {},
    "styblinski_tang": {"minimum": 4, "maximum": 1, "saddle": 4},
    "toy_network": {"saddle": 1, "degenerate": 2},
    "turn": {"minimum": 1},
}


@pytest.mark.parametrize("name", LITERATURE)
def test_the_points_of_the_literature_are_found(name):
    found = surfaces.get(name).critical_points
    for position, value, kind in LITERATURE[name]:
        point = min(found, key=lambda point: np.hypot(*np.subtract(point.position, position)))
        np.testing.assert_allclose(point.position, position, atol=2e-6)
        assert point.value == pytest.approx(value, abs=5e-4)
        assert point.kind == kind


@pytest.mark.parametrize("name", COUNTS)
def test_and_no_others(name):
    assert Counter(point.kind for point in surfaces.get(name).critical_points) == COUNTS[name]


@pytest.mark.parametrize("name", [name for name in surfaces.names() if name != "rastrigin"])
def test_a_point_is_what_the_surface_does_around_it(name):
    surface = surfaces.get(name)
    angle_N = np.linspace(0, 2 * np.pi, 721)
    circle_N2 = 1e-4 * np.column_stack([np.cos(angle_N), np.sin(angle_N)])
    for point in surface.critical_points:
        rise_N = surface.value(*(circle_N2 + point.position).T) - point.value
        size = np.abs(rise_N).max()
        if point.kind in {"minimum", "maximum"}:
            assert (np.sign(rise_N) == (1 if point.kind == "minimum" else -1)).all()
        if point.escape is None:
            assert point.kind == "minimum" or rise_N.min() > -1e-6 * size
        else:
            assert np.hypot(*point.escape) == pytest.approx(1.0)
            ahead = surface.value(*(np.add(point.position, 1e-4 * np.array(point.escape))))
            assert ahead - point.value == pytest.approx(rise_N.min(), rel=1e-2)


def test_styblinski_tang_has_its_points_where_the_cubic_has_its_roots():
    """The surface is a sum over coordinates, so they are the pairs of the roots of 2 x³ − 16 x + 5/2."""
    roots = np.roots([2.0, 0.0, -16.0, 2.5])
    expected = {(round(x, 9), round(y, 9)) for x in roots for y in roots}
    found = surfaces.get("styblinski_tang").critical_points
    assert {(round(x, 9), round(y, 9)) for x, y in (point.position for point in found)} == expected


def test_the_saddle_of_the_toy_network():
    saddle = surfaces.get("toy_network").critical_points[-1]
    assert saddle.eigenvalues == pytest.approx((-2.0, 2.0))
    assert saddle.escape == pytest.approx((0.5**0.5, 0.5**0.5))


@pytest.mark.parametrize(
    ("formula", "kinds"),
    [
        ("x + y", []),
        ("x**2", ["degenerate"]),
        ("1", ["degenerate"]),
        ("x**4 + y**4", ["degenerate"]),
        ("x**2 - y**3", ["degenerate"]),
        ("-x**2 - y**2", ["maximum"]),
        ("x*y", ["saddle"]),
        ("1/(x**2 + y**2)", []),
        ("log(x) + log(y)", []),
        ("exp(-x) + y**2", []),
        ("1e-8*(x**2 + y**2)", ["minimum"]),
        ("1e8*(x**2 + y**2)", ["minimum"]),
    ],
)
def test_typed_formulas(formula, kinds):
    assert [point.kind for point in surfaces.parse(formula).critical_points] == kinds


def test_escape_from_a_degenerate_point_leads_down():
    assert surfaces.parse("x**2 - y**3").critical_points[0].escape == pytest.approx((0.0, 1.0))
    assert surfaces.parse("x**2 + y**4").critical_points[0].escape is None
