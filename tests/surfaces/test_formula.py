"""What a person may type, and what gets a sentence with the place marked."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from thalweg import surfaces
from thalweg.errors import ThalwegError, UsageError
from thalweg.i18n import set_language
from thalweg.surfaces import syntax


def caret_of(error):
    """The index that the caret of a message points at, or None."""
    lines = str(error.value).splitlines()
    return lines[-1].index("^") - 2 if lines[-1].strip() == "^" else None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("import os", 0),
        ("__import__('os')", 0),
        ("x**2 + z", 7),
        ("x + xy", 4),
        ("x + os.system", 4),
        ("2x + y", 0),
        ("(x + y", 0),
        ("x + )", 4),
        ("x +", 3),
        ("x = 2", 2),
        ("x + 'a'", 4),
        ("x # y", 2),
        ("x[0]", 1),
        ("lambda: x", 6),
        ("x if y else x", 0),
        ("x and y", 0),
        ("x, y", 0),
        ("x // y", 0),
        ("True + x", 0),
        ("x + 2j", 4),
        ("sine(x)", 0),
        ("x + sin", 4),
        ("sin(x, y)", 0),
        ("x(2)", 0),
        ("exp(x)(y)", 0),
        ("x**9**9", 3),
        ("9**9**9**9", 3),
        ("((x**9)**9)**9 + (((x**9)**9)**9)**9", 23),
        ("x**100", 3),
        ("x^100", 2),
        ("x^2 + q", 6),
        ("  x + q", 6),
        ("1e999*x", 0),
        ("x/0", 0),
        ("x + 1/(2 - 2)", 4),
        ("sqrt(-1)*x", 0),
        ("log(-2) + x", 0),
        ("log(0) + x", 0),
        ("x + ｙ", 4),
        ("x²", 1),
        ("x\n+ y", 1),
    ],
)
def test_a_text_that_is_no_formula_is_refused_with_the_place_marked(text, place):
    with pytest.raises(UsageError) as error:
        surfaces.parse(text).value(0.5, 0.5)
    assert error.value.exit_code == 2
    assert caret_of(error) == place


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "+".join(["x"] * 10_000),
        "(" * 900 + "x" + ")" * 900,
        "-" * 1_900 + "x",
        "sin(" * 300 + "x" + ")" * 300,
        "+".join(["x*y"] * 150),
        "*".join([f"(x+{n})" for n in range(130)]),
        "9" * 1_999,
    ],
)
def test_a_formula_past_a_limit_is_refused_at_once(text):
    begun = time.process_time()
    with pytest.raises(UsageError, match=r".{15}"):
        surfaces.parse(text).hessian([0.5, 0.5])
    assert time.process_time() - begun < 5  # not a benchmark: without the limits some of these never end


def test_every_refusal_is_said_in_both_languages():
    for text in ("import os", "x + z", "x**9**9", "sine(x)", "1/0"):
        sentences = []
        for language in ("en", "zh-CN"):
            set_language(language)
            with pytest.raises(UsageError) as error:
                surfaces.parse(text).value(1, 1)
            sentences.append(str(error.value))
        assert sentences[0] != sentences[1]


@given(st.text(alphabet="xyw12.09e+-*/^() ,sincoexplgqrt_[]'\"\\:;=@!%&|~#", max_size=40))
def test_no_text_does_more_than_become_a_surface_or_a_sentence(text):
    try:
        formula = syntax.canonical(syntax.check(text))
    except ThalwegError:
        return
    assert syntax.canonical(syntax.check(formula)) == formula


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x^2 + y", lambda x, y: x**2 + y),
        ("w1*w2 - pi*e", lambda x, y: x * y - np.pi * np.e),
        ("-x**2*y", lambda x, y: -(x**2) * y),
        ("2**-x*y", lambda x, y: 2.0**-x * y),
        ("x**y", lambda x, y: x**y),
        ("(x + 1)**2.5 / y**3", lambda x, y: (x + 1) ** 2.5 / y**3),
        ("1/sqrt(x) + y**-0.5", lambda x, y: 1 / np.sqrt(x) + y**-0.5),
        ("sigmoid(x) + tanh(y) - ln(x)", lambda x, y: 1 / (1 + np.exp(-x)) + np.tanh(y) - np.log(x)),
        ("abs(x - y) + asin(x/9) + acos(y/9) + atan(x*y)",
         lambda x, y: abs(x - y) + np.arcsin(x / 9) + np.arccos(y / 9) + np.arctan(x * y)),
        ("sinh(x) * cosh(y) - sin(x) * cos(y) / tan(x)",
         lambda x, y: np.sinh(x) * np.cosh(y) - np.sin(x) * np.cos(y) / np.tan(x)),
        ("exp(-1000) * x + 1e-3*y", lambda x, y: 0 * x + 1e-3 * y),
        ("x**50 + y", lambda x, y: x**50 + y),
        ("x**(1/3) - y", lambda x, y: np.cbrt(x) - y),
        ("3", lambda x, y: 3 + 0 * x * y),
    ],
)  # fmt: skip
def test_a_formula_means_what_it_says(text, expected):
    x, y = np.meshgrid(np.linspace(0.3, 2.1, 7), np.linspace(0.4, 1.7, 5))
    np.testing.assert_allclose(surfaces.parse(text).value(x, y), expected(x, y), rtol=1e-13, atol=1e-15)


def test_outside_its_domain_a_surface_is_not_a_number():
    surface = surfaces.parse("log(x) + sqrt(y)")
    assert np.isnan(surface.value([-1.0, 1.0], [1.0, -1.0])).all()
    assert np.isinf(surface.value(0.0, 1.0))


def test_shapes_and_broadcasting():
    surface = surfaces.parse("x + 10*y")
    assert surface.value(1, 2).shape == ()
    assert surface.value(np.zeros(3), np.zeros((4, 1))).shape == (4, 3)
    assert surface.gradient(np.zeros((4, 3, 2))).shape == (4, 3, 2)
    assert surface.hessian(np.zeros((4, 3, 2))).shape == (4, 3, 2, 2)
    assert surface.value([], []).shape == (0,)


@pytest.mark.parametrize(
    "window",
    [
        ((1, 0), (0, 1)),
        ((0, 0), (0, 1)),
        ((0, float("nan")), (0, 1)),
        ((0, float("inf")), (0, 1)),
        ((0, 1),),
        ((0, 1, 2), (0, 1)),
        (("a", 1), (0, 1)),
    ],
)
def test_a_bad_window_is_refused(window):
    with pytest.raises(UsageError, match="window"):
        surfaces.parse("x + y", window=window)


def test_parsing_needs_neither_sympy_nor_numba():
    code = (
        "from thalweg import surfaces; import sys; surfaces.parse('x*y');"
        "sys.exit(any(name in sys.modules for name in ('sympy', 'numba')))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
