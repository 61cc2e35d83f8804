"""What a formula is made of: a small tree of numbers, symbols, sums, fractions, roots and a few more.

Arithmetic builds it, so a formula in the code looks like the formula. `text`, `mathml` and `mathtext` write it, and
`evaluation` computes it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Node:
    """A part of a formula; `+ - * / **` join parts.

    Example:
        >>> t = Symbol("t")
        >>> (1 - t / 2) ** 2 == Power(Sum((Number(1), Minus(Fraction(t, Number(2))))), Number(2))
        True
    """

    def __add__(self, other: Any) -> Node:
        return Sum((*_terms(self), *_terms(node(other))))

    def __radd__(self, other: Any) -> Node:
        return node(other) + self

    def __sub__(self, other: Any) -> Node:
        return Sum((*_terms(self), Minus(node(other))))

    def __rsub__(self, other: Any) -> Node:
        return node(other) - self

    def __mul__(self, other: Any) -> Node:
        return Product((*_factors(self), *_factors(node(other))))

    def __rmul__(self, other: Any) -> Node:
        return node(other) * self

    def __truediv__(self, other: Any) -> Node:
        return Fraction(self, node(other))

    def __rtruediv__(self, other: Any) -> Node:
        return Fraction(node(other), self)

    def __pow__(self, other: Any) -> Node:
        return Power(self, node(other))

    def __rpow__(self, other: Any) -> Node:
        return Power(node(other), self)

    def __neg__(self) -> Node:
        return Minus(self)

    def children(self) -> Iterator[Node]:
        """The parts directly below, from left to right."""
        for value in vars(self).values():
            yield from _nodes_in(value)

    def walk(self) -> Iterator[Node]:
        """This part and all below it, from left to right."""
        yield self
        for child in self.children():
            yield from child.walk()


@dataclass(frozen=True)
class Number(Node):
    """A number of the formula itself, not a setting."""

    value: float


@dataclass(frozen=True)
class Symbol(Node):
    """A letter, perhaps with a hat, a label and an index: β₁, σ_t, m̂_{t−1}.

    Args:
        letter: one letter.
        label: part of the name, below the letter: `1` of β₁.
        mark: above the letter: "", `hat` or `bar`.
        meaning: what it stands for: its sentence in the catalogue is `formulas.symbol_` and this.
        index: which of a sequence, or None.

    Example:
        >>> v = Symbol("v", mark="hat")
        >>> v.key, v[Symbol("t") - 1].key
        ('v̂', 'v̂')
    """

    letter: str
    label: str = ""
    mark: str = ""
    meaning: str = ""
    index: Node | None = None

    def __getitem__(self, index: Any) -> Symbol:
        return replace(self, index=node(index))

    @property
    def key(self) -> str:
        """Its name without the index: two symbols of one formula with the same key are the same quantity."""
        return f"{self.letter}{_MARKS[self.mark]}{self.label}"


@dataclass(frozen=True)
class Minus(Node):
    """A part with the sign turned."""

    body: Node


@dataclass(frozen=True)
class Sum(Node):
    """Terms, added."""

    terms: tuple[Node, ...]


@dataclass(frozen=True)
class Product(Node):
    """Factors, multiplied."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Fraction(Node):
    """One part over another."""

    top: Node
    bottom: Node


@dataclass(frozen=True)
class Power(Node):
    """A part raised to another."""

    base: Node
    exponent: Node


@dataclass(frozen=True)
class Root(Node):
    """A square root."""

    body: Node


@dataclass(frozen=True)
class Fence(Node):
    """A part between two signs: |x|, or ⌊x⌋ (rounded down)."""

    body: Node
    signs: str


@dataclass(frozen=True)
class Call(Node):
    """A named function: cos, ln, sign, max, min, ∇L, and f or f₁, which the formula itself defines."""

    name: str
    arguments: tuple[Node, ...]

    def split(self) -> tuple[str, str]:
        """Its name and, as plain digits, the number below it.

        Example:
            >>> Call("f₁₂", ()).split()
            ('f', '12')
        """
        letters = self.name.rstrip(_LOWERED)
        return letters, "".join(str(_LOWERED.index(sign)) for sign in self.name[len(letters) :])


@dataclass(frozen=True)
class Series(Node):
    """A sum (∑) or a product (∏) over an index."""

    sign: str
    index: Symbol
    first: Node
    last: Node
    body: Node


@dataclass(frozen=True)
class Condition(Node):
    """A comparison: `<`, `≤`, `=`, `≥` or `>`."""

    left: Node
    relation: str
    right: Node


@dataclass(frozen=True)
class Count(Node):
    """How many whole numbers from `first` on meet a condition that fails for all after the first that fails it."""

    index: Symbol
    first: Node
    condition: Condition


@dataclass(frozen=True)
class Cases(Node):
    """Values with their conditions; the first condition that holds decides, and the last value is for the rest."""

    branches: tuple[tuple[Node, Condition], ...]


@dataclass(frozen=True)
class Term(Node):
    """A part that is lit when it acts; alone it means nothing.

    Args:
        body: the part.
        group: the terms of a group compete. In the group `change`, the one acts whose value has changed by the greatest
            factor since the step before; in any other, the largest.
        name: of the term in its group.
    """

    body: Node
    group: str
    name: str


@dataclass(frozen=True)
class Line:
    """An equation that defines its left side: a symbol, a symbol with an index, or a function of a symbol.

    Args:
        left: what is defined.
        right: how.
    """

    left: Symbol | Call
    right: Node

    @property
    def key(self) -> str:
        """The symbol's key, or the function's name."""
        return self.left.key if isinstance(self.left, Symbol) else self.left.name


def node(value: Any) -> Node:
    """A number as a part of a formula; a part is itself."""
    return value if isinstance(value, Node) else Number(float(value))


def root(body: Any) -> Root:
    """√body."""
    return Root(node(body))


def call(name: str, *arguments: Any) -> Call:
    """A named function of arguments."""
    return Call(name, tuple(map(node, arguments)))


def when(left: Any, relation: str, right: Any) -> Condition:
    """A comparison."""
    return Condition(node(left), relation, node(right))


def cases(*branches: tuple[Any, Condition]) -> Cases:
    """Values with their conditions, in order."""
    return Cases(tuple((node(value), condition) for value, condition in branches))


def series(sign: str, index: Symbol, first: Any, last: Any, body: Any) -> Series:
    """A sum or a product over an index."""
    return Series(sign, index, node(first), node(last), node(body))


def changed(part: Any, change: Callable[[Node], Node]) -> Any:
    """The same part with every node below and itself changed, the innermost first.

    Example:
        >>> x, y = Symbol("x"), Symbol("y")
        >>> changed(x / 2, lambda part: y if part == x else part) == y / 2
        True
    """
    if isinstance(part, tuple):
        return tuple(changed(item, change) for item in part)
    if not isinstance(part, Node):
        return part
    return change(type(part)(**{name: changed(value, change) for name, value in vars(part).items()}))


_LOWERED = "₀₁₂₃₄₅₆₇₈₉"
_MARKS = {"": "", "hat": "\u0302", "bar": "\u0304"}


def _terms(part: Node) -> tuple[Node, ...]:
    return part.terms if isinstance(part, Sum) else (part,)


def _factors(part: Node) -> tuple[Node, ...]:
    return part.factors if isinstance(part, Product) else (part,)


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes_in(item)
