"""A formula as MathML, which browsers draw without a library: presentation markup, with marks for what is lit.

A symbol's element has `data-symbol`, its key; a term's has `data-term`, its group and its name.
"""

from __future__ import annotations

from functools import singledispatch
from html import escape
from typing import Final

from thalweg.formulas import tree
from thalweg.formulas.text import number_text, text_of


_ACCENTS: Final = {"hat": "^", "bar": "¯"}
_TIMES: Final = "<mo>\u2062</mo>"  # invisible; screen readers say it
_APPLY: Final = "<mo>\u2061</mo>"


@singledispatch
def mathml_of(part: tree.Node) -> str:
    """A part of a formula as the inside of a `<math>` element.

    Example:
        >>> mathml_of(tree.Fraction(tree.Number(1), tree.Number(2)))
        '<mfrac><mrow><mn>1</mn></mrow><mrow><mn>2</mn></mrow></mfrac>'
    """
    raise TypeError(part)


@mathml_of.register
def _number(part: tree.Number) -> str:
    return f"<mn>{number_text(part.value)}</mn>"


@mathml_of.register
def _symbol(part: tree.Symbol) -> str:
    letter = _letter(part)
    inner = f"<msub>{letter}{below}</msub>" if (below := _below(part)) else letter
    return f'<mrow data-symbol="{escape(part.key)}">{inner}</mrow>'


@mathml_of.register
def _minus(part: tree.Minus) -> str:
    return f"<mrow><mo>−</mo>{_within(part.body, tree.Sum, tree.Minus)}</mrow>"


@mathml_of.register
def _sum(part: tree.Sum) -> str:
    written = [mathml_of(part.terms[0])]
    for term in part.terms[1:]:
        if isinstance(term, tree.Minus):
            written += ["<mo>−</mo>", _within(term.body, tree.Sum, tree.Minus)]
        else:
            written += ["<mo>+</mo>", mathml_of(term)]
    return _row(written)


@mathml_of.register
def _product(part: tree.Product) -> str:
    written = [_within(factor, tree.Sum, tree.Minus, tree.Cases) for factor in part.factors[:-1]]
    written.append(_within(part.factors[-1], tree.Sum, tree.Minus))
    return _row([_TIMES.join(written)])


@mathml_of.register
def _fraction(part: tree.Fraction) -> str:
    return f"<mfrac>{_row([mathml_of(part.top)])}{_row([mathml_of(part.bottom)])}</mfrac>"


@mathml_of.register
def _power(part: tree.Power) -> str:
    if isinstance(part.base, tree.Symbol) and (below := _below(part.base)):  # index and exponent one above the other
        inner = f"<msubsup>{_letter(part.base)}{below}{_row([mathml_of(part.exponent)])}</msubsup>"
        return f'<mrow data-symbol="{escape(part.base.key)}">{inner}</mrow>'
    base = _within(part.base, tree.Sum, tree.Minus, tree.Product, tree.Fraction, tree.Power, tree.Series)
    return f"<msup>{base}{_row([mathml_of(part.exponent)])}</msup>"


@mathml_of.register
def _root(part: tree.Root) -> str:
    return f"<msqrt>{mathml_of(part.body)}</msqrt>"


@mathml_of.register
def _fence(part: tree.Fence) -> str:
    left, right = part.signs
    return f"<mrow><mo>{left}</mo>{mathml_of(part.body)}<mo>{right}</mo></mrow>"


@mathml_of.register
def _call(part: tree.Call) -> str:
    arguments = "<mo>,</mo>".join(map(mathml_of, part.arguments))
    name, number = part.split()
    written = f"<mi>{escape(name)}</mi>"
    written = f"<msub>{written}<mn>{number}</mn></msub>" if number else written
    return f"<mrow>{written}{_APPLY}<mrow><mo>(</mo>{arguments}<mo>)</mo></mrow></mrow>"


@mathml_of.register
def _series(part: tree.Series) -> str:
    below = f"<mrow>{mathml_of(part.index)}<mo>=</mo>{mathml_of(part.first)}</mrow>"
    sign = f"<munderover><mo>{part.sign}</mo>{below}{_row([mathml_of(part.last)])}</munderover>"
    return f"<mrow>{sign}{_within(part.body, tree.Sum, tree.Minus)}</mrow>"


@mathml_of.register
def _condition(part: tree.Condition) -> str:
    return f"<mrow>{mathml_of(part.left)}<mo>{escape(part.relation)}</mo>{mathml_of(part.right)}</mrow>"


@mathml_of.register
def _count(part: tree.Count) -> str:
    such = f"{mathml_of(part.index)}<mo>≥</mo>{mathml_of(part.first)}<mo>:</mo>{mathml_of(part.condition)}"
    return f"<mrow><mo>#</mo><mo>{{</mo>{such}<mo>}}</mo></mrow>"


@mathml_of.register
def _cases(part: tree.Cases) -> str:
    rows = "".join(
        f"<mtr><mtd>{mathml_of(value)}<mo>,</mo></mtd><mtd>{mathml_of(condition)}</mtd></mtr>"
        for value, condition in part.branches
    )
    return f'<mrow><mo stretchy="true" form="prefix">{{</mo><mtable displaystyle="true">{rows}</mtable></mrow>'


@mathml_of.register
def _term(part: tree.Term) -> str:
    return f'<mrow data-term="{part.group}.{part.name}">{mathml_of(part.body)}</mrow>'


def symbol_element(symbol: tree.Symbol) -> str:
    """A symbol as a whole `<math>` element.

    Example:
        >>> symbol_element(tree.Symbol("x")).count("<math")
        1
    """
    return f'<math alttext="{escape(text_of(symbol))}">{mathml_of(symbol)}</math>'


def math_element(left: tree.Node, right: tree.Node) -> str:
    """An equation as a whole `<math>` element, which also says itself as text.

    Example:
        >>> math_element(tree.Symbol("x"), tree.Number(1))[:38]
        '<math display="block" alttext="x = 1">'
    """
    said = escape(f"{text_of(left)} = {text_of(right)}")
    inner = f"<mrow>{mathml_of(left)}<mo>=</mo>{mathml_of(right)}</mrow>"
    return f'<math display="block" alttext="{said}">{inner}</math>'


def _letter(symbol: tree.Symbol) -> str:
    letter = f"<mi>{escape(symbol.letter)}</mi>"
    mark = f'<mo stretchy="false">{_ACCENTS[symbol.mark]}</mo>' if symbol.mark else ""
    return f'<mover accent="true">{letter}{mark}</mover>' if mark else letter


def _below(symbol: tree.Symbol) -> str:
    """What stands below a symbol's letter: its label and its index; "" for nothing."""
    parts = [f"<mtext>{escape(symbol.label)}</mtext>"] if symbol.label else []
    parts += [mathml_of(symbol.index)] if symbol.index is not None else []
    return _row(parts) if parts else ""


def _row(parts: list[str]) -> str:
    return f"<mrow>{''.join(parts)}</mrow>"


def _within(part: tree.Node, *loose: type[tree.Node]) -> str:
    """A part, in brackets where it is of a kind that binds less than its place."""
    inner = part
    while isinstance(inner, tree.Term):
        inner = inner.body
    written = mathml_of(part)
    return f"<mrow><mo>(</mo>{written}<mo>)</mo></mrow>" if isinstance(inner, loose) else written
