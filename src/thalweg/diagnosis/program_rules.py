"""The first rules: what a program gives its network, connects or computes in a way that cannot be learned from."""

from __future__ import annotations

from thalweg.diagnosis.conditions import (
    BEGUN_AT_A_SADDLE,
    NOT_BELOW,
    NOT_BY_CHANCE,
    OUTDONE,
    SELDOM,
    SOME_GRADIENT,
    STUCK,
)
from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.measures.dropout import ENOUGH, MUCH
from thalweg.diagnosis.measures.ignored import NEARLY_ALL
from thalweg.diagnosis.measures.trial_gains import HUGE
from thalweg.diagnosis.rule import Rule
from thalweg.diagnosis.rule import rule_of as _rule


PROGRAM_RULES: tuple[Rule, ...] = (
    # The batch: NaN, labels out of range, shapes that do not match.
    _rule("bad_inputs", m.INPUTS_NONFINITE > 0, (m.OUTPUTS_NONFINITE > 0).if_known, prior=1.0),
    _rule("bad_inputs", m.NONFINITE_INPUTS > 0, m.NONFINITE_STEP > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_NONFINITE > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_OUTSIDE > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_FILLED > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_BROADCAST > 0.5, prior=1.0),
    _rule("bad_targets", m.UNPAIRED > 0.5, prior=1.0),
    _rule("bad_targets", m.BLANK_IN_TARGETS > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_TOO_LONG > 0, m.NONFINITE_STEP > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_TOO_LONG > 0.1),
    # The wiring, and inputs and targets that cannot be learned from.
    _rule("optimizer_not_stepping", m.STEPPED < 0.01, prior=1.0),
    _rule("optimizer_not_stepping", m.STEPPED < SELDOM, m.DROPPED > 0.9, beside_learning=True),
    _rule("optimizer_not_stepping", m.CLEARED_EARLY > 0.5, prior=1.0),
    _rule("untrained_parameters", m.FOREIGN > 0.5, (m.MISSING > 0.01).if_known, prior=1.0),
    _rule("zero_grad_missing", m.UNCLEARED > 0.5, prior=1.0),
    _rule("rank_without_data", m.PROCESSES_LACKING > 0, prior=1.0),
    _rule("gradients_not_averaged", m.GRADIENTS_DIFFER > 0, m.WRAPPED > 0.5, prior=1.0),
    _rule("gradients_not_averaged", m.GRADIENTS_DIFFER > 0, prior=0.8),  # by hand: an average may be yet to come
    _rule("replicas_differ", m.WEIGHTS_DIFFER > 0, m.WRAPPED > 0.5, prior=1.0),
    _rule("replicas_differ", m.WEIGHTS_DIFFER > 0, prior=0.8),
    _rule("wrong_mode", m.EVALUATING > 0.5, m.MODE_MATTERS > 0.5, prior=1.0),
    _rule("wrong_mode", m.DROPOUT_LEFT_ON > 0.05, prior=1.0),
    _rule("wrong_mode", m.VALIDATED_IN_TRAINING > 0.5, m.MODE_MATTERS > 0.5, prior=1.0),
    _rule("untrained_parameters", m.MISSING > 0.01, prior=1.0),
    _rule("untrained_parameters", m.UNREGISTERED > 0.01, prior=1.0),
    _rule("untrained_parameters", m.PLAIN_TENSORS > 0.01, prior=1.0),
    _rule("untrained_parameters", m.STOPPED > 0.01, (m.LR_MOST < 1e-30).if_known, prior=1.0),
    _rule("untrained_parameters", m.STOPPED > 0.3, m.TO_CONSTANT > 0.5, prior=1.0),
    # Where no input reaches the outputs, what lies between gets no gradient for that reason.
    _rule("inputs_ignored", m.GRADLESS > 0.01, m.INPUTS_SEEN < 1e-3, (m.TO_CONSTANT > 0.7).if_known, prior=1.0),
    _rule("untrained_parameters", m.GRADLESS > 0.01, m.CLEARED_EARLY > 0.01, prior=1.0),
    _rule(  # a branch without a gradient, and columns of a table that nothing reads: convolutions may leave a border
        "inputs_ignored",
        m.GRADLESS > 0.01,
        m.INPUTS_SEEN < NEARLY_ALL,
        m.INPUTS_COLUMNS > 0,
        (m.MISSING < 0.01).if_known,
        prior=1.0,
    ),
    _rule("untrained_parameters", m.GRADLESS > 0.01, prior=1.0),
    _rule("untrained_parameters", m.PART_UNREAD > 0.5, prior=1.0),
    _rule(
        "untrained_parameters",
        m.FROZEN_AT_RANDOM > 0.3,
        m.TRIED_UNFROZEN > 0.3,
        m.TO_CONSTANT > 0.5,
        SOME_GRADIENT,
        prior=0.9,
    ),
    _rule(
        "untrained_parameters",
        m.FROZEN > 0.5,
        m.TRIED_UNFROZEN > 0.5,
        m.AVOIDABLE > 0.4,
        m.TO_CONSTANT > 0.6,
        prior=0.9,
    ),
    _rule(
        "untrained_parameters", m.FROZEN_AT_RANDOM > 0.3, m.TRIED_UNFROZEN > 0.1, NOT_BELOW, SOME_GRADIENT, prior=0.9
    ),
    # What is trained cannot learn even one batch: the frozen part, whatever drew it, holds it back.
    _rule(
        "untrained_parameters",
        m.FROZEN > 0.3,
        m.FIT_LEFT > 0.25,
        m.TRIED_UNFROZEN > 0.2,
        NOT_BELOW,
        SOME_GRADIENT,
        prior=0.9,
    ),
    _rule(
        "untrained_parameters",
        m.FROZEN > 0.3,
        STUCK,
        m.FIT_LEFT > 0.25,
        (m.TRIED_UNFROZEN > 0.05).if_known,  # else the frozen part is not what holds it back
        SOME_GRADIENT,
        prior=0.9,
    ),
    _rule(
        "lr_too_small",
        m.ROUNDED_AWAY > 0.5,
        m.LEFT > 0.3,
        (m.TO_CONSTANT > 0.5).if_known,
        (m.LR_LEFT > 0.1).if_known,
        prior=1.0,
    ),
    _rule("bad_inputs", m.INPUTS_ALIKE > 0.5, prior=1.0),
    _rule("bad_inputs", m.MISREAD > 2, prior=0.95, beside_learning=True),
    _rule("bad_inputs", m.INPUTS_REPEATED > 0.5, m.TO_CONSTANT > 0.9, m.FALLING < 0.05),
    _rule("bad_inputs", m.INPUTS_SCALE > HUGE, (m.TO_CONSTANT > 0.2).if_known),  # a norm may take the scale away
    _rule("bad_inputs", m.INPUTS_SCALE > 1e-12, m.INPUTS_SPREAD < 0.02),
    _rule("not_shuffled", m.TARGETS_KINDS < 1.5, m.TARGETS_COUNT > 7, NOT_BY_CHANCE, m.LEFT > 0.3, prior=1.0),
    _rule("not_shuffled", m.TARGETS_KINDS < 1.5, m.TARGETS_COUNT > 7, NOT_BY_CHANCE, m.PEAK > 1.2, prior=1.0),
    _rule("not_shuffled", m.TARGETS_KINDS < 1.5, m.TARGETS_COUNT > 7, NOT_BY_CHANCE, OUTDONE, prior=1.0),
    _rule("not_shuffled", m.KINDS_TOGETHER < 0.7, m.KINDS_CARRIED > 4, m.LEFT > 0.3, prior=0.95, beside_learning=True),
    _rule("not_shuffled", m.KINDS_TOGETHER < 0.7, m.KINDS_CARRIED > 4, m.PEAK > 1.2, prior=0.95, beside_learning=True),
    # Few pairs of successive steps are kept: where nothing was learned, fewer deviations decide.
    _rule("not_shuffled", m.KINDS_TOGETHER < 0.6, m.KINDS_CARRIED > 2.5, m.TO_CONSTANT > 0.9),
    # Numbers in order may be a series that is learned in its order; one that is well knows what it saw.
    _rule(
        "not_shuffled",
        m.QUANTILES_TOGETHER < 0.6,
        m.QUANTILES_CARRIED > 2.5,
        m.FORGOTTEN > 0.5,
        beside_learning=True,
    ),
    _rule("same_batch", m.BATCHES_SEEN < 1.5, m.REOPENED > 0.5, prior=1.0),
    _rule("same_batch", m.BATCHES_SEEN < 1.5, m.RESEEDED > 0.5, prior=1.0),
    _rule("same_batch", m.BATCHES_SEEN < 1.5, m.AMONG_OTHERS > 0.5, prior=1.0),
    _rule("same_batch", m.BATCHES_SEEN < 1.5, m.AT_HAND > 0.5),
    _rule("same_batch", m.BATCHES_SEEN < 1.5, m.OTHER_BATCH > 0.5, m.LOSS_OTHER > 0.3),
    _rule("same_batch", m.REDRAWN > 2, prior=0.9),
    _rule("replicas_see_same_data", m.DATA_SHARED > 0.3, prior=1.0),
    _rule("bad_targets", m.TARGETS_KINDS < 1.5, m.TARGETS_COUNT > 7, (m.ONE_KIND_SEEN > 0.999).if_known),
    # Numbers may be placeholders, for a loss that compares outputs; gradients tell where they are more.
    _rule("bad_targets", m.TARGETS_KINDS < 1.5, m.ONE_KIND_SEEN > 0.999),
    _rule("bad_targets", m.TARGETS_SCALE > 300, prior=0.9),
    # The loss.
    _rule("wrong_loss", m.LOSS_BLIND > 0.5, prior=1.0),
    _rule("wrong_loss", m.LOSS_IN_STEPS > 0.5, prior=1.0),
    _rule("wrong_loss", m.MISPAIRED > 0.5, prior=1.0),
    _rule("targets_unrelated", m.CROSSED > 0.5, prior=1.0),
    _rule("wrong_loss", m.REWARDED_RARER > 0.5, prior=0.95, beside_learning=True),
    _rule("wrong_loss", m.OUTPUTS_FIXED > 0.5, prior=1.0),
    _rule("wrong_loss", m.OUTPUTS_UNMOVED > 0.05, (m.TO_CONSTANT > 0.5).if_known, prior=1.0),
    _rule("wrong_loss", m.SQUASHED_TWICE > 0.5, prior=1.0),
    _rule("wrong_loss", m.SEVERAL_LABELS > 0.05, prior=1.0),
    _rule("wrong_loss", m.TARGETS_MULTI_HOT > 0.5, prior=1.0),
    _rule("wrong_loss", m.SCORES_CUT > 0.05, m.LEFT > 0.05, prior=1.0),
    _rule("wrong_loss", m.TRUTHS_CUT > 0.1, m.LEFT > 0.05, prior=1.0),
    _rule("wrong_loss", m.NEGATIVES_CUT > 0.05, m.LEFT > 0.05, prior=1.0),
    _rule("wrong_loss", m.SOFTMAX_MISPLACED > 0.5, prior=1.0),
    _rule("wrong_loss", m.LOG_MISSING > 0.5, prior=1.0),
    _rule("wrong_loss", m.LOG_OF_EACH > 0.5, prior=1.0),
    _rule("wrong_loss", m.SAMPLES_AS_TIMES > 0.5, prior=1.0),
    _rule("bad_targets", m.TARGETS_ABOVE_ONE > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_BELOW_ZERO > 0, prior=1.0),
    _rule("bad_targets", m.TARGETS_LARGEST < 0.1, prior=1.0),
    _rule("bad_targets", m.TARGETS_UNREAD > 0.05, prior=1.0),
    # The loss of a policy gradient has no end either, and its sign was right.
    _rule("wrong_loss", m.LOSS_FLOOR < -1, (m.REWARDED_RARER > 0.5).if_known, prior=0.98),
    _rule("wrong_loss", m.IMPROPER > 0.5, prior=1.0),
    _rule("wrong_loss", m.WRONG_IS_BEST > 0.5, prior=1.0),
    _rule("wrong_loss", m.LOSS_UNDEFINED > 0.5, m.NONFINITE_STEP > 0, prior=1.0),
    # It learned before: a rate that throws the weights away makes answers sure, too.
    _rule("wrong_loss", m.LOSS_AT_ENDS > 0.5, m.NONFINITE_STEP > 0, m.TO_CONSTANT < 0.9, prior=1.0),
    _rule("wrong_loss", m.FLOOR_LEFT > 0.95, m.CEILING_LEFT < 1.1, (m.TO_CONSTANT > 0.95).if_known),
    _rule("dead_units", m.OUTPUTS_DEAD > 0.5, prior=1.0),
    _rule("wrong_loss", m.OUT_OF_REACH > 0.05, prior=1.0),
    # Next after the loss: the same ReLU, whose outputs at zero get no gradient.
    _rule("dead_units", m.SCORES_CUT > 0.05, m.LEFT > 0.05, prior=1.0),
    _rule("dead_units", m.OUTPUTS_DEAD < 0.5, m.OUT_OF_REACH > 0.05, prior=1.0),
    _rule(
        "optimizer_not_stepping",
        m.STANDSTILL > 0.25,
        m.LEFT > 0.3,
        m.STEPS > 9,
        (m.LR_LEFT > 0.1).if_known,
        (m.GRADIENT_LAST > 0).if_known,  # else there is nothing to step along
        prior=1.0,
    ),
    _rule(
        "wrong_loss",
        m.LOSS_IS_SQUARED > 0.5,
        m.PROBABILITY_OF_TRUTH < 0.1,
        m.PROBABILITY_OF_GUESS > 0.9,
        STUCK,
        prior=0.9,
    ),
    _rule("class_imbalance", m.PADDING_COUNTED > 0.5, m.TRIED_UNPADDED > 0.1, prior=0.9),
    _rule("wrong_loss", m.NUMBERED_CLASSES > 0.1, prior=0.9, beside_learning=True),
    _rule("bad_targets", m.DROWNED_TERM < 0.01, m.DROWNING_TARGETS > 10, m.STEPS > 100, prior=1.0),
    _rule("wrong_loss", m.DROWNED_TERM < 0.01, m.STEPS > 100, prior=1.0),
    _rule("bad_targets", m.MIRRORED > 0.25, prior=0.9, beside_learning=True),
    # What the inputs tell that they should not.
    _rule("target_leakage", m.TARGETS_IN_COLUMN > 0.5, prior=1.0),
    _rule("target_leakage", m.CLASS_IN_COLUMN > 0.5, prior=0.95, beside_learning=True),
    _rule("target_leakage", m.TARGETS_AT_END > 0.5, prior=1.0),
    _rule("target_leakage", m.NEXT_SEEN > 0.5, prior=1.0),
    _rule("target_leakage", m.OWN_SEEN > 0.5, prior=1.0),
    # What the network cannot tell apart, and what the batch hardly shows.
    _rule("samples_mixed", m.SAMPLES_MIXED > 0.01, m.BATCH_AS_TIME > 0.5, prior=1.0),
    _rule("samples_mixed", m.SAMPLES_MIXED > 0.01, m.TO_CONSTANT > 0.7, prior=1.0),
    _rule("samples_mixed", m.SAMPLES_MIXED > 0.01, m.TO_CONSTANT > 0.5, m.LEFT > 0.5, STUCK, prior=1.0),
    _rule("samples_mixed", m.SAMPLES_MIXED > 0.01, m.LOSS_APART > 0.1, prior=1.0),
    _rule("samples_mixed", m.MIXED_WITHIN > 0.5, m.INPUTS_SEEN < 1e-3, (m.TO_CONSTANT > 0.7).if_known, prior=1.0),
    _rule("bad_inputs", m.INPUTS_SEEN < 1e-3, m.TRIED_STANDARDIZED > 0.1, NOT_BELOW),
    _rule(
        "vanishing_gradients",
        m.FORGOTTEN_IN_PADDING > 0.5,
        m.INPUTS_SEEN < 1e-3,
        (m.TO_CONSTANT > 0.7).if_known,
        prior=1.0,
    ),
    _rule("vanishing_gradients", m.STEPS_CUT > 0.5, (m.TO_CONSTANT > 0.5).if_known, m.LEFT > 0.3, prior=1.0),
    _rule(
        "inputs_ignored",
        m.INPUTS_SEEN < 1e-3,
        (m.TO_CONSTANT > 0.7).if_known,
        (m.TRIED_STANDARDIZED < 0.1).if_known,  # else the network sees inputs of the usual size
        prior=1.0,
    ),
    _rule(
        "inputs_ignored",
        m.OWN_TO_OTHERS < 3,
        NOT_BELOW,
        m.FALLING < 0.05,
        m.STEPS > 50,
        (m.TRIED_LOWER_RATE < 0.1).if_known,  # else the rate is what keeps it from learning
        prior=1.0,
    ),
    _rule("inputs_ignored", m.IGNORED_TELLS > 5, (m.TO_CONSTANT > 0.7).if_known, m.STEPS > 50, prior=1.0),
    _rule("inputs_ignored", m.ORDER_TELLS > 0.1, m.STEPS > 50, prior=1.0),
    _rule("inputs_ignored", m.DIRECTIONS_APART < 0.2, m.DIRECTIONS_LEFT < 0.5, m.STEPS > 50),
    _rule("symmetric_weights", m.TWIN_UNITS > 0.9, m.LEFT > 0.3, prior=1.0),
    _rule("symmetric_weights", m.TWIN_UNITS_FIRST > 0.9, m.LEFT > 0.1, prior=1.0),
    _rule("dead_units", m.MATRIX_GRADIENT_FIRST < 1e-6, m.DEAD_UNITS_FIRST > 0.9, m.LEFT > 0.1, prior=1.0),
    _rule(
        "vanishing_gradients",
        m.MATRIX_GRADIENT_FIRST < 1e-3,
        m.INITIAL_SCALE > 0.005,
        m.INITIAL_SCALE < 0.2,
        m.TO_CONSTANT > 0.95,
        STUCK,
    ),
    _rule("saddle", *BEGUN_AT_A_SADDLE, m.LEFT > 0.1, prior=1.0),
    # The first loss of targets far from zero may be any number of times the constant's.
    _rule("saddle", *BEGUN_AT_A_SADDLE, m.TO_CONSTANT > 0.5, prior=1.0),
    _rule(
        "targets_unrelated",
        m.PICTURES_FORETOLD < 3,
        m.FIT_LEFT < 0.95,  # else the network says nothing of what could be foretold
        prior=0.9,
        beside_learning=True,
    ),
    _rule(
        "class_imbalance",
        m.LARGEST_CLASS > 0.85,
        m.RARE_FOUND < 0.02,
        m.RARE_SAID < 0.1,
        m.STEPS > 100,
        prior=0.9,
    ),
    _rule(
        "class_imbalance",
        m.LARGEST_CLASS > 0.9,
        m.RARE_FOUND < 0.1,
        (m.RARE_SAID < 0.5).if_known,
        m.TO_CONSTANT > 0.7,  # else it learned more than how frequent the classes are, and finds some
        m.FALLING < 0.05,
        prior=0.9,
    ),
    _rule(
        "class_imbalance",
        m.LARGEST_CLASS > 0.9,
        m.RARE_FOUND < 0.1,
        (m.RARE_SAID < 0.5).if_known,
        m.TO_CONSTANT > 0.9,
        prior=0.9,
    ),
    _rule(
        "class_imbalance",
        m.LARGEST_CLASS > 0.9,
        m.RARE_FOUND < 0.1,
        m.RARE_SAID < 0.5,
        m.RARE_RANKED > 0.85,  # it could find most of them
        m.STEPS > 150,
        prior=0.9,
    ),
    _rule(
        "class_imbalance",
        m.LARGEST_CLASS > 0.85,
        m.RARE_FOUND < 0.6,
        m.RARE_SAID < 0.6,
        m.RARE_RANKED > 0.85,
        m.STEPS > 150,
        prior=0.85,
        beside_learning=True,
    ),
    _rule("lr_too_large", m.GAIN_LOWER_RATE_MORE > ENOUGH, NOT_BELOW, STUCK, prior=0.9),
    _rule(
        "dropout_too_strong",
        m.GAIN_NO_DROPOUT_MORE > MUCH,
        m.TO_CONSTANT > 0.7,
        (m.GAIN_LOWER_RATE_MORE < ENOUGH).if_known,  # else a network with the same dropout learns at a lower rate
        prior=0.9,
    ),
)
