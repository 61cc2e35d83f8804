"""Rules on a rate that is too large: its steps throw the weights, overshoot, or hover above what shorter ones reach."""

from __future__ import annotations

from thalweg.diagnosis.conditions import LOWER_IS_NO_WORSE, NOT_BELOW, SEVERAL, STUCK
from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.measures.trends import BURSTS
from thalweg.diagnosis.measures.trial_gains import RISEN, THROWN
from thalweg.diagnosis.rule import Rule
from thalweg.diagnosis.rule import rule_of as _rule


RATE_RULES: tuple[Rule, ...] = (
    _rule("lr_too_large", LOWER_IS_NO_WORSE, m.WEIGHT_NORM_LEFT > 10, NOT_BELOW, STUCK),
    _rule("lr_too_large", LOWER_IS_NO_WORSE, m.UPDATE_RATIO_FIRST > 0.25, m.FALLING < 0.02, m.LEFT > 0.2, SEVERAL),
    _rule("lr_too_large", LOWER_IS_NO_WORSE, m.UPDATE_RATIO_FIRST > 0.25, m.TO_CONSTANT > 0.95),
    _rule(
        "lr_too_large",
        LOWER_IS_NO_WORSE,
        m.UPDATE_RATIO_FIRST > 0.08,
        m.DEAD_UNITS > 0.8,
        m.DEAD_UNITS_FIRST < 0.7,
        STUCK,
    ),
    _rule(
        "lr_too_large",
        m.WEIGHT_NORM_LEFT > 10,
        m.UPDATE_RATIO_FIRST > 0.05,  # else one bad batch, or a loss that burst, may have done it
        m.DEAD_UNITS > 0.9,
        m.DEAD_UNITS_FIRST < 0.5,
        NOT_BELOW,
        STUCK,
    ),
    _rule("lr_too_large", LOWER_IS_NO_WORSE, m.UPDATE_RATIO > 0.05, m.LATE_NOISE > 0.5, STUCK, m.LEFT > 0.2, SEVERAL),
    _rule(
        "lr_too_large",
        LOWER_IS_NO_WORSE,
        m.SHARPNESS_RATIO > 1.5,
        m.GAIN_LESS_THAN_SAME > 0.1,
        m.LEFT > 0.2,
        (m.CLIPPED < 0.9).if_known,  # clipped steps are no longer than they are
    ),
    _rule(
        "lr_too_large",
        LOWER_IS_NO_WORSE,
        m.PEAK > 3,
        STUCK,
        m.LEFT > 0.2,
        SEVERAL,
        (m.SATURATED_UNITS_FIRST < 0.5).if_known,
        (m.DEAD_UNITS_FIRST < 0.8).if_known,
    ),
    # It learns from where its first steps threw it; a lower rate leads it lower.
    _rule(
        "lr_too_large",
        m.UPDATE_RATIO_FIRST > THROWN,
        m.PEAK > RISEN,
        m.TRIED_LOWER_RATE > 0.05,
        prior=0.9,
        beside_learning=True,
    ),
    _rule(
        "lr_too_large",
        m.DEAD_UNITS > 0.9,
        m.WEIGHT_NORM_LEFT > 3,
        m.TRIED_LOWER_RATE > 0.05,
        m.TO_CONSTANT > 0.95,
        STUCK,
        prior=0.9,
    ),
    # It had come down, a burst threw it up, and there it stays; trials from now on a wreck show little.
    _rule(
        "lr_too_large",
        m.ABOVE_LOWEST > 0.3,
        m.GRADIENT_BURST > BURSTS,
        m.TO_CONSTANT > 0.95,
        STUCK,
        SEVERAL,
        prior=0.85,
    ),
    _rule("lr_too_large", LOWER_IS_NO_WORSE, m.ABOVE_LOWEST > 0.1, m.LEFT > 0.2, (m.VALID_RISE < 0.1).if_known),
)
