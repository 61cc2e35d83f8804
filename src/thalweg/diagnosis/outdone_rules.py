"""Rules on a network that learned and is held back: a plain predictor avoids many of its errors, or a trial tells."""

from __future__ import annotations

from thalweg.diagnosis.conditions import NOT_BELOW, OUTDONE, VANISHED
from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.measures.trial_gains import HUGE
from thalweg.diagnosis.rule import Rule
from thalweg.diagnosis.rule import rule_of as _rule


OUTDONE_RULES: tuple[Rule, ...] = (
    _rule("vanishing_gradients", OUTDONE, *VANISHED, m.STEPS > 50, prior=0.9, beside_learning=True),
    # Next to no gradient from the start, and little ever after.
    _rule(
        "vanishing_gradients",
        OUTDONE,
        m.GRADIENT_FIRST_TO_LAST_START < 1e-3,
        m.GRADIENT_FIRST_TO_LAST < 0.1,
        (m.DEAD_UNITS_FIRST < 0.9).if_known,
        (m.SATURATED_UNITS_FIRST < 0.5).if_known,
        m.STEPS > 50,
        prior=0.9,
        beside_learning=True,
    ),
    _rule(
        "saturated_units",
        OUTDONE,
        m.INITIAL_SCALE > 4,
        m.SATURATED_UNITS_FIRST > 0.5,
        m.SATURATED_UNITS > 0.5,
        prior=0.9,
        beside_learning=True,
    ),
    _rule("model_too_small", OUTDONE, m.TRIED_LARGER > 0.05, prior=0.9, beside_learning=True),
    _rule("model_too_small", m.AFFINE > 0.5, m.AVOIDABLE > 0.1, m.LEFT > 0.1, prior=0.95, beside_learning=True),
    _rule(
        "model_too_small",
        m.ONE_LAYER > 0.5,
        m.BENDS > 0.1,
        m.AVOIDABLE > 0.1,
        m.LEFT > 0.1,
        prior=0.95,
        beside_learning=True,
    ),
    _rule("clipped_too_hard", OUTDONE, m.TRIED_UNCLIPPED > 0.1, prior=0.9, beside_learning=True),
    _rule("bad_inputs", OUTDONE, m.TRIED_STANDARDIZED > 0.1, prior=0.9, beside_learning=True),
    _rule(
        "bad_inputs", OUTDONE, m.INPUTS_SCALE > HUGE, m.TRIED_STANDARDIZED_ANEW > 0.1, prior=0.9, beside_learning=True
    ),
    _rule(
        "bad_inputs",
        m.INPUTS_SCALE > HUGE,
        m.TRIED_STANDARDIZED_ANEW > 0.1,
        (m.TO_CONSTANT > 0.3).if_known,
        prior=0.9,
        beside_learning=True,
    ),
    _rule("bad_inputs", OUTDONE, m.IDS_AS_NUMBERS > 0.5, prior=0.9),
    _rule(
        "bad_inputs",
        m.NAMES_TELL > 5,
        (m.TO_CONSTANT > 0.3).if_known,
        m.STEPS > 50,
        prior=0.9,
        beside_learning=True,
    ),
    _rule("dropout_too_strong", OUTDONE, m.TRIED_NO_DROPOUT > 0.1, prior=0.9, beside_learning=True),
    _rule("weight_decay_too_strong", OUTDONE, m.TRIED_NO_DECAY > 0.1, prior=0.9, beside_learning=True),
    # That going on learns is told by gradients that agree, or by a trial.
    _rule(
        "too_few_steps",
        OUTDONE,
        m.STEPS < 100,
        m.FALLING > 0.1,
        m.COSINE > 0.5,
        m.LEFT > 0.3,
        prior=0.85,
        beside_learning=True,
    ),
    _rule(
        "too_few_steps",
        m.AVOIDABLE > 0.1,
        m.STEPS < 100,
        m.FALLING > 0.03,
        m.TRIED_LONGER > 0.1,
        m.LEFT > 0.3,
        prior=0.85,
        beside_learning=True,
    ),
    _rule("too_few_steps", m.AVOIDABLE > 0.5, m.TRIED_LONGER > 0.1, m.COSINE > 0.5, m.TO_CONSTANT > 0.5, prior=0.85),
    _rule(
        "lr_too_large",
        OUTDONE,
        m.TRIED_LOWER_RATE > 0.2,
        m.UPDATE_RATIO_FIRST > 0.25,
        prior=0.9,
        beside_learning=True,
    ),
    _rule("lr_too_small", OUTDONE, m.LR_RISING > 0.2, m.TRIED_HIGHER_RATE > 0.1, NOT_BELOW, prior=0.85),
    _rule(
        "lr_too_small",
        OUTDONE,
        m.TRIED_HIGHER_RATE > 0.1,
        m.TRIED_LONGER < 0.1,  # else the steps are long enough, and too few
        m.COSINE > 0.2,
        NOT_BELOW,
        prior=0.85,
    ),
)
