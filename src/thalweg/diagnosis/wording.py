"""How a verdict reads: which sentence is true of its numbers, and how eight lines hold it.

A code may hold by several rules, so its sentence is chosen by what was found: `verdict_<code>_by_<measure>` for the
first measure of `BY` that is among the evidence, else `verdict_<code>_text`.
"""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from thalweg.diagnosis.measures.outdone import MANY
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

LINES = 8  # of a verdict, as it prints by default
COLUMNS = 110  # of a line; a Chinese character takes two
FINISHED = 0.05  # of the largest rate: a schedule that has come so low has ended

BY: dict[str, tuple[str, ...]] = {
    "bad_inputs": (
        "inputs_nonfinite",
        "nonfinite_inputs",
        "inputs_alike",
        "inputs_repeated",
        "misread",
        "ids_as_numbers",
        "names_tell",
        "tried_standardized",
        "tried_standardized_anew",
        "inputs_spread",
        "inputs_scale",
    ),
    "bad_targets": (
        "targets_nonfinite",
        "targets_outside",
        "targets_filled",
        "targets_unread",
        "targets_above_one",
        "targets_largest",
        "targets_below_zero",
        "targets_broadcast",
        "unpaired",
        "blank_in_targets",
        "targets_too_long",
        "targets_kinds",
        "mirrored",
        "drowning_targets",
        "tried_standardized_targets",
        "targets_scale",
    ),
    "batchnorm_mismatch": ("norm_momentum", "norm_values", "restated", "norm_noise", "tried_group_norm"),
    "class_imbalance": ("padding_counted", "rare_ranked"),
    "clipped_too_hard": ("clipped_values", "cosine", "tried_unclipped"),
    "converged": ("left", "decrease_possible"),
    "dead_units": ("matrix_gradient_first", "scores_cut", "out_of_reach", "outputs_dead", "tried_anew", "dead_units"),
    "decayed_too_early": ("fell_before", "lr_gone", "full_rate_share"),
    "diverged": ("nonfinite_step", "rise"),
    "exploding_gradients": ("initial_scale", "gradient_burst", "update_ratio_first"),
    "gradients_not_averaged": ("summed_passes",),
    "ill_conditioned": ("tried_decorrelated", "gain_more", "cosine"),
    "inputs_ignored": (
        "inputs_columns",
        "avoidable",
        "ignored_tells",
        "own_to_others",
        "order_tells",
        "directions_apart",
    ),
    "lr_too_large": (
        "gain_lower_rate_more",
        "nonfinite_step",
        "weight_norm_left",
        "dead_units",
        "gradient_first_to_last_start",
        "update_ratio_first",
        "sharpness_ratio",
        "gain_less_than_same",
        "peak",
        "above_lowest",
        "update_ratio",
        "tried_lower_rate",
    ),
    "lr_too_small": ("rounded_away", "tried_higher_rate", "cosine"),
    "model_too_small": ("affine", "bends", "tried_larger"),
    "not_shuffled": ("quantiles_carried", "kinds_carried", "peak", "left", "avoidable"),
    "noise_floor": ("noise_share",),
    "optimizer_not_stepping": ("cleared_early", "dropped", "standstill"),
    "overfitting": ("valid_rise", "valid_gap", "accuracy_gap"),
    "replicas_see_same_data": ("data_shared", "draws_shared"),
    "saddle": ("matrix_gradient_first", "tried_anew", "matrix_gradient", "decrease_possible"),
    "same_batch": (
        "reopened",
        "reseeded",
        "among_others",
        "at_hand",
        "other_batch",
        "redrawn",
        "valid_left",
        "usual_size",
    ),
    "samples_mixed": ("mixed_within", "batch_as_time", "loss_apart"),
    "saturated_units": ("initial_scale", "tried_other_start", "tried_anew"),
    "symmetric_weights": ("twin_units_first",),
    "target_leakage": ("targets_in_column", "class_in_column", "targets_at_end", "next_seen", "own_seen"),
    "targets_unrelated": ("crossed", "foretold", "pictures_foretold", "tried_best", "to_constant"),
    "too_few_steps": ("stepped", "lr_rising", "avoidable", "tried_longer", "gain_same"),
    "untrained_parameters": (
        "foreign",
        "missing",
        "unmoved",
        "unregistered",
        "plain_tensors",
        "stopped",
        "cleared_early",
        "gradless",
        "part_unread",
        "frozen_at_random",
        "tried_unfrozen",
        "frozen",
    ),
    "vanishing_gradients": (
        "forgotten_in_padding",
        "steps_cut",
        "matrix_gradient_first",
        "initial_scale",
        "gradient_first_to_last_start",
        "gradient_first_to_last",
        "sequence_gradient",
    ),
    "weight_decay_too_strong": ("penalty_to_gradient", "tried_no_decay", "gain_no_decay_more", "weight_norm_left"),
    "wrong_mode": ("dropout_left_on", "validated_in_training"),
    "wrong_loss": (
        "sunk",
        "loss_blind",
        "drowned_term",
        "loss_in_steps",
        "mispaired",
        "rewarded_rarer",
        "outputs_fixed",
        "outputs_unmoved",
        "squashed_twice",
        "several_labels",
        "targets_multi_hot",
        "numbered_classes",
        "scores_cut",
        "truths_cut",
        "negatives_cut",
        "softmax_misplaced",
        "log_missing",
        "log_of_each",
        "samples_as_times",
        "floor_left",
        "improper",
        "wrong_is_best",
        "loss_undefined",
        "loss_at_ends",
        "loss_floor",
        "out_of_reach",
        "loss_is_squared",
    ),
}
"""Code to the measures that have a sentence of their own, the one that says most first."""

COMMON = frozenset({"falling", "inputs_columns", "late_noise", "left", "lr_left", "steps", "valid_rise"})
"""Measures that many rules ask for beside their own: they come last among the evidence that is shown."""


def text_of(code: str, evidence: Collection[str], measures: Mapping[str, float]) -> str:
    """The sentence of a verdict.

    Args:
        code: of the verdict.
        evidence: names of the measures that decided.
        measures: all that were measured.

    Example:
        >>> text_of("diverged", ["nonfinite_step"], {})
        'The loss is no longer a finite number.'
    """
    if code == "unsure" and (level := level_text(measures)):
        return level
    if code == "unsure" and (share := measures.get("avoidable", 0.0)) > MANY:
        return t("diagnosis.outdone", share=f"{share:.0%}")
    if code == "overfitting" and measures.get("lr_left", math.nan) < FINISHED:
        return t("diagnosis.verdict_overfitting_finished")
    name = next((name for name in BY.get(code, ()) if name in evidence), None)
    return t(f"diagnosis.verdict_{code}_by_{name}" if name else f"diagnosis.verdict_{code}_text")


def level_text(measures: Mapping[str, float]) -> str:
    """What the level of a flat loss says, if it is that of a constant answer; else empty."""
    loss, classes = measures.get("loss_last", math.nan), int(measures.get("guessed_classes", 0))
    variance = measures.get("guessed_variance", 0.0)
    if not classes and not variance:
        return ""
    sign = "=" if f"{loss:.4f}" == f"{math.log(classes) if classes else variance:.4f}" else "≈"
    kind = ("two" if classes == 2 else "classes") if classes else ("unit" if variance == 1 else "share")
    values = {"classes": classes} if classes else {"variance": f"{variance:g}"}
    return t(f"diagnosis.level_{kind}", loss=f"{loss:.4f}", sign=sign, **values)


def width(text: str) -> int:
    """Columns that a text takes on a terminal.

    Example:
        >>> width("loss"), width("损失")
        (4, 4)
    """
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 1 for sign in text)


def cut(text: str, most: int = COLUMNS) -> str:
    """A text that fits into a line, with an ellipsis where it was cut.

    Example:
        >>> cut("a long line", 7)
        'a long…'
    """
    if width(text) <= most:
        return text
    while text and width(text) >= most:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, most: int = 2) -> tuple[str, ...]:
    """A text in at most `most` lines, broken at a space or before a Chinese character.

    Example:
        >>> len(wrapped("word " * 40))
        2
    """
    lines, rest = [], text
    while width(rest) > COLUMNS and len(lines) < most - 1:
        end = len(cut(rest)) - 1
        breaks = [at for at in range(1, end + 1) if rest[at - 1] == " " or rest[at - 1] in "，。；：、"]
        at = breaks[-1] if breaks else end
        lines.append(rest[:at].rstrip())
        rest = "  " + rest[at:].lstrip()
    return (*lines, cut(rest))


def fitting(items: Sequence[str], sentence: Callable[[str], str]) -> str:
    """A sentence with as many of the items as a line holds; the others are counted.

    Args:
        items: phrases, the most important first.
        sentence: makes the sentence of the joined items.
    """
    for count in range(len(items), 1, -1):
        rest = len(items) - count
        kept = [*items[:count], *([t("diagnosis.more_items", count=rest)] if rest else [])]
        if width(line := sentence(joined(kept, long=True))) <= COLUMNS:
            return line
    kept = [items[0], *([t("diagnosis.more_items", count=len(items) - 1)] if len(items) > 1 else [])]
    return cut(sentence(joined(kept, long=True)))


@dataclass(frozen=True, slots=True)
class Brief:
    """The lines of a short verdict; `str` gives at most `LINES` of at most `COLUMNS` columns.

    Attributes:
        head: title and sentence.
        evidence: the strongest first.
        fix: what to do first.
        unchecked: what could not be checked although it was wanted; empty if nothing.
        others: the next nearest causes.
        trial: what the trial showed.
        source: what was not read of a log, and what was.
        last: where the rest is.
    """

    head: tuple[str, ...]
    evidence: tuple[str, ...]
    fix: tuple[str, ...]
    unchecked: str
    others: str
    trial: str
    source: tuple[str, ...]
    last: str

    def __str__(self) -> str:
        # the second piece of evidence yields to what went wrong, the third to everything
        ranked = [
            *self.head,
            self.last,
            *self.source,
            *self.fix,
            self.trial,
            *self.evidence[:1],
            self.unchecked,
            self.others,
        ]
        ranked += self.evidence[1:3]
        kept = [line for line in ranked if line][:LINES]
        order = [
            *self.head,
            *self.evidence,
            *self.fix,
            self.unchecked,
            self.others,
            self.trial,
            *self.source,
            self.last,
        ]
        return "\n".join(cut(line) for line in order if line in kept)
