"""The parts of an optimizer's formula: its own lines, and what its update follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from thalweg.formulas.symbols import EPSILON, RATE, STEP
from thalweg.formulas.tree import Node, Term, root


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thalweg.formulas.tree import Line


@dataclass(frozen=True, eq=False)
class Rule:
    """An optimizer's own lines, and the parts of its update.

    Args:
        direction: what the update follows.
        scale: what divides it, or None.
        rate: what multiplies it.
        lines: what comes before the update; `after` comes behind it.
        settings: symbol key to number; of an optimizer's fields.
        start: symbol key to its number before the first step.
        recovered: see `Formula`.
    """

    direction: Node
    scale: Node | None = None
    rate: Node = RATE[STEP]
    lines: tuple[Line, ...] = ()
    after: tuple[Line, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    start: Mapping[str, float] = field(default_factory=dict)
    recovered: Mapping[str, Node] = field(default_factory=dict)


def mixed(old: Node, new: Node, group: str) -> Node:
    """What is kept of before, and what is new: the larger one acts."""
    return Term(old, group, "old") + Term(new, group, "new")


def rooted(body: Node) -> Node:
    """√body + ε: the ε acts where the root is smaller."""
    return Term(root(body), "root", "root") + Term(EPSILON, "root", "epsilon")
