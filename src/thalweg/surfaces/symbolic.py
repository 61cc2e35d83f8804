"""From a checked tree to SymPy: the expression and its exact derivatives."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, NamedTuple

import sympy
from sympy.core.function import ArgumentIndexError

from thalweg.schedules._pointing import SpecError
from thalweg.surfaces.syntax import COORDINATES


if TYPE_CHECKING:
    from collections.abc import Callable

Expression = Any
"""What SymPy computes with; its own types call every part of an expression a `Basic`, which has no arithmetic."""

X, Y = sympy.symbols("x y", real=True)

_SYMBOLS = {"x": X, "y": Y}


class Magnitude(sympy.Function):
    """|u|, with derivative sign(u) everywhere: SymPy's own asks first whether u is real."""

    def fdiff(self, argindex: int = 1) -> Expression:
        """See SymPy."""
        if argindex != 1:
            raise ArgumentIndexError(self, argindex)
        return Signum(self.args[0])


class Signum(sympy.Function):
    """−1, 0 or 1, with derivative 0 everywhere: at the kink a compiled Hessian has no use for an infinity."""

    def fdiff(self, argindex: int = 1) -> Expression:
        """See SymPy."""
        if argindex != 1:
            raise ArgumentIndexError(self, argindex)
        return sympy.S.Zero


class Derivatives(NamedTuple):
    """A function of x and y with its exact derivatives up to the second."""

    value: Expression
    gradient: tuple[Expression, Expression]
    hessian: tuple[Expression, Expression, Expression]
    """∂²/∂x², ∂²/∂x∂y, ∂²/∂y²."""


_FUNCTIONS: dict[str, Callable[[Expression], Expression]] = {
    "abs": Magnitude,
    "ln": sympy.log,
    "sigmoid": lambda u: 1 / (1 + sympy.exp(-u)),
}


def expression(tree: ast.expr, text: str, *, exact: bool = True) -> Expression:
    """The SymPy expression of a checked tree.

    Args:
        tree: from `syntax.check`.
        text: where it came from, for the marks in errors.
        exact: decimals become fractions, as differentiating wants; else they stay decimals, as reading wants.

    Raises:
        SpecError: a part is not a real number: it divides by zero, or takes the root of a negative number.
    """
    built = _build(tree, text, sympy.Rational if exact else _as_written)
    return built.replace(sympy.Abs, Magnitude) if exact else built


def derivatives(value: Expression) -> Derivatives:
    """Differentiate twice."""
    slope_x, slope_y = sympy.diff(value, X), sympy.diff(value, Y)
    second = sympy.diff(slope_x, X), sympy.diff(slope_x, Y), sympy.diff(slope_y, Y)
    return Derivatives(value, (slope_x, slope_y), second)


def _build(node: ast.expr, text: str, number: Callable[[str], Expression]) -> Expression:
    match node:
        case ast.Constant(value=value):
            built = number(repr(value))
        case ast.Name(id=name):
            built = _SYMBOLS[COORDINATES[name]] if name in COORDINATES else {"pi": sympy.pi, "e": sympy.E}[name]
        case ast.UnaryOp(op=operator, operand=operand):
            inner = _build(operand, text, number)
            built = -inner if isinstance(operator, ast.USub) else inner
        case ast.BinOp(left=left, op=operator, right=right):
            built = _combine(operator, _build(left, text, number), _build(right, text, number))
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            function = _FUNCTIONS.get(name) or getattr(sympy, name)
            built = function(_build(argument, text, number))
        case _:
            raise AssertionError(ast.dump(node))  # the check lets nothing else through
    if built.has(sympy.zoo, sympy.oo, -sympy.oo, sympy.nan, sympy.I):
        raise SpecError("surfaces.not_a_number", text, node.col_offset)
    return built


def _as_written(number: str) -> Expression:
    return sympy.Integer(number) if number.isdecimal() else sympy.Float(number)


def _combine(operator: ast.operator, left: Expression, right: Expression) -> Expression:
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
            return left**right
