"""A formula as a line of Unicode, for the terminal and the docstrings: `v_t = β₂ v_{t−1} + (1 − β₂) g_t²`."""

from __future__ import annotations

from functools import singledispatch
from typing import Final

from thalweg.formulas import tree


_RAISED: Final = {**dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True)), "t": "ᵗ", "i": "ⁱ", "k": "ᵏ"}
_LOWERED: Final = dict(zip("0123456789+−", "₀₁₂₃₄₅₆₇₈₉₊₋", strict=True))
_LOOSE: Final = {
    tree.Sum: 0,
    tree.Minus: 0,
    tree.Condition: 0,
    tree.Series: 1,
    tree.Product: 1,
    tree.Fraction: 1,
    tree.Power: 2,
}
_ATOM: Final = 3


@singledispatch
def text_of(part: tree.Node) -> str:
    """A part of a formula as Unicode.

    Args:
        part: any.

    Example:
        >>> t, beta, v = tree.Symbol("t"), tree.Symbol("β", "2"), tree.Symbol("v")
        >>> text_of(v[t - 1] / (1 - beta**t))
        'v_{t−1} / (1 − β₂ᵗ)'
    """
    raise TypeError(part)


@text_of.register
def _number(part: tree.Number) -> str:
    return number_text(part.value)


@text_of.register
def _symbol(part: tree.Symbol) -> str:
    name = part.key.removesuffix(part.label)
    if part.label:
        lowered = "".join(_LOWERED.get(sign, "") for sign in part.label)
        name += lowered if len(lowered) == len(part.label) else f"_{part.label}"
    if part.index is None:
        return name
    index = text_of(part.index).replace(" ", "")
    if set(index) <= _LOWERED.keys():
        return name + "".join(_LOWERED[sign] for sign in index)
    return f"{name}_{index}" if len(index) == 1 else f"{name}_{{{index}}}"


@text_of.register
def _minus(part: tree.Minus) -> str:
    return f"−{_within(part.body, 1)}"


@text_of.register
def _sum(part: tree.Sum) -> str:
    written = text_of(part.terms[0])
    for term in part.terms[1:]:
        turned = isinstance(term, tree.Minus)
        body = _within(term.body, 1) if isinstance(term, tree.Minus) else text_of(term)
        written += f" {'−' if turned else '+'} {body}"
    return written


@text_of.register
def _product(part: tree.Product) -> str:
    *front, last = part.factors
    parts = [_within(factor, 1 if isinstance(_bare(factor), tree.Product) else 2) for factor in front]
    return " ".join([*parts, _within(last, 1)])


@text_of.register
def _fraction(part: tree.Fraction) -> str:
    return f"{_within(part.top, 1)} / {_within(part.bottom, 2)}"


@text_of.register
def _power(part: tree.Power) -> str:
    exponent = text_of(part.exponent)
    base = _within(part.base, _ATOM)
    if set(exponent) <= _RAISED.keys():
        return base + "".join(_RAISED[sign] for sign in exponent)
    is_short = len(exponent) == 1 or isinstance(part.exponent, tree.Fence | tree.Count | tree.Symbol)
    return f"{base}^{exponent}" if is_short else f"{base}^({exponent})"


@text_of.register
def _root(part: tree.Root) -> str:
    return f"√{_within(part.body, _ATOM)}"


@text_of.register
def _fence(part: tree.Fence) -> str:
    return f"{part.signs[0]}{text_of(part.body)}{part.signs[1]}"


@text_of.register
def _call(part: tree.Call) -> str:
    return f"{part.name}({', '.join(map(text_of, part.arguments))})"


@text_of.register
def _series(part: tree.Series) -> str:
    first, last = (text_of(end).replace(" ", "") for end in (part.first, part.last))
    last = last if len(last) == 1 else f"({last})"
    return f"{part.sign}_{{{text_of(part.index)}={first}}}^{last} {_within(part.body, 1)}"


@text_of.register
def _condition(part: tree.Condition) -> str:
    return f"{text_of(part.left)} {part.relation} {text_of(part.right)}"


@text_of.register
def _count(part: tree.Count) -> str:
    return f"#{{{text_of(part.index)} ≥ {text_of(part.first)}: {text_of(part.condition)}}}"


@text_of.register
def _cases(part: tree.Cases) -> str:
    return f"{{{'; '.join(f'{text_of(value)}, {text_of(condition)}' for value, condition in part.branches)}}}"


@text_of.register
def _term(part: tree.Term) -> str:
    return text_of(part.body)


def number_text(value: float) -> str:
    """A number as a formula has it: `2`, `0.96`, `10⁻⁸`, `∞`.

    Example:
        >>> number_text(2.0), number_text(1e-8), number_text(-0.5)
        ('2', '10⁻⁸', '−0.5')
    """
    if value < 0:
        return f"−{number_text(-value)}"
    plain = f"{value:.6g}".replace("inf", "∞")
    digits, exponential, power = plain.partition("e")
    if not exponential:
        return plain
    raised = "".join(_RAISED.get(sign, "⁻") for sign in str(int(power)))
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"


def _within(part: tree.Node, least: int) -> str:
    """A part as text, in brackets where it binds less than it must."""
    written = text_of(part)
    return f"({written})" if _LOOSE.get(type(_bare(part)), _ATOM) < least else written


def _bare(part: tree.Node) -> tree.Node:
    return _bare(part.body) if isinstance(part, tree.Term) else part
