"""A formula as numbers: what a test compares with the code, and what is lit on a page."""

from __future__ import annotations

from functools import reduce, singledispatch
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.formulas import tree


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from thalweg.formulas.tree import Line

_CALLS: Final[dict[str, Callable[..., Any]]] = {
    "cos": np.cos,
    "exp": np.exp,
    "ln": np.log,
    "sign": np.sign,
    "max": lambda *values: reduce(np.maximum, values),
    "min": lambda *values: reduce(np.minimum, values),
}
_FENCES: Final[dict[str, Callable[[Any], Any]]] = {"||": np.abs, "⌊⌋": np.floor}
_RELATIONS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "<": np.less,
    "≤": np.less_equal,
    "=": np.equal,
    "≥": np.greater_equal,
    ">": np.greater,
}
_CONSTANTS: Final = {"π": np.pi, "e": np.e, "∞": np.inf}
_MOST_COUNTED: Final = 1_000_000


class Scope:
    """The numbers of symbols, given or defined by lines.

    Args:
        values: symbol key to number, or for a symbol with an index, to numbers by index.
        lines: definitions of symbols that have no value: `u = …`, `μ_k = …` for any k, `f(t) = …`.
    """

    def __init__(self, values: Mapping[str, Any], lines: Iterable[Line] = ()) -> None:
        self.values = values
        self.lines = {line.key: line for line in lines}

    def __getitem__(self, key: str) -> Any:
        if key in self.values:
            return self.values[key]
        if key in self.lines:
            return self._defined(self.lines[key])
        return _CONSTANTS[key]

    def having(self, key: str, value: Any) -> Scope:
        """This scope with one more number."""
        scope = Scope({**self.values, key: value})
        scope.lines = self.lines
        return scope

    def _defined(self, line: Line) -> Any:
        if isinstance(line.left, tree.Call):
            (argument,) = line.left.arguments
            return lambda value: evaluate(line.right, self.having(_key(argument), value))
        if line.left.index is None:
            return evaluate(line.right, self)
        name = _key(line.left.index)
        return _Sequence(lambda index: evaluate(line.right, self.having(name, index)))


class _Sequence:
    """Numbers by index, computed when asked for."""

    def __init__(self, at: Callable[[Any], Any]) -> None:
        self.at = at

    def __getitem__(self, index: Any) -> Any:
        return self.at(index)


def _key(part: tree.Node | None) -> str:
    if not isinstance(part, tree.Symbol):
        raise TypeError(part)
    return part.key


@singledispatch
def evaluate(part: tree.Node, scope: Scope) -> Any:  # noqa: ARG001 - as for every part
    """The number of a part of a formula, in float64; where symbols are arrays, an array.

    Args:
        part: any.
        scope: the symbols' numbers.

    Raises:
        KeyError: a symbol has no number.

    Example:
        >>> t, g = tree.Symbol("t"), tree.Symbol("g")
        >>> float(evaluate(g[t - 1] ** 2 + 1, Scope({"t": 3, "g": {2: 5.0}})))
        26.0
    """
    raise TypeError(part)


@evaluate.register
def _number(part: tree.Number, scope: Scope) -> Any:  # noqa: ARG001 - as for every part
    return part.value


@evaluate.register
def _symbol(part: tree.Symbol, scope: Scope) -> Any:
    if part.index is None:
        return scope[part.key]
    index = evaluate(part.index, scope)
    return scope[part.key][index if isinstance(index, np.ndarray) else int(index)]


@evaluate.register
def _minus(part: tree.Minus, scope: Scope) -> Any:
    return -evaluate(part.body, scope)


@evaluate.register
def _sum(part: tree.Sum, scope: Scope) -> Any:
    return reduce(lambda total, term: total + evaluate(term, scope), part.terms, 0.0)


@evaluate.register
def _product(part: tree.Product, scope: Scope) -> Any:
    return reduce(lambda total, factor: total * evaluate(factor, scope), part.factors, 1.0)


@evaluate.register
def _fraction(part: tree.Fraction, scope: Scope) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):  # of a case that does not hold
        return np.divide(evaluate(part.top, scope), evaluate(part.bottom, scope))


@evaluate.register
def _power(part: tree.Power, scope: Scope) -> Any:
    return np.power(np.float64(evaluate(part.base, scope)), evaluate(part.exponent, scope))


@evaluate.register
def _root(part: tree.Root, scope: Scope) -> Any:
    with np.errstate(invalid="ignore"):
        return np.sqrt(evaluate(part.body, scope))


@evaluate.register
def _fence(part: tree.Fence, scope: Scope) -> Any:
    return _FENCES[part.signs](evaluate(part.body, scope))


@evaluate.register
def _call(part: tree.Call, scope: Scope) -> Any:
    function = _CALLS.get(part.name) or scope[part.name]
    return function(*(evaluate(argument, scope) for argument in part.arguments))


@evaluate.register
def _series(part: tree.Series, scope: Scope) -> Any:
    first, last = (int(evaluate(end, scope)) for end in (part.first, part.last))
    each = (evaluate(part.body, scope.having(part.index.key, index)) for index in range(first, last + 1))
    return sum(each, 0.0) if part.sign == "∑" else reduce(lambda total, one: total * one, each, 1.0)


@evaluate.register
def _condition(part: tree.Condition, scope: Scope) -> Any:
    with np.errstate(invalid="ignore"):
        return _RELATIONS[part.relation](evaluate(part.left, scope), evaluate(part.right, scope))


@evaluate.register
def _count(part: tree.Count, scope: Scope) -> Any:
    first = int(evaluate(part.first, scope))
    for index in range(first, first + _MOST_COUNTED):
        if not evaluate(part.condition, scope.having(part.index.key, index)):
            return float(index - first)
    return float(_MOST_COUNTED)


@evaluate.register
def _cases(part: tree.Cases, scope: Scope) -> Any:
    result = evaluate(part.branches[-1][0], scope)
    for value, condition in reversed(part.branches[:-1]):
        result = np.where(evaluate(condition, scope), evaluate(value, scope), result)
    return result


@evaluate.register
def _term(part: tree.Term, scope: Scope) -> Any:
    return evaluate(part.body, scope)
