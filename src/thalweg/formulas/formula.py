"""A formula with a name: its lines, the numbers of its settings, and how it is written and computed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

from thalweg.formulas.evaluation import Scope, evaluate
from thalweg.formulas.mathml import math_element, symbol_element
from thalweg.formulas.mathtext import mathtext_of
from thalweg.formulas.text import text_of
from thalweg.formulas.tree import Symbol, Term
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

    from thalweg.formulas.tree import Line, Node

_NAMED: Final = {"cross_entropy", "mse", "sigmoid", "softmax"}


@dataclass(frozen=True, eq=False)
class Formula:
    """Lines that belong together.

    Args:
        name: of the formula; for a schedule, its text.
        lines: the equations, in reading order. Those whose left side has the index t are computed in this order.
        settings: symbol key to number, or for a symbol with an index, to numbers by index.
        start: symbol key to its number before the first step.
        recovered: symbol key to how it follows from what a trace records, where it does.
        clock: letter of the index that counts the steps.

    Example:
        >>> from thalweg.formulas import get
        >>> print(get("rmsprop").text)
        v_t = α v_{t−1} + (1 − α) g_t²; σ_t = √v_t + ε; θ_t = θ_{t−1} − η_t g_t / σ_t
    """

    name: str
    lines: tuple[Line, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    recovered: Mapping[str, Node] = field(default_factory=dict)
    clock: str = "t"

    @property
    def title(self) -> str:
        """Its name for people, in the current language; optimizers and schedules are called what commands call them."""
        return t(f"formulas.name_{self.name}") if self.name in _NAMED else self.name

    @property
    def texts(self) -> list[str]:
        """Each line in Unicode."""
        return [f"{text_of(line.left)} = {text_of(line.right)}" for line in self.lines]

    @property
    def text(self) -> str:
        """All lines in one, as in docstrings."""
        return "; ".join(self.texts)

    @property
    def mathml(self) -> list[str]:
        """Each line as a `<math>` element."""
        return [math_element(line.left, line.right) for line in self.lines]

    @property
    def mathtext(self) -> list[str]:
        """Each line for matplotlib, with its dollar signs."""
        return [f"${mathtext_of(line.left)} = {mathtext_of(line.right)}$" for line in self.lines]

    @property
    def stepped(self) -> list[Line]:
        """The lines of a step: those whose left side has the clock as its index."""
        return [line for line in self.lines if isinstance(line.left, Symbol) and _letter(line.left.index) == self.clock]

    def symbols(self) -> list[Symbol]:
        """Every symbol with a meaning, in reading order, each once."""
        found: dict[str, Symbol] = {}
        for part in self._parts():
            if isinstance(part, Symbol) and part.meaning:
                found.setdefault(part.key, part)
        return list(found.values())

    def symbol_elements(self) -> list[tuple[Symbol, str]]:
        """Every symbol with a meaning and the `<math>` element that shows it."""
        return [(symbol, symbol_element(symbol)) for symbol in self.symbols()]

    def numbers(self) -> list[tuple[str, float]]:
        """Each setting and its number, by its symbol as text, in reading order."""
        found: list[tuple[Symbol, float]] = []
        for symbol in self.symbols():
            value = self.settings.get(symbol.key)
            if isinstance(value, tuple):
                found += [(symbol[at], number) for at, number in enumerate(value) if isfinite(number)]
            elif isinstance(value, dict):
                found += [(symbol[at], number) for at, number in value.items()]
            elif value is not None:
                found.append((replace(symbol, index=None), value))
        return [(text_of(symbol), float(number)) for symbol, number in found]

    @cached_property
    def terms(self) -> dict[str, list[Term]]:
        """The terms that are lit when they act, by group, in reading order."""
        groups: dict[str, list[Term]] = {}
        for part in self._parts():
            if isinstance(part, Term):
                groups.setdefault(part.group, []).append(part)
        return groups

    def value(self, **values: Any) -> Any:
        """The number of the first line's right side.

        Args:
            **values: numbers of the symbols that have no setting.

        Example:
            >>> from thalweg.formulas import get
            >>> float(get("cosine").value(t=50, T=100)).__round__(12)
            0.5
        """
        return evaluate(self.lines[0].right, Scope({**self.settings, **values}, self.lines))

    def step(self, history: Mapping[str, MutableMapping[int, Any]], at: int) -> None:
        """Compute the lines of a step, in order, and write the numbers into the history.

        Args:
            history: symbol key to numbers by step: all before the step, and of the step those that no line defines.
            at: the step, at least 1.

        Example:
            >>> from thalweg.formulas import get
            >>> history = {"θ": {0: 1.0}, "g": {1: 2.0}, "η": {1: 0.1}}
            >>> get("sgd").step(history, 1)
            >>> history["θ"][1]
            0.8
        """
        scope = Scope({**self.settings, **history, self.clock: at}, self.lines)
        for line in self.stepped:
            history[line.key][at] = float(evaluate(line.right, scope))

    def _parts(self) -> Iterator[Node]:
        for line in self.lines:
            yield from line.left.walk()
            yield from line.right.walk()


def _letter(index: Node | None) -> str:
    return index.letter if isinstance(index, Symbol) else ""
