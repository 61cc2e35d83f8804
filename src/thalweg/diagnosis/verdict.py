"""A verdict: a code with numbers, never prose; the catalogue puts it into words."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thalweg.diagnosis.proof import Proof

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
    "gradients_not_cleared",
    "healthy",
    "lr_too_large",
    "lr_too_small",
    "model_too_small",
    "noise_floor",
    "overfitting",
    "parameters_not_trained",
    "ravine",
    "saddle",
    "saturated_units",
    "vanishing_gradients",
    "weight_decay_too_strong",
    "wrong_loss",
)
"""All codes but `unsure`."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number against its threshold.

    Attributes:
        name: of the measure; the catalogue has `evidence_<name>`.
        value: what was measured.
        relation: `<` or `>`: how the value must stand to the threshold to speak for the verdict.
        threshold: see the page of the verdict for where it comes from.
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
        return t(
            "diagnosis.evidence_line",
            what=t(f"diagnosis.evidence_{self.name}"),
            value=self.value,
            relation=self.relation,
            threshold=self.threshold,
        )


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to try: a code of the catalogue (`remedy_<code>`) with the numbers that it names."""

    code: str
    values: Mapping[str, float | str]

    def __str__(self) -> str:
        return t(f"diagnosis.remedy_{self.code}", **self.values)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a training stands where it stands.

    Attributes:
        code: one of `CODES`, or `unsure`.
        confidence: in [0, 1]: how far the evidence lies from its thresholds; no probability.
        evidence: what decided, the nearest to its threshold last.
        remedies: what to try, in this order.
        alternatives: the next nearest codes, with their confidence.
        unchecked: what was not looked at, as keys of the catalogue (`unchecked_<name>`).
        measures: all numbers that were known.
        proof: what the first remedy did beside the unchanged training, when it was asked for.
    """

    code: str
    confidence: float
    evidence: tuple[Evidence, ...]
    remedies: tuple[Remedy, ...]
    alternatives: tuple[tuple[str, float], ...]
    unchecked: tuple[str, ...]
    measures: Mapping[str, float]
    proof: Proof | None = None

    @property
    def ill(self) -> bool:
        """Whether something is wrong: neither healthy, nor converged, nor unsure."""
        return self.code not in {"healthy", "converged", UNSURE}

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "confidence": self.confidence,
            "title": t(f"diagnosis.verdict_{self.code}_title"),
            "text": t(f"diagnosis.verdict_{self.code}_text"),
            "evidence": [{**asdict(item), "supports": item.supports, "text": str(item)} for item in self.evidence],
            "remedies": [{**asdict(item), "text": str(item)} for item in self.remedies],
            "alternatives": [{"code": code, "confidence": confidence} for code, confidence in self.alternatives],
            "unchecked": list(self.unchecked),
            "measures": dict(self.measures),
            "proof": self.proof.to_dict() if self.proof else None,
        }

    def __str__(self) -> str:
        lines = [
            t("diagnosis.headline", title=t(f"diagnosis.verdict_{self.code}_title"), confidence=self.confidence),
            t(f"diagnosis.verdict_{self.code}_text"),
        ]
        if self.evidence:
            lines += ["", t("diagnosis.evidence_head"), *(f"  {item}" for item in self.evidence)]
        if self.remedies:
            lines += ["", t("diagnosis.remedies_head")]
            lines += [f"  {number}. {item}" for number, item in enumerate(self.remedies, start=1)]
        if self.alternatives:
            names = ", ".join(
                t("diagnosis.alternative", title=t(f"diagnosis.verdict_{code}_title"), confidence=confidence)
                for code, confidence in self.alternatives
            )
            lines += ["", t("diagnosis.alternatives_head", names=names)]
        if self.unchecked:
            names = "; ".join(t(f"diagnosis.unchecked_{name}") for name in self.unchecked)
            lines += ["", t("diagnosis.unchecked_head", names=names)]
        if self.proof:
            lines += ["", str(self.proof)]
        return "\n".join(lines)
