"""Turn measures into a verdict: a pure function over the table of rules."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thalweg.diagnosis.calibration import confidence_of
from thalweg.diagnosis.conditions import SELDOM
from thalweg.diagnosis.fixes import fixes_of
from thalweg.diagnosis.likeness import causes_of
from thalweg.diagnosis.measures.table import CHECKED_BY
from thalweg.diagnosis.measures.trends import FEW, learns
from thalweg.diagnosis.rule import WELL
from thalweg.diagnosis.rules import RULES
from thalweg.diagnosis.verdict import UNSURE, Evidence, Verdict


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from thalweg.diagnosis.measures.table import Condition
    from thalweg.diagnosis.rule import Rule

NO_STEP = "no_step"  # the problem of a watch that saw losses, but no step of its optimizer
# A problem that says why something was not checked, to what.
_TELLS = {
    "batch_fails": ("batch",),
    "batch_unreadable": ("batch",),
    "curvature_too_slow": ("curvature",),
    "no_loss_fn": ("batch",),
    "not_copied": ("batch", "curvature", "short_runs"),
    NO_STEP: ("gradient",),
    "short_runs_too_slow": ("short_runs",),
}
USUAL_SIZES = {8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0}  # of batches; all samples are seldom so many
SURE = 0.5  # below this standing or this confidence the verdict is "unsure"


def judge(measures: Mapping[str, float], *, problems: Sequence[str] = ()) -> Verdict:
    """Name the cause.

    Args:
        measures: name to number, from the modules of `measures`; a missing name or NaN is unknown.
        problems: names of measurements that failed; they become part of `unchecked`.

    Returns:
        The verdict of the first rule that holds; `unsure` if none holds or too little is known.

    Example:
        >>> judge({"steps": 100, "uncleared": 1.0}).code
        'zero_grad_missing'
        >>> judge({"steps": 3}).code
        'unsure'
    """
    measures = {**measures, **derived(measures)}
    told = set().union(*(_TELLS.get(name.partition(":")[0], ()) for name in problems))
    unasked = [name for name in _unasked(measures) if name not in told]
    unchecked = list(dict.fromkeys([*problems, *unasked]))
    ranked = _ranked(measures)
    rule = ranked[0] if _decides(ranked[0], measures) else None
    confidence = confidence_of(rule) if rule is not None else 0.0
    if rule is None or confidence < SURE:
        why = ["few_steps"] if measures.get("steps", 0) < FEW else []
        return Verdict(UNSURE, None, (), (), _nearest(ranked, measures), tuple(why + unchecked), measures)
    return Verdict(
        rule.code,
        confidence,
        tuple(_evidence(condition, measures) for condition in _known(rule, measures)),
        fixes_of(rule.code, measures),
        _nearest([other for other in ranked[1:] if rule.code in WELL or other.code not in WELL], measures),
        tuple(unchecked),
        measures,
    )


def deciding_rule(measures: Mapping[str, float]) -> Rule | None:
    """The rule that names the cause, however sure that is; None if none decides.

    Args:
        measures: as `judge` takes them.
    """
    measures = {**measures, **derived(measures)}
    first = _ranked(measures)[0]
    return first if _decides(first, measures) else None


def _ranked(measures: Mapping[str, float]) -> list[Rule]:
    """One rule for each code: those that hold, in the order of the table; then the others, the nearest first."""
    ranked = sorted(
        ((rule, *_standing(rule, measures)) for rule in RULES),
        key=lambda item: (not item[1], -item[2] if not item[1] else 0.0),
    )
    codes: dict[str, Rule] = {}
    for rule, _, _ in ranked:
        codes.setdefault(rule.code, rule)
    return list(codes.values())


def _nearest(ranked: Sequence[Rule], measures: Mapping[str, float]) -> tuple[tuple[str, None], ...]:
    """The two next causes: those of exact rules that hold, what programs like this one suffered from, the rules' order.

    An exact rule that holds says what is true of the training, whatever the first verdict is.
    """
    likely = causes_of(measures)
    open_to = [rule.code for rule in ranked if not _is_ruled_out_by_all(rule.code, measures)]
    holding = {rule.code for rule in RULES if rule.prior == 1 and _standing(rule, measures)[0]}
    by_rank = sorted(open_to, key=lambda code: (code not in holding, -likely.get(code, 0.0)))
    return tuple((code, None) for code in by_rank[:2])


def _is_ruled_out_by_all(code: str, measures: Mapping[str, float]) -> bool:
    """Whether each rule of a cause is exact, and was measured to be otherwise."""
    return all(
        rule.prior == 1 and any(condition.holds(measures) is False for condition in rule.conditions)
        for rule in RULES
        if rule.code == code
    )


def _decides(rule: Rule, measures: Mapping[str, float]) -> bool:
    """Whether a rule holds, far enough beyond its thresholds, and after enough steps for its kind."""
    holds, standing = _standing(rule, measures)
    enough = measures.get("steps", 0) >= FEW or rule.prior == 1.0 or rule.code in _AT_ONCE
    return holds and enough and standing >= SURE


# These verdicts need no trend.
_AT_ONCE = {"bad_inputs", "bad_targets", "wrong_loss", "diverged", "exploding_gradients", "too_few_steps"}

# These hold beside learning; no other rule that is not exact may accuse a training that demonstrably learns.
_BESIDE_LEARNING = {
    "batchnorm_mismatch",
    "class_imbalance",
    "converged",
    "healthy",
    "model_too_small",
    "overfitting",
    "same_batch",
}


# What is said of a network whose loss another network sets; nothing else that is not exact.
_IN_A_GAME = {"bad_inputs", "converged", "diverged", "healthy", "wrong_mode"}


# What is said of a network that does not get below the constant's loss. Against a generator, that is the balance.
_AT_THE_BALANCE = {
    "ill_conditioned",
    "inputs_ignored",
    "lr_too_large",
    "model_too_small",
    "noise_floor",
    "saddle",
    "targets_unrelated",
    "weight_decay_too_strong",
}
# Of the steps measured in full: one proves a generator. A critic that steps several times for each of its steps shows
# it at few, or at the first ten alone.
_DRIVEN = 0.0


def _in_a_game(measures: Mapping[str, float]) -> bool:
    """Whether two networks play, whose balance is the constant's loss: this one is either side of a GAN.

    The loss of a generator holds the other network; a discriminator has passes whose gradient is thrown away, because
    they are the generator's. A loop whose optimizer seldom steps throws its own gradients away.
    """
    seldom = measures.get("stepped", 1.0) < SELDOM
    plays = any(measures.get(name, 0.0) > 0.5 for name in ("rival", "rival_seen"))
    return plays or (measures.get("unused_passes", 0.0) > 0.5 and not seldom)


def _is_ruled_out(rule: Rule, measures: Mapping[str, float]) -> bool:
    """Whether a rule that is not exact leans on a constant's loss which does not say so much here.

    A generator leads its critic there; a constant that a blind network found is too low where it knows a few samples by
    their places, which is too little to accuse the targets of.
    """
    driven = measures.get("driven_passes", 0.0) > _DRIVEN and rule.code in _AT_THE_BALANCE
    fitted = measures.get("constant_fitted", 0.0) > 0.5 and rule.code == "targets_unrelated"
    return rule.prior != 1 and (driven or fitted)


def _holds_in_a_game(rule: Rule) -> bool:
    """Whether a rule needs no loss that is the network's own: in a game of two, the other's gain makes it rise."""
    rises = any(condition.name == "rise" for condition in rule.conditions)
    return rule.prior == 1 or (rule.code in _IN_A_GAME and not rises)


def derived(measures: Mapping[str, float]) -> dict[str, float]:
    """Measures derived from others, so that each condition compares one number with one threshold."""

    def known(name: str) -> float:
        return measures.get(name, math.nan)

    found: dict[str, float] = {}
    gains = [known(f"gain_{name}") for name in ("tenfold", "hundredfold", "thousandfold")]
    found["gain_more"] = max((gain for gain in gains if not math.isnan(gain)), default=math.nan)
    found["gain_ratio"] = found["gain_more"] / max(known("gain_same"), 1e-9)
    found["gain_lr_most_ratio"] = known("gain_lr_most") / max(known("gain_same"), 1e-9)
    if known("tried_full_rate") + known("tried_best") > 0:
        found["full_rate_share"] = known("tried_full_rate") / (known("tried_full_rate") + known("tried_best"))
    if known("weight_norm_first") > 0:
        found["weight_norm_left"] = known("weight_norm") / known("weight_norm_first")
    found["fit_gain"] = known("loss_batch") / known("scale") - known("fit_left") if known("scale") > 0 else math.nan
    found["gain_less_than_same"] = known("gain_tenth") - known("gain_same")
    found["gain_no_decay_more"] = known("gain_no_decay") - known("gain_same_long")
    found["valid_left"] = known("valid_last") / known("loss_first") if known("loss_first") > 0 else math.nan
    # (last - lowest) / first, from (last - lowest) / lowest
    found["valid_lost"] = found["valid_left"] * known("valid_rise") / (1 + known("valid_rise"))
    found["loss_first_to_zero"] = known("loss_first") / known("loss_zero") if known("loss_zero") > 0 else math.nan
    found["sunk"] = known("loss_last") / max(abs(known("loss_first")), 1.0)
    if known("batch_size") >= 1:
        found["usual_size"] = float(known("batch_size") in USUAL_SIZES)
    if known("scale") > 0:
        found["loss_other"] = (known("loss_batch") - known("loss_last")) / known("scale")
    constant = known("loss_constant")
    if constant > 0 and not _in_a_game(measures):
        found["to_constant"] = known("loss_last") / constant
        found["learns"] = float(learns(measures))
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _standing(rule: Rule, measures: Mapping[str, float]) -> tuple[bool, float]:
    """Whether a rule holds, and its standing: it grows with the share of its conditions that hold."""
    states = [(condition, condition.holds(measures)) for condition in rule.conditions]
    counted = [(condition, state) for condition, state in states if state is not None or not condition.optional]
    met = [condition for condition, state in counted if state]
    may_accuse = rule.prior == 1 or rule.beside_learning or rule.code in _BESIDE_LEARNING
    if _in_a_game(measures) and not _holds_in_a_game(rule):
        return False, 0.0
    if _is_ruled_out(rule, measures):
        return False, 0.0
    excused = bool(measures.get("learns")) and not may_accuse
    if len(met) == len(counted) and met and not excused:
        return True, rule.prior * min(_margin(condition, measures) for condition in met)
    if rule.prior == 1 and any(state is False for _, state in counted):
        return False, 0.0  # what is exact and was measured to be otherwise is no near cause
    return False, 0.5 * rule.prior * len(met) / max(1, len(counted))


def _margin(condition: Condition, measures: Mapping[str, float]) -> float:
    """How far a number lies beyond its threshold: 0.6 at it, 0.98 at twice it; 1 if the threshold is zero."""
    value, threshold = measures[condition.name], condition.threshold
    if threshold == 0:
        return 1.0
    distance = abs(value - threshold) / max(abs(threshold), 0.1)
    return 1 - 0.4 * math.exp(-3 * distance) if math.isfinite(distance) else 1.0


def _known(rule: Rule, measures: Mapping[str, float]) -> list[Condition]:
    known = [condition for condition in rule.conditions if condition.holds(measures) is not None]
    return sorted(known, key=lambda condition: -_margin(condition, measures))


def _evidence(condition: Condition, measures: Mapping[str, float]) -> Evidence:
    return Evidence(condition.name, measures[condition.name], condition.relation, condition.threshold)


def _unasked(measures: Mapping[str, float]) -> list[str]:
    """What was not checked: the names in `CHECKED_BY` whose measures are missing."""
    return [name for name, measure in CHECKED_BY.items() if measures.get(measure.name) is None]
