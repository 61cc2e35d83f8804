"""The rules: which numbers, beyond which thresholds, make which verdict.

A rule holds when all its conditions hold. The rules stand in the order of causes: what is wired wrongly comes before
what follows from it, and what is measured exactly before what is concluded. The first that holds is the verdict.
Where each threshold comes from stands on the page of the verdict, docs/verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Condition:
    """A number that must lie on one side of a threshold.

    Attributes:
        name: of the measure.
        relation: `<` or `>`.
        threshold: not reached by itself: `<` and `>` are strict.
        optional: whether the rule may hold where the number is not known.
    """

    name: str
    relation: str
    threshold: float
    optional: bool = False

    def holds(self, measures: Mapping[str, float]) -> bool | None:
        """Whether it does; None where the number is not known."""
        value = measures.get(self.name)
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return None
        return value < self.threshold if self.relation == "<" else value > self.threshold


@dataclass(frozen=True, slots=True)
class Rule:
    """A verdict and the conditions that make it.

    Attributes:
        code: of the verdict.
        conditions: all must hold.
        prior: confidence when all thresholds are passed by far, in (0, 1].
    """

    code: str
    conditions: tuple[Condition, ...]
    prior: float = 0.95


def _rule(code: str, *conditions: str, prior: float = 0.95) -> Rule:
    """Read conditions such as `cosine > 0.3`, or `norm_gap > 1 ?` where the number need not be known."""
    read = []
    for text in conditions:
        name, relation, threshold, *rest = text.split()
        read.append(Condition(name, relation, float(threshold), optional=bool(rest)))
    return Rule(code, tuple(read), prior)


STUCK = "falling < 0.006"  # from the second quarter of the steps to the last, of the first loss, beyond 3.5 errors

RULES: tuple[Rule, ...] = (
    # What was handed in: numbers that are none.
    _rule("bad_inputs", "inputs_nonfinite > 0", prior=1.0),
    _rule("bad_targets", "targets_nonfinite > 0", prior=1.0),
    _rule("bad_targets", "targets_outside > 0", prior=1.0),
    _rule("bad_targets", "targets_broadcast > 0.5", prior=1.0),
    # How it is wired.
    _rule("parameters_not_trained", "foreign > 0.5", prior=1.0),
    _rule("gradients_not_cleared", "uncleared > 0.5", prior=1.0),
    _rule("parameters_not_trained", "missing > 0.01", prior=1.0),
    _rule("parameters_not_trained", "stopped > 0.01", "lr_most < 1e-30 ?", prior=1.0),
    _rule("parameters_not_trained", "gradless > 0.01", prior=1.0),
    _rule("parameters_not_trained", "frozen > 0.3", STUCK, "fit_left > 0.25", prior=0.9),
    _rule("bad_inputs", "inputs_alike > 0.5", prior=1.0),
    _rule("bad_inputs", "inputs_scale > 50"),
    _rule("bad_inputs", "inputs_scale > 1e-12", "inputs_spread < 0.02"),
    _rule("bad_targets", "targets_kinds < 1.5", "targets_count > 7 ?"),
    _rule("bad_targets", "targets_scale > 300", prior=0.9),
    # What is minimized.
    _rule("wrong_loss", "loss_floor < -1", prior=0.98),
    _rule("wrong_loss", "outputs_are_probabilities > 0.5", "loss_is_cross_entropy > 0.5", prior=1.0),
    _rule(
        "wrong_loss",
        "outputs_are_probabilities > 0.5",
        "loss_is_squared > 0.5",
        "probability_of_truth < 0.1",
        "probability_of_guess > 0.9",
        STUCK,
        prior=0.9,
    ),
    # What went out of range.
    _rule("exploding_gradients", "loss_first_to_constant > 8"),
    _rule("diverged", "nonfinite_step > 0"),
    _rule("diverged", "rise > 20", prior=0.9),
    # The pull of the penalty; it shrinks weights, and with them all gradients, so it comes before those.
    _rule("weight_decay_too_strong", "decay_to_gradient > 0.3", "gain_no_decay_more > 0.02", STUCK, "left > 0.3"),
    _rule("weight_decay_too_strong", "decay_to_gradient > 0.03", "weight_norm_left < 0.5", STUCK, "left > 0.5"),
    # A rate that throws the weights about: what dies of it comes after.
    _rule("saddle", "negative_curvature > 0.5", "matrix_gradient < 1e-3", STUCK, "left > 0.5"),
    _rule("ravine", "sharpness_ratio > 0.6", "gain_more < 0", "falling < 0.05", "left > 0.1", "late_noise < 0.02"),
    _rule("lr_too_large", "update_ratio_first > 0.25", "left > 0.2"),
    _rule("lr_too_large", "update_ratio_first > 0.08", "dead_units > 0.8", "dead_units_first < 0.7", STUCK),
    _rule("lr_too_large", "update_ratio > 0.05", "late_noise > 0.5", STUCK, "left > 0.2"),
    _rule("lr_too_large", "sharpness_ratio > 2.5", "left > 0.2"),
    _rule("lr_too_large", "peak > 3", STUCK, "left > 0.2", "saturated_units_first < 0.5 ?", "dead_units_first < 0.8 ?"),
    _rule("lr_too_large", "above_lowest > 0.1", "left > 0.2", "valid_rise < 0.1 ?"),
    # Units and layers that pass nothing on.
    _rule("dead_units", "dead_units > 0.9", STUCK, "left > 0.3"),
    _rule("saturated_units", "saturated_units > 0.5", STUCK, "left > 0.3"),
    _rule("vanishing_gradients", "gradient_first_to_last < 1e-3", "left > 0.5", STUCK),
    _rule(
        "saddle", "negative_curvature > 0.5", "negative_share > 0.02", "decrease_possible < 1e-3", STUCK, "left > 0.3"
    ),
    # Statistics.
    _rule("batchnorm_mismatch", "norm_gap > 0.1"),
    # The rate.
    _rule(
        "decayed_too_early",
        "lr_left < 0.1",
        "gain_lr_most_ratio > 10",
        "gain_lr_most > 3e-3",
        "left > 0.3",
        "cosine > 0.15 ?",
        STUCK,
    ),
    _rule(
        "lr_too_small", "update_ratio < 2e-4 ?", "gain_ratio > 20", "left > 0.3", "lr_left > 0.1 ?", "falling < 0.05"
    ),
    _rule("ravine", "sharpness_ratio > 0.6", "cosine < -0.3", "falling < 0.05", "fit_gain > 0.15", "late_noise < 0.3"),
    _rule("lr_too_large", "sharpness_ratio > 1.5", STUCK, "left > 0.2"),
    _rule("lr_too_large", "gain_less_than_same > 0.1", "update_ratio > 0.01", "late_noise > 0.5", STUCK, "left > 0.2"),
    # What the data and the network allow.
    _rule("overfitting", "valid_gap > 0.5", "valid_rise > 0.1"),
    _rule("healthy", "falling > 0.006", prior=0.9),
    _rule("converged", "left < 0.05", STUCK, prior=0.9),
    _rule("model_too_small", "fit_left > 0.3", "left > 0.3", STUCK, prior=0.9),
    _rule(
        "bad_targets",
        "to_constant > 0.95",
        "cosine < 0.3 ?",
        "fit_left < 0.6",
        "update_ratio > 1e-4 ?",
        STUCK,
        prior=0.85,
    ),
    _rule("noise_floor", "cosine < 0.3", "to_constant < 0.95 ?", "left > 0.1", STUCK, prior=0.85),
    _rule("converged", "decrease_possible < 2e-2", STUCK, prior=0.8),
)
