"""Turn a checked tree into SymPy: functions, the expression and its exact derivatives.

SymPy's own `exp` and `cosh` try to simplify their arguments, which can take hours for a formula of two lines. The
functions here have a name, a value at a number and a derivative, and nothing else, so a formula compiles at once and
computes what was typed. Constants are float64 from the start: SymPy could spend hours on exact π or 10¹⁰⁰, and the
result would be rounded anyway.
"""

from __future__ import annotations

import ast
import math
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import sympy

from thalweg._pointing import SpecError
from thalweg.surfaces.syntax import COORDINATES


if TYPE_CHECKING:
    from collections.abc import Callable

Expression = Any
"""A SymPy expression; SymPy's own types call every part of one a `Basic`, which has no arithmetic."""


class Elementary(sympy.Function):
    """A function of one argument that the C library or the CPU provides."""

    value: ClassVar[Callable[[float], float]]
    """Python's function of that name; compiled code calls it by its name."""

    @classmethod
    def eval(cls, *arguments: Expression) -> Expression | None:
        """Its value if the argument is a number; NaN if it has none."""
        (argument,) = arguments
        return _computed(cls.value, argument) if argument.is_number else None

    def fdiff(self, argindex: int = 1) -> Expression:  # noqa: ARG002 - SymPy says which argument; there is one
        """Its derivative."""
        return _SLOPES[type(self)](self.args[0])


class Power(sympy.Function):
    """a^b where b is not a plain number."""

    @classmethod
    def eval(cls, *arguments: Expression) -> Expression | None:
        """Its value if both are numbers; NaN if it has none."""
        return _computed(math.pow, *arguments) if all(argument.is_number for argument in arguments) else None

    def fdiff(self, argindex: int = 1) -> Expression:
        """Its derivative by a or by b."""
        base: Expression = self.args[0]
        exponent: Expression = self.args[1]
        return exponent * Power(base, exponent - 1) if argindex == 1 else Power(base, exponent) * Log(base)


def plain(value: float) -> Expression:
    """A number: integers and halves stay exact, because they are common exponents; others become float64."""
    if abs(value) < 2**53 and (2 * value).is_integer():
        return sympy.Rational(int(2 * value), 2)
    return sympy.Float(value)


def sign(value: float) -> float:
    """−1, 0 or 1: at the kink of an absolute value the derivative is 0, and so is the second one, everywhere."""
    return float((value > 0) - (value < 0))


def _computed(function: Callable[..., float], *arguments: Expression) -> Expression:
    try:
        return plain(function(*map(float, arguments)))
    except (ArithmeticError, TypeError, ValueError):  # beyond float64, complex, or outside its domain
        return sympy.nan


def _elementary(value: Callable[[float], float]) -> Any:
    return type(value.__name__.capitalize(), (Elementary,), {"value": staticmethod(value)})


Abs, Sign = _elementary(abs), _elementary(sign)
Exp, Log = _elementary(math.exp), _elementary(math.log)
Sin, Cos, Tan = _elementary(math.sin), _elementary(math.cos), _elementary(math.tan)
Asin, Acos, Atan = _elementary(math.asin), _elementary(math.acos), _elementary(math.atan)
Sinh, Cosh, Tanh = _elementary(math.sinh), _elementary(math.cosh), _elementary(math.tanh)

_SLOPES: dict[type, Callable[[Expression], Expression]] = {
    Abs: Sign,
    Acos: lambda u: -1 / sympy.sqrt(1 - u**2),
    Asin: lambda u: 1 / sympy.sqrt(1 - u**2),
    Atan: lambda u: 1 / (1 + u**2),
    Cos: lambda u: -Sin(u),
    Cosh: Sinh,
    Exp: Exp,
    Log: lambda u: 1 / u,
    Sign: lambda _: sympy.S.Zero,
    Sin: Cos,
    Sinh: Cosh,
    Tan: lambda u: 1 + Tan(u) ** 2,
    Tanh: lambda u: 1 - Tanh(u) ** 2,
}

BY_NAME: dict[str, Callable[[Expression], Expression]] = {
    "abs": Abs,
    "acos": Acos,
    "asin": Asin,
    "atan": Atan,
    "cos": Cos,
    "cosh": Cosh,
    "exp": Exp,
    "ln": Log,
    "log": Log,
    "sigmoid": lambda u: 1 / (1 + Exp(-u)),
    "sin": Sin,
    "sinh": Sinh,
    "sqrt": sympy.sqrt,
    "tan": Tan,
    "tanh": Tanh,
}
"""The meaning of each name in a formula."""

X, Y = sympy.symbols("x y", real=True)

_LEAVES = {"x": X, "y": Y, "pi": plain(math.pi), "e": plain(math.e)}


class Derivatives(NamedTuple):
    """A function of x and y with its exact derivatives up to the second."""

    value: Expression
    gradient: tuple[Expression, Expression]
    hessian: tuple[Expression, Expression, Expression]
    """∂²/∂x², ∂²/∂x∂y, ∂²/∂y²."""


def derivatives(value: Expression) -> Derivatives:
    """Differentiate twice."""
    slope_x, slope_y = sympy.diff(value, X), sympy.diff(value, Y)
    second = sympy.diff(slope_x, X), sympy.diff(slope_x, Y), sympy.diff(slope_y, Y)
    return Derivatives(value, (slope_x, slope_y), second)


def expression(tree: ast.expr, text: str) -> Expression:
    """The SymPy expression of a checked tree.

    Args:
        tree: from `syntax.check`.
        text: its source, for the marks in errors.

    Raises:
        SpecError: a part has no real value, or one beyond float64.
    """
    match tree:
        case ast.Constant(value=int() | float() as value):
            return plain(float(value))
        case ast.Name(id=name):
            return _LEAVES[COORDINATES.get(name, name)]
        case ast.UnaryOp(op=operator, operand=operand):
            built = expression(operand, text) * (-1 if isinstance(operator, ast.USub) else 1)
        case ast.BinOp(left=left, op=operator, right=right):
            built = _combined(expression(left, text), operator, expression(right, text))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            built = BY_NAME[name](expression(argument, text))
        case _:
            raise AssertionError(ast.dump(tree))  # the check allows nothing else
    if built.has(sympy.zoo, sympy.oo, -sympy.oo, sympy.nan, sympy.I):
        raise SpecError("surfaces.not_a_number", text, tree.col_offset)
    return _folded(built, tree, text) if built.is_number else built


def _combined(left: Expression, operator: ast.operator, right: Expression) -> Expression:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
        case _:
            return left**right if right.is_number else Power(left, right)


def _folded(constant: Expression, node: ast.expr, text: str) -> Expression:
    """A constant as one plain number."""
    try:
        value = float(constant)
    except TypeError:  # it is complex
        raise SpecError("surfaces.not_a_number", text, node.col_offset) from None
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise SpecError("surfaces.not_a_number", text, node.col_offset)
    return plain(value)
