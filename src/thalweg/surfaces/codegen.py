"""Turn SymPy expressions into LLVM's assembly: one assignment per distinct subexpression.

The assembly is straight-line arithmetic, so it needs neither Numba's type inference nor its run time, which keeps the
code of everything that it has ever compiled. Only the nodes below are written out; no typed text enters the code.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

import sympy

from thalweg.errors import UsageError
from thalweg.surfaces.symbolic import Elementary, Expression, Power, Sign, X, Y


if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_ASSIGNMENTS = 1_500

_INTRINSICS: Final = {"abs": "fabs", **{name: name for name in ("cos", "exp", "log", "pow", "sin", "sqrt")}}
"""The functions that LLVM knows; the others are called from the C library by their names."""


def build_point(expressions: Sequence[Expression]) -> str:
    """The assembly of `point(x, y, results)`, which sets `results[k]` to expression k.

    Raises:
        UsageError: it needs more than `MAX_ASSIGNMENTS` assignments, or a number beyond float64.
    """
    program = _Program()
    for place, expression in enumerate(expressions):
        result = program.name(expression)
        program.lines += [
            f"%r{place} = getelementptr double, ptr %results, i64 {place}",
            f"store double {result}, ptr %r{place}",
        ]
    declared = [f"declare double {name}({kinds}) nounwind memory(none)" for name, kinds in program.called.items()]
    body = ["define ptr @point(double %x, double %y, ptr %results) nounwind {", *program.lines, "ret ptr null", "}"]
    return "\n".join([*declared, *body])


class _Program:
    """Instructions in order, and the name that holds each subexpression."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.called: dict[str, str] = {}
        self._names: dict[Expression, str] = {X: "%x", Y: "%y"}
        self._assigned = 0

    def name(self, expression: Expression) -> str:
        """The name (or the number) that holds `expression`; assigns it when it is new."""
        if expression not in self._names:
            self._names[expression] = self._number(expression) if expression.is_number else self._assign(expression)
        return self._names[expression]

    def _assign(self, expression: Expression) -> str:
        name = self._formula(expression)
        self._assigned += 1
        if self._assigned > MAX_ASSIGNMENTS:
            raise UsageError("surfaces.derivatives_too_long", limit=MAX_ASSIGNMENTS)
        return name

    def _number(self, expression: Expression) -> str:
        try:
            value = float(expression)
        except (OverflowError, TypeError):
            value = math.nan
        if not math.isfinite(value):
            raise UsageError("surfaces.not_computable", part=sympy.sstr(expression)[:60])
        return _literal(value)

    def _formula(self, expression: Expression) -> str:
        arguments = expression.args
        match expression:
            case sympy.Add():
                return self._chained("fadd", [self.name(part) for part in arguments])
            case sympy.Mul():
                return self._product(arguments)
            case sympy.Pow():
                return self._power(*arguments)
            case Power():
                return self._call("pow", *map(self.name, arguments))
            case Sign():
                return self._sign(self.name(arguments[0]))
            case Elementary():
                return self._call(type(expression).value.__name__, self.name(arguments[0]))
        raise UsageError("surfaces.not_computable", part=sympy.sstr(expression)[:60])

    def _product(self, factors: Sequence[Expression]) -> str:
        below = [1 / factor for factor in factors if factor.is_Pow and factor.exp.is_negative]
        above = [factor for factor in factors if not (factor.is_Pow and factor.exp.is_negative)]
        product = self._chained("fmul", [self.name(part) for part in above] or [_literal(1.0)])
        return self._set(f"fdiv double {product}, {self.name(sympy.Mul(*below))}") if below else product

    def _power(self, base: Expression, exponent: Expression) -> str:
        if exponent.is_negative:
            return self._set(f"fdiv double {_literal(1.0)}, {self.name(1 / base**exponent)}")
        if exponent == sympy.S.Half:
            return self._call("sqrt", self.name(base))
        if exponent.is_Integer:
            half, odd = divmod(int(exponent), 2)
            halves = [base**half] * 2 + [base] * odd
            return self._chained("fmul", [self.name(part) for part in halves])
        if (2 * exponent).is_Integer:
            return self._chained("fmul", [self.name(base ** (exponent - sympy.S.Half)), self.name(sympy.sqrt(base))])
        return self._call("pow", self.name(base), self.name(exponent))

    def _sign(self, value: str) -> str:
        above = self._set(f"fcmp ogt double {value}, {_literal(0.0)}")
        below = self._set(f"fcmp olt double {value}, {_literal(0.0)}")
        least = self._set(f"select i1 {below}, double {_literal(-1.0)}, double {_literal(0.0)}")
        return self._set(f"select i1 {above}, double {_literal(1.0)}, double {least}")

    def _chained(self, operation: str, names: Sequence[str]) -> str:
        """Combine from left to right, as Python does."""
        found, *others = names
        for other in others:
            found = self._set(f"{operation} double {found}, {other}")
        return found

    def _call(self, function: str, *names: str) -> str:
        symbol = f"@llvm.{_INTRINSICS[function]}.f64" if function in _INTRINSICS else f"@{function}"
        self.called[symbol] = ", ".join("double" for _ in names)
        return self._set(f"call double {symbol}({', '.join(f'double {name}' for name in names)})")

    def _set(self, instruction: str) -> str:
        name = f"%t{len(self.lines)}"
        self.lines.append(f"{name} = {instruction}")
        return name


def _literal(value: float) -> str:
    """A number as LLVM writes it: the bits."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"
