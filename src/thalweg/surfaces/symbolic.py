"""From a checked tree to SymPy: the expression and its exact derivatives.

Constants are float64 from the start, as they will be computed: what SymPy knows of π or of 10¹⁰⁰ could keep it thinking
for hours, and the machine would round it all the same.
"""

from __future__ import annotations

import ast
import math
from typing import NamedTuple

import sympy

from thalweg._pointing import SpecError
from thalweg.surfaces.functions import BY_NAME, Expression, Power, plain
from thalweg.surfaces.syntax import COORDINATES


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
        text: where it came from, for the marks in errors.

    Raises:
        SpecError: a part has no real value, or one past float64.
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
            raise AssertionError(ast.dump(tree))  # the check lets nothing else through
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
