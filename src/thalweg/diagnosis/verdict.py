"""A verdict: a code with numbers, never prose; the catalogue puts it into words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis.measures.table import MEASURES, SHOWN
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Mapping

UNSURE = "unsure"
CODES = (
    "batchnorm_mismatch",
    "bad_inputs",
    "bad_targets",
    "converged",
    "dead_units",
    "decayed_too_early",
    "diverged",
    "exploding_gradients",
    "healthy",
    "ill_conditioned",
    "lr_too_large",
    "lr_too_small",
    "model_too_small",
    "noise_floor",
    "overfitting",
    "saddle",
    "saturated_units",
    "untrained_parameters",
    "vanishing_gradients",
    "weight_decay_too_strong",
    "wrong_loss",
    "zero_grad_missing",
)
"""All codes but `unsure`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number against its threshold.

    Attributes:
        name: of the measure, a key of `measures.table.MEASURES`; the catalogue has `evidence_<name>`.
        value: what was measured.
        relation: `<` or `>`: the side of the threshold that speaks for the verdict.
        threshold: the verdict's page says where it comes from.
    """

    name: str
    value: float
    relation: str
    threshold: float

    @property
    def supports(self) -> bool:
        """Whether the number speaks for the verdict."""
        return self.value < self.threshold if self.relation == "<" else self.value > self.threshold

    def __str__(self) -> str:
        measure = MEASURES[self.name]
        if measure.unit == "flag":
            return measure.words
        return t(
            "diagnosis.evidence_line",
            what=measure.words,
            value=measure.text(self.value),
            relation=self.relation,
            threshold=measure.text(self.threshold),
        )


@dataclass(frozen=True, slots=True)
class Fix:
    """What to change: a code of the catalogue (`fix_<code>`) with the numbers that it names."""

    code: str
    values: Mapping[str, float | str]

    def __str__(self) -> str:
        return t(f"diagnosis.fix_{self.code}", **self.values)


@dataclass(frozen=True, slots=True)
class Trial:
    """A fix tried on a copy, beside a copy of the unchanged training.

    Attributes:
        fix: the one that was tried; None if none of the verdict's can be tried on a copy.
        yardstick: `loss`, `loss_eval` (with batch norm's running statistics) or `accuracy`.
        steps: of each copy.
        before: the yardstick at the start.
        unchanged: the yardstick after `steps` steps without the fix.
        changed: the yardstick after as many steps with it.
        sooner: the first step at which the fix beats the best that the unchanged copy ever reached; None: never.
        helped: whether the fix gains more than 2 % of what there is to gain.
    """

    fix: Fix | None
    yardstick: str
    steps: int
    before: float
    unchanged: float
    changed: float
    sooner: int | None
    helped: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "text": str(self)}

    def __str__(self) -> str:
        if self.fix is None:
            return t("diagnosis.trial_none")
        return t(
            "diagnosis.trial_helped" if self.helped else "diagnosis.trial_not_helped",
            fix=str(self.fix),
            yardstick=t(f"diagnosis.yardstick_{self.yardstick}"),
            steps=self.steps,
            before=self.before,
            unchanged=self.unchanged,
            changed=self.changed,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a training stands where it stands.

    Attributes:
        code: one of `CODES`, or `unsure`.
        confidence: a probability where one was calibrated; None, as everywhere so far, where none was.
        evidence: the numbers that decided, the nearest to its threshold last.
        fixes: what to change, in this order.
        alternatives: the next nearest codes, each with its confidence or None.
        unchecked: what was not looked at, as keys of the catalogue (`unchecked_<name>`).
        measures: all numbers that were measured.
        trial: what the first fix did beside the unchanged training, if that was asked for.
    """

    code: str
    confidence: float | None
    evidence: tuple[Evidence, ...]
    fixes: tuple[Fix, ...]
    alternatives: tuple[tuple[str, float | None], ...]
    unchecked: tuple[str, ...]
    measures: Mapping[str, float]
    trial: Trial | None = None

    @property
    def ill(self) -> bool:
        """Whether something is wrong: neither healthy, nor converged, nor unsure."""
        return self.code not in {"healthy", "converged", UNSURE}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "confidence": self.confidence,
            "title": _title(self.code),
            "text": t(f"diagnosis.verdict_{self.code}_text"),
            "evidence": [{**asdict(item), "supports": item.supports, "text": str(item)} for item in self.evidence],
            "fixes": [{**asdict(item), "text": str(item)} for item in self.fixes],
            "alternatives": [{"code": code, "confidence": confidence} for code, confidence in self.alternatives],
            "unchecked": list(self.unchecked),
            "measures": dict(self.measures),
            "trial": self.trial.to_dict() if self.trial else None,
        }

    def __str__(self) -> str:
        lines = [_title(self.code), t(f"diagnosis.verdict_{self.code}_text")]
        if self.evidence:
            lines += ["", t("diagnosis.evidence_head"), *(f"  {item}" for item in self.evidence)]
        if self.fixes:
            lines += ["", t("diagnosis.fixes_head")]
            lines += [f"  {number}. {item}" for number, item in enumerate(self.fixes, start=1)]
        if self.alternatives:
            names = joined(_title(code) for code, _ in self.alternatives)
            lines += ["", t("diagnosis.alternatives_head", names=names)]
        shown = [measure for measure in SHOWN if measure.name in self.measures]
        if shown:
            names = joined(
                (f"{measure.words} {measure.text(self.measures[measure.name])}" for measure in shown), long=True
            )
            lines += ["", t("diagnosis.shown_head", names=names)]
        if self.unchecked:
            names = joined((t(f"diagnosis.unchecked_{name}") for name in self.unchecked), long=True)
            lines += ["", t("diagnosis.unchecked_head", names=names)]
        if self.trial:
            lines += ["", str(self.trial)]
        return "\n".join(lines)


def _title(code: str) -> str:
    return t(f"diagnosis.verdict_{code}_title")
