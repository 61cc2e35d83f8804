r"""A formula as matplotlib's mathtext, for pictures: `\sqrt{\hat{v}_{t}} + \epsilon`."""

from __future__ import annotations

from functools import singledispatch
from typing import Final

from thalweg.formulas import tree
from thalweg.formulas.text import number_text


_LETTERS: Final = {
    "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon", "η": r"\eta", "θ": r"\theta",
    "λ": r"\lambda", "μ": r"\mu", "π": r"\pi", "ρ": r"\rho", "σ": r"\sigma", "τ": r"\tau", "ψ": r"\psi", "∞": r"\infty",
    "ℓ": r"\ell",
}  # fmt: skip
_RELATIONS: Final = {"≤": r"\leq", "≥": r"\geq"}
_SERIES: Final = {"∑": r"\sum", "∏": r"\prod"}
_MARKS: Final = {"": "{}", "hat": r"\hat{{{}}}", "bar": r"\bar{{{}}}"}
_FENCES: Final = {"|": "|", "⌊": r"\lfloor ", "⌋": r"\rfloor "}
_RAISED: Final = dict(zip("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789", strict=True))


@singledispatch
def mathtext_of(part: tree.Node) -> str:
    r"""A part of a formula as mathtext, without the dollar signs.

    Example:
        >>> print(mathtext_of(tree.Root(tree.Symbol("v", mark="hat")[tree.Symbol("t")])))
        \sqrt{\hat{v}_{t}}
    """
    raise TypeError(part)


@mathtext_of.register
def _number(part: tree.Number) -> str:
    written = number_text(part.value).replace("−", "-").replace("·", r"\cdot ").replace("∞", r"\infty ")
    digits = written.rstrip("".join(_RAISED))
    power = "".join(_RAISED[sign] for sign in written[len(digits) :])
    return f"{digits}^{{{power}}}" if power else digits


@mathtext_of.register
def _symbol(part: tree.Symbol) -> str:
    letter = _MARKS[part.mark].format(_LETTERS.get(part.letter, part.letter))
    label = _LETTERS.get(part.label, part.label).replace("−", "-")
    label = rf"\mathrm{{{label}}}" if len(part.label) > 1 else label
    index = "" if part.index is None else mathtext_of(part.index)
    return f"{letter}_{{{label}{index}}}" if label or index else letter


@mathtext_of.register
def _minus(part: tree.Minus) -> str:
    return f"-{_within(part.body, tree.Sum, tree.Minus)}"


@mathtext_of.register
def _sum(part: tree.Sum) -> str:
    written = mathtext_of(part.terms[0])
    for term in part.terms[1:]:
        turned = isinstance(term, tree.Minus)
        written += f" - {_within(term.body, tree.Sum, tree.Minus)}" if turned else f" + {mathtext_of(term)}"
    return written


@mathtext_of.register
def _product(part: tree.Product) -> str:
    written = [_within(factor, tree.Sum, tree.Minus, tree.Cases) for factor in part.factors[:-1]]
    return r"\,".join([*written, _within(part.factors[-1], tree.Sum, tree.Minus)])


@mathtext_of.register
def _fraction(part: tree.Fraction) -> str:
    return rf"\dfrac{{{mathtext_of(part.top)}}}{{{mathtext_of(part.bottom)}}}"


@mathtext_of.register
def _power(part: tree.Power) -> str:
    base = _within(part.base, tree.Sum, tree.Minus, tree.Product, tree.Fraction, tree.Power, tree.Series)
    return f"{base}^{{{mathtext_of(part.exponent)}}}"


@mathtext_of.register
def _root(part: tree.Root) -> str:
    return rf"\sqrt{{{mathtext_of(part.body)}}}"


@mathtext_of.register
def _fence(part: tree.Fence) -> str:
    left, right = (_FENCES[sign] for sign in part.signs)
    return rf"\left{left}{mathtext_of(part.body)}\right{right}"


@mathtext_of.register
def _call(part: tree.Call) -> str:
    letters, number = part.split()
    name = rf"\mathrm{{{letters}}}" if letters.isalpha() and len(letters) > 1 else letters.replace("∇", r"\nabla ")
    name += f"_{{{number}}}" if number else ""
    return rf"{name}\left({', '.join(map(mathtext_of, part.arguments))}\right)"


@mathtext_of.register
def _series(part: tree.Series) -> str:
    ends = f"_{{{mathtext_of(part.index)}={mathtext_of(part.first)}}}^{{{mathtext_of(part.last)}}}"
    return rf"{{{_SERIES[part.sign]}}}{ends}\,{_within(part.body, tree.Sum, tree.Minus)}"


@mathtext_of.register
def _condition(part: tree.Condition) -> str:
    relation = _RELATIONS.get(part.relation, part.relation)
    return f"{mathtext_of(part.left)} {relation} {mathtext_of(part.right)}"


@mathtext_of.register
def _count(part: tree.Count) -> str:
    such = rf"{mathtext_of(part.index)} \geq {mathtext_of(part.first)}:\ {mathtext_of(part.condition)}"
    return rf"\#\{{{such}\}}"


@mathtext_of.register
def _cases(part: tree.Cases) -> str:
    rows = (rf"{mathtext_of(value)},\ {mathtext_of(condition)}" for value, condition in part.branches)
    between = r";\quad "
    return rf"\{{{between.join(rows)}\}}"


@mathtext_of.register
def _term(part: tree.Term) -> str:
    return mathtext_of(part.body)


def _within(part: tree.Node, *loose: type[tree.Node]) -> str:
    inner = part
    while isinstance(inner, tree.Term):
        inner = inner.body
    written = mathtext_of(part)
    return rf"\left({written}\right)" if isinstance(inner, loose) else written
