"""The sources of surfaces: a catalogue of named surfaces, and typed formulas."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from thalweg.errors import UnknownNameError, UsageError
from thalweg.surfaces.surface import Surface, Window
from thalweg.surfaces.syntax import CONSTANTS, COORDINATES, canonical, check


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Entry:
    """A row of the catalogue.

    Args:
        formula: the text, or a function from the parameters to the text.
        window: ((x0, x1), (y0, y1)).
        start: (x, y).
        parameters: name to default.
    """

    formula: str | Callable[..., str]
    window: Window
    start: tuple[float, float]
    parameters: Mapping[str, float] = field(default_factory=dict)


def _valley(condition: float, angle: float) -> str:
    """½ (10/κ u² + 10 v²), with (u, v) = (x, y) turned by `angle`."""
    _positive("valley", "condition", condition)
    c, s = math.cos(angle), math.sin(angle)
    if angle == 0.0:
        return f"{_text(5 / condition)}*x**2 + 5*y**2"
    return f"{_text(5 / condition)}*({c!r}*x + {s!r}*y)**2 + 5*({c!r}*y - {s!r}*x)**2"


def _rosenbrock(a: float, b: float) -> str:
    return f"({_text(a)} - x)**2 + {_text(b)}*(y - x**2)**2"


_SUM_OF_EXPONENTIALS = "(exp(x) + exp(y) + exp(-1000))"

CATALOGUE: dict[str, Entry] = {
    "beale": Entry(
        "(1.5 - x + x*y)**2 + (2.25 - x + x*y**2)**2 + (2.625 - x + x*y**3)**2",
        ((-4.5, 4.5), (-4.5, 4.5)),
        (1.0, 1.5),
    ),
    "bowl": Entry("0.5*(x**2 + y**2)", ((-3.0, 3.0), (-3.0, 3.0)), (-2.0, 1.5)),
    "cliff": Entry("0.05*(x + 2)**2 + 0.05*y**2 + 5*sigmoid(20*(x - 1))", ((-4.0, 4.0), (-4.0, 4.0)), (3.0, 2.0)),
    "himmelblau": Entry("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", ((-5.0, 5.0), (-5.0, 5.0)), (-0.5, -1.0)),
    "monkey_saddle": Entry("x**3 - 3*x*y**2", ((-1.5, 1.5), (-1.5, 1.5)), (1.0, 0.1)),
    "plateau": Entry("1 - exp(-0.5*(x**2 + y**2))", ((-5.0, 5.0), (-5.0, 5.0)), (3.2, 2.4)),
    "rastrigin": Entry(
        "20 + x**2 - 10*cos(2*pi*x) + y**2 - 10*cos(2*pi*y)", ((-5.12, 5.12), (-5.12, 5.12)), (3.2, -2.7)
    ),
    "rosenbrock": Entry(_rosenbrock, ((-2.0, 2.0), (-1.0, 3.0)), (-1.2, 1.0), {"a": 1.0, "b": 100.0}),
    "saddle": Entry("0.5*x**2 - 0.5*y**2 + 0.05*y**4", ((-4.0, 4.0), (-4.0, 4.0)), (3.0, 0.001)),
    "six_hump_camel": Entry(
        "(4 - 2.1*x**2 + x**4/3)*x**2 + x*y + (-4 + 4*y**2)*y**2", ((-2.2, 2.2), (-1.2, 1.2)), (-1.9, 1.0)
    ),
    "softmax_cross_entropy": Entry(f"log{_SUM_OF_EXPONENTIALS} - x", ((-10.0, 10.0), (-10.0, 10.0)), (-8.0, 8.0)),
    "softmax_mse": Entry(
        f"(1 - exp(x)/{_SUM_OF_EXPONENTIALS})**2 + (exp(y)/{_SUM_OF_EXPONENTIALS})**2"
        f" + (exp(-1000)/{_SUM_OF_EXPONENTIALS})**2",
        ((-10.0, 10.0), (-10.0, 10.0)),
        (-8.0, 8.0),
    ),
    "styblinski_tang": Entry(
        "0.5*(x**4 - 16*x**2 + 5*x + y**4 - 16*y**2 + 5*y)", ((-5.0, 5.0), (-5.0, 5.0)), (0.2, 1.5)
    ),
    "toy_network": Entry("(1 - w1*w2)**2", ((-2.5, 2.5), (-2.5, 2.5)), (-0.5, 0.51)),
    "turn": Entry(
        "exp(-4*(x + 2)) + exp(-4*(y + 2)) + 0.02*(x - 3)**2 + 0.02*(y - 2)**2",
        ((-4.0, 5.0), (-4.0, 5.0)),
        (-3.2, -2.6),
    ),
    "valley": Entry(_valley, ((-12.0, 12.0), (-3.0, 3.0)), (-10.0, 2.0), {"angle": 0.0, "condition": 1000.0}),
}


_NAME = re.compile(r"[A-Za-z_]\w*")


def names() -> tuple[str, ...]:
    """The names of the catalogue, sorted."""
    return tuple(sorted(CATALOGUE))


def get(name: str, **parameters: float) -> Surface:
    """A surface of the catalogue.

    Args:
        name: one of `names()`.
        **parameters: such as `condition=` of the valley; the catalogue has the defaults.

    Raises:
        UnknownNameError: there is no such surface or parameter.
        UsageError: a parameter is not finite or out of range.

    Example:
        >>> get("valley", condition=100.0).formula
        '0.05 * x ** 2 + 5 * y ** 2'
    """
    if name not in CATALOGUE:
        raise UnknownNameError("surface", name, names())
    entry = CATALOGUE[name]
    for parameter, value in parameters.items():
        if parameter not in entry.parameters:
            raise UnknownNameError("surface_parameter", parameter, entry.parameters)
        if not math.isfinite(value):
            raise UsageError("surfaces.bad_parameter", surface=name, parameter=parameter, value=value)
    values = {key: float(value) for key, value in {**entry.parameters, **parameters}.items()}
    formula = entry.formula if isinstance(entry.formula, str) else entry.formula(**values)
    return Surface(name, canonical(check(formula)), entry.window, entry.start)


def parse(
    formula: str,
    *,
    window: Window = ((-5.0, 5.0), (-5.0, 5.0)),
    start: tuple[float, float] = (-4.0, 3.0),
) -> Surface:
    """Make a surface from a typed formula.

    The text is checked against an allow-list and never executed: numbers, `x` and `y` (or `w1` and `w2`), `pi`, `e`,
    `+ - * / **` (also `^`), and the functions of `syntax.FUNCTIONS`.

    Args:
        formula: such as `0.01*x**2 + 10*y**2`.
        window: ((x0, x1), (y0, y1)), the part that is drawn and searched.
        start: (x, y), where traces begin by default.

    Raises:
        UsageError: the formula is invalid; a caret marks the place.

    Example:
        >>> parse("x^2 + sin(y)").formula
        'x ** 2 + sin(y)'
    """
    return Surface("formula", canonical(check(formula)), window, start)


def read(
    text: str,
    parameters: Mapping[str, float] | None = None,
    window: Window | None = None,
    start: tuple[float, float] | None = None,
) -> Surface:
    """Find or make the surface that a text names.

    The command line and the page both use this.

    Args:
        text: a name of the catalogue, or a formula as for `parse`; one word is a name, unless it is a coordinate or a
            constant.
        parameters: of a surface from the catalogue.
        window: ((x0, x1), (y0, y1)); the surface's own when not given.
        start: (x, y); the surface's own when not given.

    Raises:
        UnknownNameError: there is no such surface or parameter.
        UsageError: the formula is invalid, a value is out of range, a formula has parameters, or the window is empty.

    Example:
        >>> read("valley", {"condition": 100.0}, start=(3.0, 1.0)).start
        (3.0, 1.0)
        >>> read("x**2 + 10*y**2").name
        'formula'
    """
    text = text.strip()
    if _NAME.fullmatch(text) and text not in {*COORDINATES, *CONSTANTS}:
        surface = get(text, **(parameters or {}))
    elif parameters:
        raise UsageError("surfaces.parameter_of_formula")
    else:
        surface = parse(text)
    return replace(surface, window=window or surface.window, start=start or surface.start)


def _positive(surface: str, parameter: str, value: float) -> None:
    if not value > 0:
        raise UsageError("surfaces.bad_parameter", surface=surface, parameter=parameter, value=value)


def _text(value: float) -> str:
    return repr(int(value)) if value.is_integer() else repr(value)
