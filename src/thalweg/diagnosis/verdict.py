"""A verdict: a code with numbers, never prose; the catalogue puts it into words."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

from thalweg._notebook import shown_as
from thalweg.diagnosis.measures.table import CHECKED_BY, MEASURES, SHOWN
from thalweg.diagnosis.rule import WELL
from thalweg.diagnosis.wording import COMMON, Brief, fitting, text_of, wrapped
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
    "gradients_not_averaged",
    "healthy",
    "ill_conditioned",
    "inputs_ignored",
    "lr_too_large",
    "lr_too_small",
    "model_too_small",
    "noise_floor",
    "not_shuffled",
    "optimizer_not_stepping",
    "overfitting",
    "rank_without_data",
    "replicas_differ",
    "replicas_see_same_data",
    "saddle",
    "same_batch",
    "samples_mixed",
    "saturated_units",
    "straggler",
    "symmetric_weights",
    "target_leakage",
    "targets_unrelated",
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
    """What to change: a code, whose text is `fix_<code>` in the catalogue, and the numbers in that text.

    Attributes:
        code: of the fix.
        values: numbers and names; with an entry `line`, the program tells what to type: `line_<line>` is the text.
    """

    code: str
    values: Mapping[str, float | str]

    @property
    def line(self) -> str:
        """The line to change, and to what; empty if the program does not tell.

        Example:
            >>> told = {"line": "before", "at": "a.py:4", "code": "opt.zero_grad()", "there": "l.backward()"}
            >>> Fix("zero_grad", told).line
            'a.py:4: call `opt.zero_grad()` before `l.backward()`.'
        """
        kind = self.values.get("line")
        return t(f"diagnosis.line_{kind}", **self.values) if kind else ""

    def __str__(self) -> str:
        return t(f"diagnosis.fix_{self.code}", **self.values)


@dataclass(frozen=True, slots=True)
class Trial:
    """A fix tried on one copy, beside a second copy without it.

    Attributes:
        fix: the fix that was tried; None if no trial was made.
        yardstick: what is compared: `loss`, `loss_eval` (with batch norm's running statistics), `accuracy`, or
            `r_squared` for a regression. Without a trial, why: `loss` (no fix of the verdict can be tried on a copy),
            `no_batch` or `not_copied`.
        steps: number of steps of each copy.
        before: the yardstick at the start.
        unchanged: the yardstick after `steps` steps without the fix.
        changed: the yardstick after as many steps with the fix.
        sooner: the first step at which the changed copy beats the unchanged copy's best; None: never.
        helped: whether the fix gains more than 2 % of the scale (the loss at the start; 1 for an accuracy).
        kept_out: whether the yardstick is measured on samples on which the copies do not train. A batch with fewer than
            eight samples cannot be divided.
    """

    fix: Fix | None
    yardstick: str
    steps: int
    before: float
    unchanged: float
    changed: float
    sooner: int | None
    helped: bool
    kept_out: bool = False

    @classmethod
    def not_made(cls, why: str = "loss") -> Self:
        """A trial that was not made.

        Args:
            why: `loss` (no fix can be tried on a copy), `no_batch` or `not_copied`.
        """
        return cls(None, why, 0, math.nan, math.nan, math.nan, None, helped=False)

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
            return t(f"diagnosis.trial_{self.yardstick}" if self.yardstick != "loss" else "diagnosis.trial_none")
        return t(f"diagnosis.trial_{self._end}", fix=str(self.fix), **self._numbers)

    def brief(self, fixes: tuple[Fix, ...]) -> str:
        """The trial in one line, which names the fix by its number.

        Args:
            fixes: of the verdict.
        """
        number = next((at for at, fix in enumerate(fixes, start=1) if self.fix and fix.code == self.fix.code), None)
        if number is None:
            return str(self)
        return t(f"diagnosis.brief_trial_{self._end}", number=number, **self._numbers)

    @property
    def _end(self) -> str:
        return "helped" if self.helped else "not_helped"

    @property
    def _numbers(self) -> dict[str, Any]:
        names = ("steps", "before", "unchanged", "changed")
        yardstick = t(f"diagnosis.yardstick_{self.yardstick}")
        return {
            "yardstick": t("diagnosis.yardstick_kept_out", yardstick=yardstick) if self.kept_out else yardstick,
            **{name: getattr(self, name) for name in names},
        }


@dataclass(frozen=True, slots=True)
class Source:
    """What was read of a log.

    Attributes:
        kind: of the file; `log_kind_<kind>` in the catalogue names it.
        columns: our name (`loss`, `valid`, `lr`) to the names of the log; several are summed.
        unused: number of other columns.
        notes: what could not be read, by names whose texts are `log_note_<name>`; `NAME:WHAT` has a value for it.
    """

    kind: str
    columns: Mapping[str, tuple[str, ...]]
    unused: int = 0
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """What was read, in a sentence."""
        taken = [
            t("diagnosis.log_taken", what=t(f"diagnosis.log_column_{ours}"), names=" + ".join(theirs))
            for ours, theirs in self.columns.items()
        ]
        if self.unused:
            taken.append(t("diagnosis.log_unused", count=self.unused))
        return t("diagnosis.log_read", kind=t(f"diagnosis.log_kind_{self.kind}"), names=joined(taken, long=True))

    @property
    def note(self) -> str:
        """What could not be read, in words; empty if all could."""
        return " ".join(t(f"diagnosis.log_note_{key}", what=what) for key, _, what in map(_parted, self.notes))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        columns = {ours: list(theirs) for ours, theirs in self.columns.items()}
        return {**asdict(self), "columns": columns, "notes": list(self.notes), "text": self.text}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a training is stuck, or that it is not.

    Attributes:
        code: one of `CODES`, or `unsure`.
        confidence: the probability that the code is right, counted by `calibration`; None if it is `unsure`.
        evidence: the numbers that decided; the one nearest to its threshold comes last.
        fixes: what to change, the first to try first.
        alternatives: the next most likely codes, each with its confidence or None.
        unchecked: what was not checked, by names whose texts are `unchecked_<name>` in the catalogue; `NAME:WHAT` has
            the value of a placeholder.
        measures: all numbers that were measured.
        trial: the trial of the first fix, if one was requested.
        source: what was read of a log; None for all else.
    """

    code: str
    confidence: float | None
    evidence: tuple[Evidence, ...]
    fixes: tuple[Fix, ...]
    alternatives: tuple[tuple[str, float | None], ...]
    unchecked: tuple[str, ...]
    measures: Mapping[str, float]
    trial: Trial | None = None
    source: Source | None = None

    _repr_html_ = shown_as("verdict")

    @property
    def ill(self) -> bool:
        """Whether a fault was found: the code is not `healthy`, `converged` or `unsure`."""
        return self.code not in WELL | {UNSURE}

    @property
    def text(self) -> str:
        """One sentence on the cause, chosen by the evidence."""
        return text_of(self.code, [item.name for item in self.evidence if item.supports], self.measures)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "code": self.code,
            "confidence": self.confidence,
            "title": _title(self.code),
            "text": self.text,
            "evidence": [{**asdict(item), "supports": item.supports, "text": str(item)} for item in self.evidence],
            "fixes": [{**asdict(item), "text": str(item), "line": item.line} for item in self.fixes],
            "alternatives": [{"code": code, "confidence": confidence} for code, confidence in self.alternatives],
            "unchecked": list(self.unchecked),
            "measures": dict(self.measures),
            "trial": self.trial.to_dict() if self.trial else None,
            **({"source": self.source.to_dict()} if self.source else {}),
        }

    def brief(self, how: str = "verdict.explain()") -> str:
        """The verdict in at most eight lines, as it prints.

        Args:
            how: what shows the rest, for the last line.
        """
        strongest = sorted(self.evidence, key=lambda item: item.name in COMMON)
        fix = next(iter(self.fixes), None)
        # what was not asked for shows only where it may decide
        wanted = [name for name in self.unchecked if self.code == UNSURE or name not in CHECKED_BY]
        if self.code == "optimizer_not_stepping":
            wanted = [name for name in wanted if name != "no_step"]  # the sentence says it
        wanted.sort(key=lambda name: name == "few_steps" or name in CHECKED_BY)
        unchecked = fitting([unchecked_text(name) for name in wanted], _unchecked_line) if wanted else ""
        return str(
            Brief(
                (self.head, *wrapped(self.text)),
                tuple(f"  {item}" for item in strongest),
                wrapped(t("diagnosis.brief_fix", fix=fix.line or str(fix))) if fix else (),
                unchecked,
                self.others,
                self.trial.brief(self.fixes) if self.trial else "",
                (self.source.note, *wrapped(self.source.text)) if self.source else (),
                t("diagnosis.brief_more", how=how),
            )
        )

    def explain(self) -> str:
        """All of the verdict in words: all evidence and fixes, what else was measured, and what was not checked."""
        lines = [self.head, self.text]
        if self.source:
            lines += ["", *filter(None, (self.source.text, self.source.note))]
        if self.evidence:
            lines += ["", t("diagnosis.evidence_head"), *(f"  {item}" for item in self.evidence)]
        if self.fixes:
            lines += ["", t("diagnosis.fixes_head")]
            for number, item in enumerate(self.fixes, start=1):
                lines += [f"  {number}. {item}", *([f"     {item.line}"] if item.line else [])]
        if self.alternatives:
            lines += ["", self.others]
        shown = [measure for measure in SHOWN if math.isfinite(self.measures.get(measure.name, math.nan))]
        if shown:
            names = joined(
                (f"{measure.words} {measure.text(self.measures[measure.name])}" for measure in shown), long=True
            )
            lines += ["", t("diagnosis.shown_head", names=names)]
        if self.unchecked:
            lines += ["", _unchecked_line(joined(map(unchecked_text, self.unchecked), long=True))]
        if self.trial:
            lines += ["", str(self.trial)]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.brief()

    @property
    def head(self) -> str:
        """The title, and how sure it is."""
        if self.confidence is None:
            return _title(self.code)
        return t("diagnosis.title_sure", title=_title(self.code), share=self.confidence)

    @property
    def others(self) -> str:
        """The next most likely causes, in a sentence; empty if there are none."""
        names = joined(_title(code) for code, _ in self.alternatives)
        # nothing that was measured speaks for a fault beside a training that is well
        head = "alternatives_head" if self.ill or self.code == UNSURE else "alternatives_head_well"
        return t(f"diagnosis.{head}", names=names) if names else ""


def unchecked_text(name: str) -> str:
    """What was not checked, in words."""
    key, _, what = _parted(name)
    return t(f"diagnosis.unchecked_{key}", what=what)


def _parted(name: str) -> tuple[str, str, str]:
    return name.partition(":")


def _unchecked_line(names: str) -> str:
    return t("diagnosis.unchecked_head", names=names)


def _title(code: str) -> str:
    return t(f"diagnosis.verdict_{code}_title")
