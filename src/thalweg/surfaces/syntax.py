"""A typed formula: checked against an allow-list, spelled in one way, written as LaTeX.

Only numbers, x, y, `+ - * / **` and named functions are allowed. The text is parsed, never executed; anything else is
an error that marks its place.
"""

from __future__ import annotations

import ast
import re
from difflib import get_close_matches
from typing import Final, NoReturn

from thalweg._pointing import SpecError
from thalweg.errors import UsageError


MAX_LENGTH = 2_000
MAX_NODES = 500
MAX_DEPTH = 120
MAX_EXPONENT = 64
MAX_POWERS = 3
MAX_NUMBER = 1e100
MAX_TERMS = 50_000  # of value, gradient and Hessian before anything is simplified: seconds of SymPy

COORDINATES = {"x": "x", "y": "y", "w1": "x", "w2": "y"}
CONSTANTS = ("e", "pi")
FUNCTIONS = (
    *("abs", "acos", "asin", "atan", "cos", "cosh", "exp", "ln", "log"),
    *("sigmoid", "sin", "sinh", "sqrt", "tan", "tanh"),
)

_FOREIGN = re.compile(r"[^0-9A-Za-z.+\-*/^() ,]")
_OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)

_SUM, _SIGN, _PRODUCT, _POWER, _ATOM = range(5)  # the larger the number, the more tightly it binds

_LATEX_NAMES: Final = {"pi": r"\pi", "w1": "w_1", "w2": "w_2"}
_LATEX_FUNCTIONS: Final = {"acos": "arccos", "asin": "arcsin", "atan": "arctan"}
_LATEX_PLAIN: Final = frozenset(
    {"arccos", "arcsin", "arctan", "cos", "cosh", "exp", "ln", "log", "sin", "sinh", "tan", "tanh"}
)


def check(text: str) -> ast.expr:
    """The tree of a formula.

    Args:
        text: such as `0.01*x**2 + 10*y**2`; `^` is read as `**`.

    Raises:
        UsageError: the formula is invalid or exceeds a limit; usually a `SpecError`, which marks the place.
    """
    if not text.strip():
        raise UsageError("surfaces.empty")
    if len(text) > MAX_LENGTH:
        raise UsageError("surfaces.too_long", length=len(text), limit=MAX_LENGTH)
    foreign = _FOREIGN.search(text)
    if foreign:
        raise SpecError("surfaces.foreign_character", text, foreign.start(), character=foreign.group())
    tree = _Reader(text).read()
    _Checker(text).check(tree)
    value, first, second = terms_of(tree)
    if value + 2 * first + 3 * second > MAX_TERMS:
        raise UsageError("surfaces.derivatives_too_long", limit=f"{MAX_TERMS:,}")
    return tree


def canonical(tree: ast.expr) -> str:
    """The same spelling for all texts with the same tree."""
    return ast.unparse(tree)


def to_latex(tree: ast.expr) -> str:
    r"""The formula between a pair of dollar signs.

    Example:
        >>> print(to_latex(check("0.01*x**2 - (1 - x)/sqrt(y)")))
        0.01 \, x^{2} - \frac{1 - x}{\sqrt{y}}
    """
    return _written(tree)[0]


def terms_of(node: ast.expr) -> tuple[int, int, int]:
    """The number of terms of an expression, of one of its slopes, and of one of their slopes, by the chain rule.

    Nothing is built, so this is the work that SymPy would have, known before it begins.
    """
    match node:
        case ast.Name(id=name):
            return 1, int(name not in CONSTANTS), 0
        case ast.UnaryOp(operand=operand):
            return terms_of(operand)
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub(), right=right):
            return tuple(map(sum, zip(terms_of(left), terms_of(right), strict=True)))  # type: ignore[return-value] - three
        case ast.BinOp(left=left, op=operator, right=right):
            own = 0 if isinstance(operator, ast.Mult) else 1  # a quotient and a power keep the other factor
            return _of_two(terms_of(left), terms_of(right), own)
        case ast.Call(func=ast.Name(id=name), args=[argument]):
            value, first, second = terms_of(argument)
            value += 4 if name == "sigmoid" else 1
            return (value, value + first, 2 * value + 2 * first + second) if first else (value, 0, 0)
    return 1, 0, 0


def _of_two(left: tuple[int, int, int], right: tuple[int, int, int], own: int) -> tuple[int, int, int]:
    """The terms of a product; with `own` = 1, of a function of two expressions."""
    value = left[0] + right[0] + own
    firsts, seconds = [], []
    for (_, first, second), (other, _, _) in ((left, right), (right, left)):
        kept = value if own else other
        if first:
            firsts.append(first + kept)
            seconds.append(second + kept + own * (value + 2 * first))
    mixed = 2 * (left[1] + right[1] + own * value) if left[1] and right[1] else 0
    return value, sum(firsts), sum(seconds) + mixed


class _Reader:
    """From text to tree, keeping each node's place in the text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.margin = len(text) - len(text.lstrip())
        self.places: list[int] = []  # for each character that the parser reads, its place in the text
        for place, character in enumerate(text[self.margin :], start=self.margin):
            self.places += [place, place] if character == "^" else [place]
        self.places.append(len(text))

    def read(self) -> ast.expr:
        try:
            tree = ast.parse(self.text[self.margin :].replace("^", "**"), mode="eval").body
        except SyntaxError as error:
            offset = error.offset or len(self.places)  # 0 means that the text ends too early
            raise SpecError("surfaces.not_a_formula", self.text, self.places[offset - 1]) from None
        except (RecursionError, MemoryError, ValueError):
            raise UsageError("surfaces.too_deep", limit=MAX_DEPTH) from None
        for node in ast.walk(tree):
            if isinstance(node, ast.expr):
                node.col_offset = self.places[node.col_offset]
        return tree


class _Checker:
    """Walk a tree and raise at the first node that is not allowed."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.nodes = 0

    def check(self, node: ast.expr, depth: int = 1, powers: int = 0) -> None:
        """Args: the node, its depth, and the number of powers around it."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise UsageError("surfaces.too_many_terms", limit=MAX_NODES)
        if depth > MAX_DEPTH:
            raise UsageError("surfaces.too_deep", limit=MAX_DEPTH)
        match node:
            case ast.Constant():
                self._number(node)
            case ast.Name():
                self._name(node)
            case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
                self.check(operand, depth + 1, powers)
            case ast.BinOp(left=base, op=ast.Pow(), right=exponent):
                self._power(exponent, powers)
                self.check(base, depth + 1, powers + 1)
                self.check(exponent, depth + 1, powers + 1)
            case ast.BinOp(left=left, op=operator, right=right) if isinstance(operator, _OPERATORS):
                self.check(left, depth + 1, powers)
                self.check(right, depth + 1, powers)
            case ast.Call():
                self._call(node, depth, powers)
            case _:
                self._refuse("surfaces.not_allowed", node)

    def _number(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._refuse("surfaces.not_allowed", node)
        if value > MAX_NUMBER or 0 < value < 1 / MAX_NUMBER:
            self._refuse("surfaces.number_too_large", node, limit=f"{MAX_NUMBER:g}")

    def _name(self, node: ast.Name) -> None:
        if node.id in FUNCTIONS:
            self._refuse("surfaces.function_without_argument", node, name=node.id)
        if node.id not in COORDINATES and node.id not in CONSTANTS:
            self._refuse("surfaces.unknown_letter", node, name=node.id)

    def _power(self, exponent: ast.expr, powers: int) -> None:
        if any(isinstance(inner, ast.Pow) for inner in ast.walk(exponent)):
            self._refuse("surfaces.power_tower", exponent)
        if powers >= MAX_POWERS:
            self._refuse("surfaces.powers_too_deep", exponent, limit=MAX_POWERS)
        number = exponent.operand if isinstance(exponent, ast.UnaryOp) else exponent
        if isinstance(number, ast.Constant) and isinstance(number.value, int | float) and number.value > MAX_EXPONENT:
            self._refuse("surfaces.exponent_too_large", exponent, limit=MAX_EXPONENT)

    def _call(self, node: ast.Call, depth: int, powers: int) -> None:
        if not isinstance(node.func, ast.Name):
            self._refuse("surfaces.not_allowed", node)
        name = node.func.id
        if name not in FUNCTIONS:
            near = get_close_matches(name, FUNCTIONS, n=1)
            key = "surfaces.unknown_function_near" if near else "surfaces.unknown_function"
            self._refuse(key, node, name=name, nearest="".join(near), known=", ".join(FUNCTIONS))
        if len(node.args) != 1 or node.keywords:
            self._refuse("surfaces.one_argument", node, name=name)
        self.check(node.args[0], depth + 1, powers)

    def _refuse(self, key: str, node: ast.expr, **values: object) -> NoReturn:
        raise SpecError(key, self.text, node.col_offset, **values)


def _written(node: ast.expr) -> tuple[str, int]:  # noqa: PLR0911 - one a kind of node
    """The text of a node, and how tightly it binds."""
    match node:
        case ast.Constant(value=value):
            return f"{value:g}" if isinstance(value, float) and len(f"{value}") > 9 else f"{value}", _ATOM
        case ast.Name(id=name):
            return _LATEX_NAMES.get(name, name), _ATOM
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
            return _called(_LATEX_FUNCTIONS.get(name, name), to_latex(argument)), _ATOM
    raise AssertionError(ast.dump(node))  # the check allows nothing else


def _within(node: ast.expr, least: int) -> str:
    """The text of a node, in parentheses if it binds less tightly than its place requires."""
    text, binds = _written(node)
    return text if binds >= least else rf"\left({text}\right)"


def _times(right: ast.expr) -> str:
    """A thin space between factors; a cross before a number, which would otherwise touch the number on its left."""
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
    command = rf"\{name}" if name in _LATEX_PLAIN else rf"\operatorname{{{name}}}"
    return rf"{command}\left({argument}\right)"
