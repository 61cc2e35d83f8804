"""Turn SymPy expressions into a function for Numba: one assignment per distinct subexpression.

Only the nodes below are written out; no typed text enters the code.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import sympy

from thalweg.errors import UsageError
from thalweg.surfaces.symbolic import Elementary, Expression, Power, Sign, X, Y


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_ASSIGNMENTS = 1_500

_SCOPE = {
    function.__name__: function
    for function in (
        *(abs, math.exp, math.log, math.sqrt, math.sin, math.cos, math.tan),
        *(math.asin, math.acos, math.atan, math.sinh, math.cosh, math.tanh),
    )
}
"""All names that the text can use."""


def build_point(expressions: Sequence[Expression]) -> Callable[..., None]:
    """The function `point(x, y, results)` that sets `results[k]` to expression k.

    Raises:
        UsageError: it needs more than `MAX_ASSIGNMENTS` assignments, or a number beyond float64.
    """
    program = _Program()
    names = [program.name(expression) for expression in expressions]
    body = [*program.lines, *(f"results[{k}] = {name}" for k, name in enumerate(names))]
    scope: dict[str, Any] = {"__builtins__": {}, **_SCOPE}
    text = "\n    ".join(["def point(x, y, results):", *body])
    exec(text, scope)  # noqa: S102 - made above, of assignments between names of our own
    return scope["point"]


class _Program:
    """Assignments in order, and the name that holds each subexpression."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._names: dict[Expression, str] = {X: "x", Y: "y"}

    def name(self, expression: Expression) -> str:
        """The name (or the number) that holds `expression`; assigns it when it is new."""
        if expression not in self._names:
            self._names[expression] = self._number(expression) if expression.is_number else self._assign(expression)
        return self._names[expression]

    def _assign(self, expression: Expression) -> str:
        formula = self._formula(expression)
        if len(self.lines) >= MAX_ASSIGNMENTS:
            raise UsageError("surfaces.derivatives_too_long", limit=MAX_ASSIGNMENTS)
        self.lines.append(f"t{len(self.lines)} = {formula}")
        return f"t{len(self.lines) - 1}"

    def _number(self, expression: Expression) -> str:
        try:
            value = float(expression)
        except (OverflowError, TypeError):
            value = math.nan
        if not math.isfinite(value):
            raise UsageError("surfaces.not_computable", part=sympy.sstr(expression)[:60])
        return f"({value!r})"

    def _formula(self, expression: Expression) -> str:
        arguments = expression.args
        match expression:
            case sympy.Add():
                return " + ".join(map(self.name, arguments))
            case sympy.Mul():
                return self._product(arguments)
            case sympy.Pow():
                return self._power(*arguments)
            case Power():
                return " ** ".join(map(self.name, arguments))
            case Sign():
                inner = self.name(arguments[0])
                return f"1.0 if {inner} > 0.0 else (-1.0 if {inner} < 0.0 else 0.0)"
            case Elementary():
                return f"{type(expression).value.__name__}({self.name(arguments[0])})"
        raise UsageError("surfaces.not_computable", part=sympy.sstr(expression)[:60])

    def _product(self, factors: Sequence[Expression]) -> str:
        below = [1 / factor for factor in factors if factor.is_Pow and factor.exp.is_negative]
        above = [factor for factor in factors if not (factor.is_Pow and factor.exp.is_negative)]
        product = " * ".join(map(self.name, above)) or "1.0"
        return f"({product}) / {self.name(sympy.Mul(*below))}" if below else product

    def _power(self, base: Expression, exponent: Expression) -> str:
        if exponent.is_negative:
            return f"1.0 / {self.name(1 / base**exponent)}"
        if exponent == sympy.S.Half:
            return f"sqrt({self.name(base)})"
        if exponent.is_Integer:
            half, odd = divmod(int(exponent), 2)
            halves = [base**half] * 2 + [base] * odd
            return " * ".join(self.name(part) for part in halves)
        if (2 * exponent).is_Integer:
            return f"{self.name(base ** (exponent - sympy.S.Half))} * {self.name(sympy.sqrt(base))}"
        return f"{self.name(base)} ** {self.name(exponent)}"
