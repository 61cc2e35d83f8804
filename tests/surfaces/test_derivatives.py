"""Value, gradient and Hessian of every surface, against torch.func and against finite differences."""

import numpy as np
import pytest
import torch
from matplotlib.mathtext import MathTextParser

from thalweg import surfaces


SCOPE = {
    **{name: getattr(torch, name) for name in ("exp", "log", "cos", "sin", "sqrt", "sigmoid")},
    "pi": np.pi,
    "e": np.e,
}

FORMULAS = {
    **{name: surfaces.get(name) for name in surfaces.names()},
    "turned valley": surfaces.get("valley", condition=300.0, angle=0.4),
    "quotient": surfaces.parse("(x**3 - y)/(1 + x**2 + y**2)", window=((-2, 2), (-2, 2))),
    "logarithm": surfaces.parse("log(1 + x**2*y**4) + sqrt(2 + sin(x*y))"),
    "powers": surfaces.parse("(x**2 + y**2 + 0.5)**1.7 * exp(-x**2/4) + (1 + x**2)**(-1.5)"),
}


def points_of(surface, count=200):
    low, high = np.array(surface.window).T
    return np.random.default_rng(0).uniform(low, high, (count, 2))


def in_torch(surface, xy_2):
    """The surface at one point, by torch; `w1` and `w2` are other names of x and y, and its exp takes tensors only."""
    x, y = xy_2
    formula = surface.formula.replace("exp(-1000)", "0.0")  # what it is in float64
    return eval(formula, SCOPE, {"x": x, "y": y, "w1": x, "w2": y})  # noqa: S307 - formulas of the table above


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")  # torch.func itself uses it
@pytest.mark.parametrize("name", FORMULAS)
def test_equals_torch(name):
    surface = FORMULAS[name]
    xy_N2 = points_of(surface)
    points_N2 = torch.from_numpy(xy_N2)

    def value(xy_2):
        return in_torch(surface, xy_2)

    expected = (
        torch.func.vmap(value)(points_N2),
        torch.func.vmap(torch.func.grad(value))(points_N2),
        torch.func.vmap(torch.func.hessian(value))(points_N2),
    )
    for got, wanted in zip(
        (surface.value(*xy_N2.T), surface.gradient(xy_N2), surface.hessian(xy_N2)), expected, strict=True
    ):
        scale = float(wanted.abs().max())
        np.testing.assert_allclose(got, wanted.numpy(), rtol=1e-11, atol=1e-13 * scale)


@pytest.mark.parametrize("name", FORMULAS)
def test_derivatives_are_the_slopes_of_what_they_derive(name):
    surface = FORMULAS[name]
    xy_N2 = points_of(surface, 50)
    step = 1e-6
    for axis in (0, 1):
        shift_2 = step * np.eye(2)[axis]
        ahead_N2, behind_N2 = xy_N2 + shift_2, xy_N2 - shift_2
        slope_N = (surface.value(*ahead_N2.T) - surface.value(*behind_N2.T)) / (2 * step)
        curvature_N2 = (surface.gradient(ahead_N2) - surface.gradient(behind_N2)) / (2 * step)
        value_scale = np.abs(surface.value(*xy_N2.T)).max()
        slope_scale = np.abs(surface.gradient(xy_N2)).max()
        np.testing.assert_allclose(surface.gradient(xy_N2)[:, axis], slope_N, rtol=1e-5, atol=1e-8 * value_scale)
        np.testing.assert_allclose(surface.hessian(xy_N2)[:, axis], curvature_N2, rtol=1e-5, atol=1e-8 * slope_scale)


def test_a_kink_has_a_slope_on_either_side():
    surface = surfaces.parse("abs(x) + y**2")
    assert surface.gradient([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])[:, 0].tolist() == [-1.0, 0.0, 1.0]
    assert surface.hessian([2.0, 1.0]).tolist() == [[0.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize(
    ("formula", "latex"),
    [
        ("0.01*x**2 + 10*y**2", r"0.01 \, x^{2} + 10 \, y^{2}"),
        ("(1 - w1*w2)**2", r"\left(1 - w_1 \, w_2\right)^{2}"),
        ("x - (y - 1) - -x", r"x - \left(y - 1\right) - \left(-x\right)"),
        ("-(-x) - (x - y)*-2/x", r"-\left(-x\right) - \frac{\left(x - y\right) \, \left(-2\right)}{x}"),
        ("-x**2*3", r"-x^{2} \times 3"),
        ("2*3**x", r"2 \times 3^{x}"),
        ("(x*y)**-0.5/pi", r"\frac{\left(x \, y\right)^{-0.5}}{\pi}"),
        ("abs(x) + sqrt(exp(y)) - sigmoid(asin(x))",
         r"\left|x\right| + \sqrt{e^{y}} - \operatorname{sigmoid}\left(\arcsin\left(x\right)\right)"),
    ],
)  # fmt: skip
def test_latex_reads_as_it_was_typed(formula, latex):
    assert surfaces.parse(formula).latex == latex


@pytest.mark.parametrize("name", FORMULAS)
def test_matplotlib_can_draw_the_latex(name):
    MathTextParser("path").parse(f"${FORMULAS[name].latex}$")
