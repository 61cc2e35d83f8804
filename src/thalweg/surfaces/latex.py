"""A checked tree as LaTeX, in the order in which it was typed."""

from __future__ import annotations

import ast
from typing import Final


_SUM, _SIGN, _PRODUCT, _POWER, _ATOM = range(5)  # what binds more tightly has the larger number

_NAMES: Final = {"pi": r"\pi", "w1": "w_1", "w2": "w_2"}
_FUNCTIONS: Final = {"acos": "arccos", "asin": "arcsin", "atan": "arctan"}
_PLAIN: Final = frozenset(
    {"arccos", "arcsin", "arctan", "cos", "cosh", "exp", "ln", "log", "sin", "sinh", "tan", "tanh"}
)


def to_latex(tree: ast.expr) -> str:
    r"""The formula between a pair of dollar signs.

    Example:
        >>> from thalweg.surfaces.syntax import check
        >>> print(to_latex(check("0.01*x**2 - (1 - x)/sqrt(y)")))
        0.01 \, x^{2} - \frac{1 - x}{\sqrt{y}}
    """
    return _written(tree)[0]


def _written(node: ast.expr) -> tuple[str, int]:  # noqa: PLR0911 - one a kind of node
    """The text of a node, and how tightly it binds."""
    match node:
        case ast.Constant(value=value):
            return f"{value:g}" if isinstance(value, float) and len(f"{value}") > 9 else f"{value}", _ATOM
        case ast.Name(id=name):
            return _NAMES.get(name, name), _ATOM
        case ast.UnaryOp(op=operator, operand=operand):
            sign = "-" if isinstance(operator, ast.USub) else "+"
            return f"{sign}{_within(operand, _PRODUCT)}", _SIGN
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return f"{_within(left, _ATOM)}^{{{to_latex(right)}}}", _POWER
        case ast.BinOp(left=left, op=ast.Div(), right=right):
            return rf"\frac{{{to_latex(left)}}}{{{to_latex(right)}}}", _PRODUCT
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return rf"{_within(left, _SIGN)} {_times(right)} {_within(right, _POWER)}", _PRODUCT
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return f"{_within(left, _SUM)} + {_within(right, _PRODUCT)}", _SUM
        case ast.BinOp(left=left, right=right):
            return f"{_within(left, _SUM)} - {_within(right, _PRODUCT)}", _SUM
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            return _called(_FUNCTIONS.get(name, name), to_latex(argument)), _ATOM
    raise AssertionError(ast.dump(node))  # the check lets nothing else through


def _within(node: ast.expr, least: int) -> str:
    """The text of a node, in parentheses where it binds less tightly than its place asks."""
    text, binds = _written(node)
    return text if binds >= least else rf"\left({text}\right)"


def _times(right: ast.expr) -> str:
    """A thin space between factors; a cross before a number, which would else run into the one on its left."""
    while isinstance(right, ast.BinOp):
        right = right.left
    return r"\times" if isinstance(right, ast.Constant) else r"\,"


def _called(name: str, argument: str) -> str:
    match name:
        case "abs":
            return rf"\left|{argument}\right|"
        case "sqrt":
            return rf"\sqrt{{{argument}}}"
        case "exp":
            return f"e^{{{argument}}}"
    command = rf"\{name}" if name in _PLAIN else rf"\operatorname{{{name}}}"
    return rf"{command}\left({argument}\right)"
