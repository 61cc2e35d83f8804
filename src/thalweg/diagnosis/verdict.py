"""A verdict: a code with numbers, never prose; the catalogue puts it into words."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from thalweg.diagnosis.measures.table import MEASURES, SHOWN
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Mapping

UNSURE = "unsure"
CODES = (
    "bad_inputs",
    "bad_targets",
    "batchnorm_mismatch",
    "class_imbalance",
    "clipped_too_hard",
    "converged",
    "dead_units",
    "decayed_too_early",
    "diverged",
    "dropout_too_strong",
    "exploding_gradients",
    "healthy",
    "ill_conditioned",
    "lr_too_large",
    "lr_too_small",
    "model_too_small",
    "noise_floor",
    "not_shuffled",
    "optimizer_not_stepping",
    "overfitting",
    "saddle",
    "samples_mixed",
    "saturated_units",
    "symmetric_weights",
    "too_few_steps",
    "untrained_parameters",
    "vanishing_gradients",
    "weight_decay_too_strong",
    "wrong_loss",
    "wrong_mode",
    "zero_grad_missing",
)
"""All codes except `unsure`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One measure against its threshold.

    Attributes:
        name: of the measure, a key of `measures.table.MEASURES`.
        value: of the measure.
        relation: `<` or `>`: the side of the threshold that speaks for the verdict.
        threshold: its source is on the verdict's page in docs/verdicts.
    """

    name: str
    value: float
    relation: str
    threshold: float

    @property
    def supports(self) -> bool:
        """Whether the number speaks for the verdict."""
        return self.value < self.threshold if self.relation == "<" else self.value > self.threshold

    @property
    def numbers(self) -> str:
        """Value and threshold with their unit, such as `22% (> 0.6%)`; empty for a flag, which its words state."""
        measure = MEASURES[self.name]
        if measure.unit == "flag":
            return ""
        return t(
            "diagnosis.evidence_numbers",
            value=measure.text(self.value),
            relation=self.relation,
            threshold=measure.text(self.threshold),
        )

    def __str__(self) -> str:
        words = MEASURES[self.name].words
        return t("diagnosis.evidence_line", what=words, numbers=self.numbers) if self.numbers else words


@dataclass(frozen=True, slots=True)
class Fix:
    """What to change: a code, whose text is `fix_<code>` in the catalogue, and the numbers in that text."""

    code: str
    values: Mapping[str, float | str]

    def __str__(self) -> str:
        return t(f"diagnosis.fix_{self.code}", **self.values)


@dataclass(frozen=True, slots=True)
class Trial:
    """A fix tried on one copy, beside a second copy without it.

    Attributes:
        fix: the fix that was tried; None if no fix of the verdict can be tried on a copy.
        yardstick: what is compared: `loss`, `loss_eval` (with batch norm's running statistics) or `accuracy`.
        steps: number of steps of each copy.
        before: the yardstick at the start.
        unchanged: the yardstick after `steps` steps without the fix.
        changed: the yardstick after as many steps with the fix.
        sooner: the first step at which the changed copy beats the unchanged copy's best; None: never.
        helped: whether the fix gains more than 2 % of the scale (the loss at the start; 1 for an accuracy).
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

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; the text is made again, in the current language."""
        kept = {name: value for name, value in values.items() if name != "text"}
        return cls(**{**kept, "fix": None if values["fix"] is None else Fix(**values["fix"])})

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
    """Why a training is stuck, or that it is not.

    Attributes:
        code: one of `CODES`, or `unsure`.
        confidence: a calibrated probability; None, because none has been calibrated yet.
        evidence: the numbers that decided; the one nearest to its threshold comes last.
        fixes: what to change, the first to try first.
        alternatives: the next most likely codes, each with its confidence or None.
        unchecked: what was not checked, by names whose texts are `unchecked_<name>` in the catalogue; `NAME:WHAT` has
            the value of a placeholder.
        measures: all numbers that were measured.
        trial: the trial of the first fix, if one was requested.
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
        """Whether a fault was found: the code is not `healthy`, `converged` or `unsure`."""
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
        shown = [measure for measure in SHOWN if math.isfinite(self.measures.get(measure.name, math.nan))]
        if shown:
            names = joined(
                (f"{measure.words} {measure.text(self.measures[measure.name])}" for measure in shown), long=True
            )
            lines += ["", t("diagnosis.shown_head", names=names)]
        if self.unchecked:
            names = joined(map(unchecked_text, self.unchecked), long=True)
            lines += ["", t("diagnosis.unchecked_head", names=names)]
        if self.trial:
            lines += ["", str(self.trial)]
        return "\n".join(lines)


def unchecked_text(name: str) -> str:
    """What was not checked, in words."""
    key, _, what = name.partition(":")
    return t(f"diagnosis.unchecked_{key}", what=what)


def _title(code: str) -> str:
    return t(f"diagnosis.verdict_{code}_title")
