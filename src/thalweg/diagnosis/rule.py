"""A rule of the diagnosis: a verdict, and the measures that lead to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from thalweg.diagnosis.measures.table import Condition

WELL = frozenset({"healthy", "converged"})  # verdicts that are no causes


@dataclass(frozen=True, slots=True)
class Rule:
    """A verdict and the conditions that lead to it.

    Attributes:
        code: of the verdict.
        conditions: all must hold.
        prior: standing of the rule when its measures lie far beyond their thresholds, in (0, 1]; not a probability.
        beside_learning: whether it may accuse a training that demonstrably learns, because a trial of the fix decides.
    """

    code: str
    conditions: tuple[Condition, ...]
    prior: float = 0.95
    beside_learning: bool = False

    @property
    def needs_replicas(self) -> bool:
        """Whether it holds only where several processes train one model: no program of one process can show it."""
        return any(condition.measure.source == "replicas" for condition in self.conditions)


def rule_of(code: str, *conditions: Condition, prior: float = 0.95, beside_learning: bool = False) -> Rule:
    """Return a rule; its conditions are given one by one, so that a table of rules reads well."""
    return Rule(code, conditions, prior, beside_learning)
