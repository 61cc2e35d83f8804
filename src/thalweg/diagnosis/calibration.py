"""The confidence of a verdict: how often its rule was right on programs whose faults are known.

The programs are those of the zoo's families, healthy and with one fault each. Healthy and faulty ones count equally as
a whole, because nobody knows how frequent faults are among trainings that people diagnose. With n verdicts of a rule,
of which k were right, the confidence is

    (k + K p) / (n + K)

where p is what a rule of its kind is worth: the mean of such shares over the rules of its kind, each of which counts
once, and K is `SHRINKAGE`; at most `MOST`. A rule that never held is as sure as p. The share over the kind's verdicts
would be too high for it: the few rules that hold often are the better ones.

That says how sure a rule is on programs that were made for counting. Programs of others, which nobody who wrote a rule
had seen, are harder: their counts come on top in the same way, with the share of the families in place of p. Each set
of them is a family whose name begins with `OTHERS`. Leaving out each family in turn tells whether that holds for
programs of other kinds: `calibration_error`.

Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599, for the error.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from thalweg.diagnosis.rule import WELL


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thalweg.diagnosis.rule import Rule

SHRINKAGE: Final = 4.0
MOST: Final = 0.99  # a few hundred programs cannot show more
BINS: Final = 10
FILE: Final = "calibration.json"
OTHERS: Final = "programs of others"
_NONE: Final = (0.0, 0.0)  # nothing right, nothing said


@dataclass(frozen=True, slots=True)
class Said:
    """A verdict on a program whose fault is known.

    Attributes:
        family: kind of the program.
        rule: `key_of` the rule that gave the verdict.
        kind: `kind_of` that rule.
        healthy: whether the program has no fault.
        right: whether the verdict was right.
    """

    family: str
    rule: str
    kind: str
    healthy: bool
    right: bool

    @property
    def code(self) -> str:
        """What was said."""
        return self.rule.partition(":")[0]

    @property
    def is_of_others(self) -> bool:
        """Whether it is of one of the sets of programs of others; each set is a family."""
        return self.family.startswith(OTHERS)


def key_of(rule: Rule) -> str:
    """A rule's name: its code and the measures that it asks for.

    Example:
        >>> from thalweg.diagnosis.rules import RULES
        >>> key_of(RULES[0])
        'bad_inputs: inputs_nonfinite outputs_nonfinite'
    """
    return f"{rule.code}: {' '.join(condition.name for condition in rule.conditions)}"


def kind_of(rule: Rule) -> str:
    """The kind of a rule: `exact`, `quiet` (nothing is wrong), `tried` (it needs a trial), or `inferred`."""
    if rule.prior == 1.0:
        return "exact"
    if rule.code in WELL:
        return "quiet"
    needed = [condition.name for condition in rule.conditions if not condition.optional]
    return "tried" if any(name.startswith("tried_") for name in needed) else "inferred"


class Calibration:
    """The confidence of each rule, from verdicts on programs whose faults are known."""

    def __init__(self, verdicts: Iterable[Said]) -> None:
        verdicts = list(verdicts)
        self._rules = _counted([said for said in verdicts if not said.is_of_others])
        self._others = _counted([said for said in verdicts if said.is_of_others])
        kinds = {said.rule: said.kind for said in verdicts}
        self._kinds: dict[str, tuple[float, float]] = defaultdict(lambda: _NONE)
        for rule, (right, count) in _counted(verdicts).items():
            shares, rules = self._kinds[kinds[rule]]
            self._kinds[kinds[rule]] = shares + right / count, rules + 1
        shares, rules = (sum(column) for column in zip(*self._kinds.values(), strict=True)) if verdicts else (1.0, 2.0)
        self._overall = shares / rules

    def confidence(self, rule: str, kind: str) -> float:
        """The probability that a verdict by a rule is right, in (0, `MOST`]."""
        of_kind = _shrunk(self._kinds.get(kind, _NONE), self._overall)
        of_rule = min(MOST, _shrunk(self._rules.get(rule, _NONE), of_kind))
        return min(MOST, _shrunk(self._others.get(rule, _NONE), of_rule))


def confidence_of(rule: Rule) -> float:
    """The confidence of a verdict by a rule.

    Example:
        >>> from thalweg.diagnosis.rules import RULES
        >>> confidence_of(RULES[0]) > 0.9  # NaN in the inputs is exact
        True
    """
    return _shipped().confidence(key_of(rule), kind_of(rule))


def weights(verdicts: Sequence[Said]) -> list[float]:
    """A weight for each verdict, so that healthy and faulty programs count equally as a whole."""
    well = sum(said.healthy for said in verdicts)
    ill = len(verdicts) - well
    return [ill / well if said.healthy and ill else 1.0 for said in verdicts]


def calibration_error(verdicts: Sequence[Said]) -> float:
    """The expected calibration error over families left out.

    Each verdict gets the confidence that the other families give its rule. In each of ten bins of confidence, the share
    of right verdicts is compared with the mean confidence; the error is the mean difference, weighted by verdicts.

    Args:
        verdicts: of at least two families.

    Returns:
        The error, in [0, 1].
    """
    sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
    by_family: dict[str, Calibration] = {
        family: Calibration(said for said in verdicts if said.family != family)
        for family in {said.family for said in verdicts}
    }
    weighing = weights(verdicts)
    for said, weight in zip(verdicts, weighing, strict=True):
        confidence = by_family[said.family].confidence(said.rule, said.kind)
        row = sums[min(BINS - 1, int(confidence * BINS))]
        row[0] += weight * confidence
        row[1] += weight * said.right
    return sum(abs(expected - right) for expected, right in sums.values()) / sum(weighing)


def to_json(verdicts: Iterable[Said]) -> str:
    """Write verdicts as JSON: how often each rule was said and right, by family, of faulty and healthy programs."""
    found: dict[str, dict[str, list[int]]] = {}
    kinds: dict[str, str] = {}
    for said in verdicts:
        row = found.setdefault(said.family, {}).setdefault(said.rule, [0, 0, 0, 0])
        row[2 * said.healthy] += 1
        row[2 * said.healthy + 1] += said.right
        kinds[said.rule] = said.kind
    lines = [
        f"  {json.dumps(family)}: {{\n"
        + ",\n".join(f"    {json.dumps(rule)}: {json.dumps(row)}" for rule, row in sorted(rows.items()))
        + "\n  }"
        for family, rows in sorted(found.items())
    ]
    return (
        f'{{\n"kinds": {json.dumps(kinds, indent=2, sort_keys=True)},\n"families": {{\n' + ",\n".join(lines) + "\n}}\n"
    )


def from_json(text: str) -> list[Said]:
    """Read what `to_json` wrote."""
    found: Mapping[str, dict] = json.loads(text)
    return [
        Said(family, rule, found["kinds"][rule], healthy, at < row[2 * healthy + 1])
        for family, rows in found["families"].items()
        for rule, row in rows.items()
        for healthy in (False, True)
        for at in range(row[2 * healthy])
    ]


def shipped() -> list[Said]:
    """The verdicts that come with the package."""
    return from_json(files("thalweg.diagnosis").joinpath(FILE).read_text(encoding="utf-8"))


@cache
def _shipped() -> Calibration:
    return Calibration(shipped())


def _counted(verdicts: Sequence[Said]) -> dict[str, tuple[float, float]]:
    """How often each rule was right, and how often it spoke."""
    table: dict[str, tuple[float, float]] = {}
    for said, weight in zip(verdicts, weights(verdicts), strict=True):
        right, count = table.get(said.rule, _NONE)
        table[said.rule] = right + weight * said.right, count + weight
    return table


def _shrunk(counted: tuple[float, float], share: float) -> float:
    right, count = counted
    return (right + SHRINKAGE * share) / (count + SHRINKAGE)
