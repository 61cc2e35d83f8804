"""The rules: which measures, beyond which thresholds, lead to which verdict.

A rule holds if all its conditions hold; the first rule that holds gives the verdict. The order is that of causes:
wiring before its consequences, exact measurements before inferences. The page of each verdict in docs/verdicts
states the source of its thresholds.
"""

from __future__ import annotations

from thalweg.diagnosis.conditions import (
    AVERAGED_OUT,
    DECAYS_MUCH,
    HOVERS,
    LOWER_IS_NO_WORSE,
    NOT_ABOVE,
    NOT_BELOW,
    NOT_BY_SCALE,
    NOT_DECAYED,
    NOT_FORETOLD,
    NOT_OUTDONE,
    NOT_RISEN,
    OUTDONE,
    SEVERAL,
    STUCK,
    UNCLIPPED_HELPS,
    VANISHED,
)
from thalweg.diagnosis.decay_rules import DECAY_RULES
from thalweg.diagnosis.length_rules import LENGTH_RULES
from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.measures.foretold import FORETELLS
from thalweg.diagnosis.measures.ignored import MOST
from thalweg.diagnosis.measures.running_statistics import GAINS, NOISY, PAIR
from thalweg.diagnosis.measures.trends import BURSTS
from thalweg.diagnosis.outdone_rules import OUTDONE_RULES
from thalweg.diagnosis.program_rules import PROGRAM_RULES
from thalweg.diagnosis.rate_rules import RATE_RULES
from thalweg.diagnosis.rule import Rule
from thalweg.diagnosis.rule import rule_of as _rule


RULES: tuple[Rule, ...] = (
    *PROGRAM_RULES,
    # Divergence.
    _rule("wrong_loss", m.SUNK < -30, prior=0.95),
    _rule("saturated_units", m.INITIAL_SCALE > 4, m.SATURATED_UNITS_FIRST > 0.5, m.TO_CONSTANT > 0.3),
    _rule("exploding_gradients", m.LOSS_FIRST_TO_ZERO > 8, m.TO_CONSTANT > 0.9, NOT_BY_SCALE, SEVERAL),
    _rule("lr_too_large", m.NONFINITE_STEP > 0, m.TRIED_LOWER_RATE > 0.2, prior=0.9),
    _rule("gradients_not_averaged", m.SUMMED_PASSES > 0.4, m.TRIED_DIVIDED > 0.2, NOT_BELOW, prior=0.9),
    _rule(
        "gradients_not_averaged",
        m.SUMMED_PASSES > 0.4,
        m.UPDATE_RATIO_FIRST > 0.05,
        (m.TRIED_DIVIDED > 0.02).if_known,  # 0: the optimizer takes the same steps, as Adam does
        NOT_BELOW,
        prior=0.9,
    ),
    # Where the gradient bursts before the loss does, or the first steps replace the weights and none is short enough.
    _rule("exploding_gradients", m.NONFINITE_STEP > 0, m.GRADIENT_BURST > BURSTS, prior=0.9),
    _rule(
        "exploding_gradients",
        m.NONFINITE_STEP > 0,
        m.NONFINITE_STEP < 10,
        m.GRADIENT_FIRST > 10,  # else the rate is what is long
        m.UPDATE_RATIO_FIRST > 0.5,
        m.TRIED_LOWER_RATE < 0,
        SEVERAL,
        prior=0.85,
    ),
    _rule("diverged", m.NONFINITE_STEP > 0),
    _rule("diverged", m.RISE > 20, SEVERAL, prior=0.9),
    # Where the largest rate gains so much, neither a rate that is too large nor the inputs are the cause.
    _rule(
        "decayed_too_early",
        m.TRIED_FULL_RATE > 0.5,
        m.LR_LEFT < 0.1,
        m.GAIN_LR_MOST_RATIO > 10,
        m.GAIN_LR_MOST > 0.02,
        NOT_BELOW,
        STUCK,
    ),
    _rule("bad_inputs", m.TRIED_STANDARDIZED > 0.5, NOT_BELOW, prior=0.9),
    _rule(
        "bad_inputs",
        m.TRIED_STANDARDIZED > 0.3,
        m.TRIED_STANDARDIZED_ANEW > 0.3,
        (m.TRIED_LOWER_RATE < 0.1).if_known,  # else the rate may be the cause
        NOT_BELOW,
        prior=0.9,
    ),
    _rule("bad_targets", m.TRIED_STANDARDIZED_TARGETS > 0.1, m.TO_CONSTANT > 1.2, prior=0.9),
    _rule(
        "saturated_units",
        m.SATURATED_UNITS_FIRST > 0.5,
        m.SATURATED_UNITS > 0.5,
        m.TRIED_OTHER_START > 0.2,
        prior=0.9,
        beside_learning=True,
    ),
    _rule(
        "saturated_units",
        m.INITIAL_SCALE > 4,
        m.SATURATED_UNITS_FIRST > 0.5,
        m.SATURATED_UNITS > 0.5,
        m.TRIED_OTHER_START > 0.1,
        prior=0.9,
        beside_learning=True,
    ),
    _rule("ill_conditioned", m.TRIED_DECORRELATED > 0.1, m.LEFT > 0.05, prior=0.9, beside_learning=True),
    # Weights that got next to no gradient from the start shrink under any decay.
    _rule(
        "vanishing_gradients",
        m.GRADIENT_FIRST_TO_LAST_START < 1e-3,
        m.WEIGHT_NORM_LEFT < 0.5,
        STUCK,
        m.TO_CONSTANT > 0.95,
    ),
    # Next to no gradient from the start, little ever after, and nothing learned but the constant.
    _rule(
        "vanishing_gradients",
        m.GRADIENT_FIRST_TO_LAST_START < 1e-3,
        m.GRADIENT_FIRST_TO_LAST < 0.1,
        m.TO_CONSTANT > 0.95,
        NOT_ABOVE,
        STUCK,
        (m.DEAD_UNITS_FIRST < 0.9).if_known,
        (m.SATURATED_UNITS_FIRST < 0.5).if_known,
    ),
    # The weight decay. It shrinks weights and all gradients, so it comes before the rules about gradients.
    _rule("weight_decay_too_strong", m.PENALTY_TO_GRADIENT > 0.1, NOT_BELOW, m.FALLING < 0.1, prior=0.9),
    _rule("weight_decay_too_strong", DECAYS_MUCH, m.GAIN_NO_DECAY_MORE > 0.02, STUCK, m.LEFT > 0.3),
    _rule("weight_decay_too_strong", m.DECAY_TO_GRADIENT > 0.03, m.WEIGHT_NORM_LEFT < 0.5, STUCK, m.LEFT > 0.5),
    # A rate that is too large. It can kill units, so it comes before the rules about units.
    _rule(
        "saddle",
        m.NEGATIVE_CURVATURE > 0.5,
        m.MATRIX_GRADIENT < 1e-3,
        STUCK,
        m.LEFT > 0.5,
        (m.TRIED_NO_DECAY < 0.1).if_known,  # else the decay holds it there
    ),
    _rule(
        "ill_conditioned", m.SHARPNESS_RATIO > 0.6, m.GAIN_MORE < 0, m.FALLING < 0.05, m.LEFT > 0.1, m.LATE_NOISE < 0.02
    ),
    *RATE_RULES,
    _rule("batchnorm_mismatch", m.NORM_GAP > 0.2, m.STEPS > 30),
    _rule("batchnorm_mismatch", m.RESTATED > 0.2, m.STEPS > 30),
    _rule("batchnorm_mismatch", m.NORM_MOMENTUM > 0.5, m.RESTATED > 0.05, m.STEPS > 30),
    _rule("batchnorm_mismatch", m.NORM_NOISE > NOISY, m.STEPS > 30),
    _rule("batchnorm_mismatch", m.TRIED_GROUP_NORM > GAINS, m.TO_CONSTANT > 0.4, m.STEPS > 30, prior=0.9),
    _rule("batchnorm_mismatch", m.NORM_VALUES < PAIR, m.STEPS > 30, prior=0.95, beside_learning=True),
    _rule("lr_too_large", m.TRIED_LOWER_RATE > 0.05, m.UPDATE_RATIO_FIRST > 0.05, NOT_BELOW, STUCK, prior=0.9),
    _rule("lr_too_large", m.TRIED_LOWER_RATE > 0.1, m.UPDATE_RATIO_FIRST > 0.03, m.TO_CONSTANT > 0.5, STUCK, prior=0.9),
    _rule("model_too_small", m.AFFINE > 0.5, m.FIT_LEFT > 0.3, m.LEFT > 0.3, prior=1.0),
    # Units and layers that pass no gradient.
    _rule(
        "dead_units",
        m.DEAD_UNITS > 0.9,
        m.DEAD_UNITS_FIRST > 0.5,
        (m.WEIGHT_NORM_LEFT < 3).if_known,
        STUCK,
        m.LEFT > 0.3,
    ),
    _rule("dead_units", m.DEAD_UNITS > 0.9, STUCK, m.LEFT > 0.3),  # what a rate or another fault has killed
    _rule("saturated_units", m.SATURATED_UNITS > 0.5, STUCK, m.LEFT > 0.3),
    _rule("vanishing_gradients", *VANISHED, m.LEFT > 0.5, STUCK),
    _rule("vanishing_gradients", *VANISHED, m.TO_CONSTANT > 0.95, NOT_ABOVE, m.STEPS > 50),
    _rule("saddle", m.DECREASE_POSSIBLE < 1e-9, m.NEGATIVE_CURVATURE > 0.5, STUCK, m.LEFT > 0.3, prior=1.0),
    _rule(
        "saddle",
        m.NEGATIVE_CURVATURE > 0.5,
        m.NEGATIVE_SHARE > 0.02,
        m.DECREASE_POSSIBLE < 1e-3,
        STUCK,
        m.LEFT > 0.3,
    ),
    # What holds every step back. Where full steps learn, the small gradient of a long sequence is enough.
    _rule("clipped_too_hard", m.TRIED_UNCLIPPED > 0.2, m.LEFT > 0.3, prior=0.9, beside_learning=True),
    # Every step is cut to a length that moves nothing.
    _rule(
        "clipped_too_hard", m.CLIPPED > 0.9, m.GRADIENT_FIRST < 0.05, m.UPDATE_RATIO < 2e-4, NOT_BELOW, STUCK, prior=0.9
    ),
    _rule("inputs_ignored", OUTDONE, m.INPUTS_SEEN < MOST, prior=0.95, beside_learning=True),
    _rule("vanishing_gradients", OUTDONE, m.SEQUENCE_GRADIENT < 1e-4, m.LEFT > 0.3, prior=0.9, beside_learning=True),
    _rule(
        "vanishing_gradients",
        m.SEQUENCE_GRADIENT < 1e-4,
        m.LEFT > 0.7,
        (m.UPDATE_RATIO > 1e-5).if_known,  # else the rate moves nothing at all
        prior=0.9,
    ),
    _rule("clipped_too_hard", m.CLIPPED > 0.9, m.GAIN_SAME > 0.02, UNCLIPPED_HELPS, STUCK, m.LEFT > 0.3, prior=0.9),
    _rule("clipped_too_hard", m.CLIPPED > 0.9, m.COSINE > 0.8, m.TO_CONSTANT > 1, m.STEPS > 150, prior=0.9),
    _rule("clipped_too_hard", m.CLIPPED_VALUES > 0.9, m.TRIED_UNCLIPPED > 0.1, STUCK, m.LEFT > 0.3, prior=0.9),
    *DECAY_RULES,
    # A rate that is too small, or too large for the curvature.
    _rule(
        "lr_too_small",
        (m.UPDATE_RATIO < 2e-4).if_known,
        m.GAIN_RATIO > 20,
        m.LEFT > 0.3,
        (m.LR_LEFT > 0.1).if_known,
        m.FALLING < 0.05,
    ),
    _rule("lr_too_small", m.UPDATE_RATIO < 2e-4, m.GAIN_RATIO > 20, m.TO_CONSTANT > 0.95, (m.LR_LEFT > 0.1).if_known),
    _rule(
        "lr_too_small",
        m.COSINE > 0.8,
        m.TO_CONSTANT > 1.5,
        m.GAIN_RATIO > 20,
        m.FALLING < 0.05,
        m.STEPS > 100,
        (m.LR_LEFT > 0.1).if_known,
    ),
    # After many short steps all gradients still point one way, and a constant answer would be better.
    _rule(
        "lr_too_small",
        m.COSINE > 0.95,
        m.TO_CONSTANT > 1.2,
        m.GAIN_RATIO > 5,
        m.UPDATE_RATIO < 5e-4,
        m.STEPS > 150,
        (m.LR_LEFT > 0.1).if_known,
    ),
    _rule(
        "ill_conditioned",
        m.SHARPNESS_RATIO > 0.6,
        m.COSINE < -0.3,
        m.FALLING < 0.05,
        m.FIT_GAIN > 0.15,
        m.LATE_NOISE < 0.3,
    ),
    _rule(
        "lr_too_large",
        LOWER_IS_NO_WORSE,
        m.GAIN_LESS_THAN_SAME > 0.1,
        m.UPDATE_RATIO > 0.01,
        m.LATE_NOISE > 0.5,
        STUCK,
        m.LEFT > 0.2,
    ),
    *LENGTH_RULES,
    # A cause is named because its fix works: on samples kept out, beyond every restart without it.
    _rule("bad_inputs", m.TRIED_STANDARDIZED > 0.1, prior=0.9),
    _rule("clipped_too_hard", m.TRIED_UNCLIPPED > 0.2, NOT_BELOW, prior=0.9),
    _rule("weight_decay_too_strong", m.TRIED_NO_DECAY > 0.2, NOT_BELOW, prior=0.9),
    _rule(
        "weight_decay_too_strong",
        m.TRIED_NO_DECAY > 0.05,
        DECAYS_MUCH,
        m.GAIN_NO_DECAY_MORE > 0.02,
        NOT_BELOW,
        prior=0.9,
    ),
    _rule(
        "weight_decay_too_strong",
        m.TRIED_NO_DECAY > 0.2,
        DECAYS_MUCH,
        m.LEFT > 0.3,
        prior=0.9,
        beside_learning=True,
    ),
    _rule(
        "weight_decay_too_strong",
        m.TRIED_NO_DECAY > 0.1,
        DECAYS_MUCH,
        m.WEIGHT_NORM_LEFT < 0.5,
        m.LEFT > 0.1,
        prior=0.9,
        beside_learning=True,
    ),
    _rule("dropout_too_strong", m.TRIED_NO_DROPOUT > 0.2, NOT_BELOW, prior=0.9),
    _rule("exploding_gradients", m.INITIAL_SCALE > 4, m.TRIED_ANEW > 0.1, m.TO_CONSTANT > 0.3, prior=0.9),
    _rule("exploding_gradients", m.INITIAL_SCALE > 4, m.TRIED_OTHER_START > 0.2, m.TO_CONSTANT > 0.3, prior=0.9),
    _rule("vanishing_gradients", m.INITIAL_SCALE < 0.2, m.TRIED_ANEW > 0.1, m.TO_CONSTANT > 0.3, prior=0.9),
    _rule("dead_units", m.TRIED_ANEW > 0.15, m.DEAD_UNITS > 0.5, m.TO_CONSTANT > 0.5, prior=0.9),
    _rule("saturated_units", m.TRIED_ANEW > 0.15, m.SATURATED_UNITS > 0.3, m.TO_CONSTANT > 0.5, prior=0.9),
    _rule("symmetric_weights", m.TRIED_ANEW > 0.15, m.TWIN_UNITS > 0.5, m.TO_CONSTANT > 0.5, prior=0.9),
    _rule("saddle", m.TRIED_ANEW > 0.3, NOT_BELOW, STUCK, prior=0.85),
    _rule("lr_too_large", m.TRIED_LOWER_RATE > 0.2, m.TO_CONSTANT > 0.75, prior=0.9),
    # The steps brought the network where its first layers get no gradient any more; nothing else is known to.
    _rule(
        "lr_too_large",
        m.GRADIENT_FIRST_TO_LAST_START > 0.01,
        m.GRADIENT_FIRST_TO_LAST < 1e-3,
        m.UPDATE_RATIO_FIRST > 0.005,
        m.WEIGHT_NORM_LEFT > 0.9,
        m.TO_CONSTANT > 0.95,
        STUCK,
        prior=0.85,
    ),
    # The data and the capacity of the network.
    _rule("model_too_small", m.TRIED_LARGER > 0.1, m.FIT_LEFT > 0.2, m.TO_CONSTANT > 0.4, prior=0.9),
    _rule("model_too_small", m.TRIED_LARGER > 0.03, m.FIT_LEFT > 0.3, m.TO_CONSTANT > 0.4, m.LEFT > 0.3, prior=0.85),
    # One batch that is learned by heart, where it is hardly all that there is.
    _rule("same_batch", m.BATCHES_SEEN < 1.5, m.USUAL_SIZE > 0.5, m.VALID_GAP > 0.5, m.VALID_LEFT > 0.3, m.LEFT < 0.2),
    _rule(
        "same_batch",
        m.BATCHES_SEEN < 1.5,
        m.USUAL_SIZE > 0.5,
        m.LEFT < 0.01,
        (m.VALID_GAP > 0.5).if_known,
        prior=0.85,
    ),
    _rule("overfitting", m.VALID_GAP > 0.5, m.VALID_RISE > 0.1, m.VALID_LOST > 0.1),
    _rule("overfitting", m.VALID_GAP > 0.7, m.VALID_LEFT > 0.3, m.LEFT < 0.2),
    _rule("overfitting", m.VALID_GAP > 0.98, m.VALID_LEFT > 0.2, m.LEFT < 0.01),
    _rule("overfitting", m.ACCURACY_GAP > 0.15, m.TRAIN_ACCURACY > 0.95),
    # What is lost among several processes, though each of them learns.
    _rule("replicas_see_same_data", m.DRAWS_SHARED > 0.9, prior=1.0),
    _rule("straggler", m.WAITING > 0.2, m.SLOWEST_TIMES > 1.5, prior=1.0),
    _rule(
        "targets_unrelated",
        m.FORETOLD < FORETELLS,
        (m.FIRST_SIGHT > 0.96).if_known,
        m.FIT_LEFT < 0.6,
        m.STEPS > 50,
        prior=0.9,
        beside_learning=True,
    ),
    *OUTDONE_RULES,
    _rule("healthy", m.FALLING > 0.006, NOT_RISEN, (m.TO_CONSTANT < 0.95).if_known, NOT_OUTDONE, prior=0.9),
    _rule(
        "healthy",
        m.FALLING > 0.02,
        NOT_RISEN,
        (m.TO_CONSTANT < 1.5).if_known,
        (m.TRIED_LONGER > 0.05).if_known,
        NOT_OUTDONE,
        prior=0.9,
    ),
    _rule("healthy", m.FALLING > 0.02, NOT_RISEN, (m.TO_CONSTANT < 0.95).if_known, m.TRIED_LONGER > 0.05, prior=0.9),
    _rule(
        "targets_unrelated",
        NOT_FORETOLD,
        m.TO_CONSTANT > 0.93,
        NOT_ABOVE,
        m.TRIED_BEST > 0.9,
        m.FIT_LEFT < 0.6,
        m.FALLING < 0.06,
        (m.UPDATE_RATIO > 1e-3).if_known,
        prior=0.85,
    ),
    _rule(
        "targets_unrelated",
        NOT_FORETOLD,
        m.TO_CONSTANT > 0.97,
        NOT_ABOVE,
        m.TRIED_BEST > 0.8,
        m.FIT_LEFT < 0.3,
        m.FALLING < 0.06,
        m.UPDATE_RATIO > 1e-3,
        m.STEPS > 150,
        prior=0.85,
    ),
    _rule(
        "converged",
        m.LEFT < 0.05,
        STUCK,
        (m.TO_CONSTANT < 0.5).if_known,
        (m.TRIED_LONGER < 0.15).if_known,
        NOT_OUTDONE,
        prior=0.9,
    ),
    _rule("model_too_small", m.FIT_LEFT > 0.6, m.LEFT > 0.3, STUCK, (m.TRIED_LARGER > 0).if_known, prior=0.9),
    _rule(
        "targets_unrelated",
        NOT_FORETOLD,
        (m.TRIED_BEST > 0.8).if_known,  # else a short trial learned what holds on samples kept out
        m.TO_CONSTANT > 0.95,
        NOT_ABOVE,
        (m.COSINE < 0.3).if_known,
        m.FIT_LEFT < 0.6,
        (m.UPDATE_RATIO > 1e-4).if_known,
        STUCK,
        prior=0.85,
    ),
    _rule("noise_floor", m.BATCH_SIZE < 9, *AVERAGED_OUT, NOT_DECAYED, NOT_OUTDONE, prior=0.85),
    _rule("noise_floor", m.NOISE_SHARE > 0.2, m.BATCH_SIZE < 9, m.COSINE < 0.3, *HOVERS, prior=0.85),
    # Steps of larger batches that go somewhere are not at the floor.
    _rule("noise_floor", m.NOISE_SHARE > 0.4, m.COSINE < 0.1, *HOVERS, prior=0.85),
    _rule("noise_floor", (m.TRIED_LOWER_RATE > 0.02).if_known, *AVERAGED_OUT, NOT_DECAYED, NOT_OUTDONE, prior=0.85),
    _rule(
        "converged",
        m.DECREASE_POSSIBLE < 2e-2,
        STUCK,
        (m.TO_CONSTANT < 0.9).if_known,
        (m.TRIED_LONGER < 0.15).if_known,
        NOT_OUTDONE,
        prior=0.8,
    ),
)

REPLICA_CODES = frozenset(rule.code for rule in RULES if rule.needs_replicas)
"""Codes with a rule that needs several processes: neither the zoo nor the playground, which have one, shows them."""
