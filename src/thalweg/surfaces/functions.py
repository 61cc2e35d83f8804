"""The functions of formulas as SymPy sees them: a name, a value at a number, a derivative, and nothing else.

SymPy's own `exp` or `cosh` look into their arguments for what could be simplified, which for a formula of two lines can
take hours. These do not, so a formula is compiled at once, and computes what was typed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar

import sympy


if TYPE_CHECKING:
    from collections.abc import Callable

Expression = Any
"""What SymPy computes with; its own types call every part of an expression a `Basic`, which has no arithmetic."""


class Elementary(sympy.Function):
    """A function of one argument that the C library has, or the processor."""

    value: ClassVar[Callable[[float], float]]
    """The same function of Python's, by whose name the compiled code calls it."""

    @classmethod
    def eval(cls, *arguments: Expression) -> Expression | None:
        """Its value, where the argument is a number; NaN where it has none."""
        (argument,) = arguments
        return _computed(cls.value, argument) if argument.is_number else None

    def fdiff(self, argindex: int = 1) -> Expression:  # noqa: ARG002 - SymPy says which argument; there is one
        """Its derivative."""
        return _SLOPES[type(self)](self.args[0])


class Power(sympy.Function):
    """a^b where b is no plain number."""

    @classmethod
    def eval(cls, *arguments: Expression) -> Expression | None:
        """Its value, where both are numbers; NaN where it has none."""
        return _computed(math.pow, *arguments) if all(argument.is_number for argument in arguments) else None

    def fdiff(self, argindex: int = 1) -> Expression:
        """Its derivative by a or by b."""
        base: Expression = self.args[0]
        exponent: Expression = self.args[1]
        return exponent * Power(base, exponent - 1) if argindex == 1 else Power(base, exponent) * Log(base)


def plain(value: float) -> Expression:
    """A number: whole ones and halves exactly, for they make good exponents; all else as it is in float64."""
    if abs(value) < 2**53 and (2 * value).is_integer():
        return sympy.Rational(int(2 * value), 2)
    return sympy.Float(value)


def sign(value: float) -> float:
    """−1, 0 or 1: at the kink of an absolute value the derivative is 0, and so is the second one, everywhere."""
    return float((value > 0) - (value < 0))


def _computed(function: Callable[..., float], *arguments: Expression) -> Expression:
    try:
        return plain(function(*map(float, arguments)))
    except (ArithmeticError, TypeError, ValueError):  # past float64, complex, outside its domain
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
"""What each name in a formula stands for."""
