"""A formula as MathML, which browsers draw without a library: presentation markup, with marks for what is lit.

A symbol's element has `data-symbol`, its key; a term's has `data-term`, its group and its name.
"""

from __future__ import annotations

from functools import singledispatch
from html import escape
from typing import Final

from thalweg.formulas.text import number_text, text_of
from thalweg.formulas.tree import (
    Call,
    Cases,
    Condition,
    Count,
    Fence,
    Fraction,
    Minus,
    Node,
    Number,
    Power,
    Product,
    Root,
    Series,
    Sum,
    Symbol,
    Term,
)


_ACCENTS: Final = {"hat": "^", "bar": "¯"}
_TIMES: Final = "<mo>\u2062</mo>"  # invisible; screen readers say it
_APPLY: Final = "<mo>\u2061</mo>"


@singledispatch
def mathml_of(part: Node) -> str:
    """A part of a formula as the inside of a `<math>` element.

    Example:
        >>> mathml_of(Fraction(Number(1), Number(2)))
        '<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>'
    """
    raise TypeError(part)


@mathml_of.register
def _number(part: Number) -> str:
    return f"<mn>{number_text(part.value)}</mn>"


@mathml_of.register
def _symbol(part: Symbol) -> str:
    letter = _letter(part)
    inner = f"<msub>{letter}{below}</msub>" if (below := _below(part)) else letter
    return f'<mrow data-symbol="{escape(part.key)}">{inner}</mrow>'


@mathml_of.register
def _minus(part: Minus) -> str:
    return f"<mrow><mo>−</mo>{_within(part.body, Sum, Minus)}</mrow>"


@mathml_of.register
def _sum(part: Sum) -> str:
    written = [mathml_of(part.terms[0])]
    for term in part.terms[1:]:
        if isinstance(term, Minus):
            written += ["<mo>−</mo>", _within(term.body, Sum, Minus)]
        else:
            written += ["<mo>+</mo>", mathml_of(term)]
    return _row(written)


@mathml_of.register
def _product(part: Product) -> str:
    written = [_within(factor, Sum, Minus, Cases) for factor in part.factors[:-1]]
    written.append(_within(part.factors[-1], Sum, Minus))
    return _row([_TIMES.join(written)])


@mathml_of.register
def _fraction(part: Fraction) -> str:
    return f"<mfrac>{_row([mathml_of(part.top)])}{_row([mathml_of(part.bottom)])}</mfrac>"


@mathml_of.register
def _power(part: Power) -> str:
    if isinstance(part.base, Symbol) and (below := _below(part.base)):  # index and exponent one above the other
        inner = f"<msubsup>{_letter(part.base)}{below}{_row([mathml_of(part.exponent)])}</msubsup>"
        return f'<mrow data-symbol="{escape(part.base.key)}">{inner}</mrow>'
    base = _within(part.base, Sum, Minus, Product, Fraction, Power, Series)
    return f"<msup>{base}{_row([mathml_of(part.exponent)])}</msup>"


@mathml_of.register
def _root(part: Root) -> str:
    return f"<msqrt>{mathml_of(part.body)}</msqrt>"


@mathml_of.register
def _fence(part: Fence) -> str:
    left, right = part.signs
    return f"<mrow><mo>{left}</mo>{mathml_of(part.body)}<mo>{right}</mo></mrow>"


@mathml_of.register
def _call(part: Call) -> str:
    arguments = "<mo>,</mo>".join(map(mathml_of, part.arguments))
    name, number = part.split()
    written = f"<mi>{escape(name)}</mi>"
    written = f"<msub>{written}<mn>{number}</mn></msub>" if number else written
    return f"<mrow>{written}{_APPLY}<mrow><mo>(</mo>{arguments}<mo>)</mo></mrow></mrow>"


@mathml_of.register
def _series(part: Series) -> str:
    below = f"<mrow>{mathml_of(part.index)}<mo>=</mo>{mathml_of(part.first)}</mrow>"
    sign = f"<munderover><mo>{part.sign}</mo>{below}{_row([mathml_of(part.last)])}</munderover>"
    return f"<mrow>{sign}{_within(part.body, Sum, Minus)}</mrow>"


@mathml_of.register
def _condition(part: Condition) -> str:
    return f"<mrow>{mathml_of(part.left)}<mo>{escape(part.relation)}</mo>{mathml_of(part.right)}</mrow>"


@mathml_of.register
def _count(part: Count) -> str:
    such = f"{mathml_of(part.index)}<mo>≥</mo>{mathml_of(part.first)}<mo>:</mo>{mathml_of(part.condition)}"
    return f"<mrow><mo>#</mo><mo>{{</mo>{such}<mo>}}</mo></mrow>"


@mathml_of.register
def _cases(part: Cases) -> str:
    rows = "".join(
        f"<mtr><mtd>{mathml_of(value)}<mo>,</mo></mtd><mtd>{mathml_of(condition)}</mtd></mtr>"
        for value, condition in part.branches
    )
    return f'<mrow><mo stretchy="true" form="prefix">{{</mo><mtable displaystyle="true">{rows}</mtable></mrow>'


@mathml_of.register
def _term(part: Term) -> str:
    return f'<mrow data-term="{part.group}.{part.name}">{mathml_of(part.body)}</mrow>'


def symbol_element(symbol: Symbol) -> str:
    """A symbol as a whole `<math>` element.

    Example:
        >>> symbol_element(Symbol("x")).count("<math")
        1
    """
    return f'<math alttext="{escape(text_of(symbol))}">{mathml_of(symbol)}</math>'


def math_element(left: Node, right: Node) -> str:
    """An equation as a whole `<math>` element, which also says itself as text.

    Example:
        >>> math_element(Symbol("x"), Number(1))[:38]
        '<math display="block" alttext="x = 1">'
    """
    said = escape(f"{text_of(left)} = {text_of(right)}")
    inner = f"<mrow>{mathml_of(left)}<mo>=</mo>{mathml_of(right)}</mrow>"
    return f'<math display="block" alttext="{said}">{inner}</math>'


def _letter(symbol: Symbol) -> str:
    letter = f"<mi>{escape(symbol.letter)}</mi>"
    mark = f'<mo stretchy="false">{_ACCENTS[symbol.mark]}</mo>' if symbol.mark else ""
    return f'<mover accent="true">{letter}{mark}</mover>' if mark else letter


def _below(symbol: Symbol) -> str:
    """What stands below a symbol's letter: its label and its index; "" for nothing."""
    parts = [f"<mtext>{escape(symbol.label)}</mtext>"] if symbol.label else []
    parts += [mathml_of(symbol.index)] if symbol.index is not None else []
    return _row(parts) if parts else ""


def _row(parts: list[str]) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _within(part: Node, *loose: type[Node]) -> str:
    """A part, in brackets where it is of a kind that binds less than its place."""
    inner = part
    while isinstance(inner, Term):
        inner = inner.body
    written = mathml_of(part)
    return f"<mrow><mo>(</mo>{written}<mo>)</mo></mrow>" if isinstance(inner, loose) else written
