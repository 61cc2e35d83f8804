"""Rules on a training that is sound and stopped at its beginning: more of its steps go on learning."""

from __future__ import annotations

from thalweg.diagnosis.conditions import NOT_BELOW, STUCK
from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.rule import Rule
from thalweg.diagnosis.rule import rule_of as _rule


LENGTH_RULES: tuple[Rule, ...] = (
    _rule("too_few_steps", m.STEPPED < 0.1, m.TRIED_LONGER > 0.1, NOT_BELOW, prior=0.9),
    _rule(
        "too_few_steps", m.STEPS > 5, m.STEPS < 20, m.TRIED_LONGER > 0.05, (m.TO_CONSTANT > 0.5).if_known, prior=0.85
    ),
    _rule("too_few_steps", m.STEPS > 5, m.STEPS < 20, m.GAIN_SAME > 0.1, (m.TO_CONSTANT > 0.5).if_known, prior=0.85),
    _rule("too_few_steps", m.STEPS < 100, m.TRIED_LONGER > 0.1, m.TO_CONSTANT > 0.9, m.FIT_LEFT < 0.3, prior=0.85),
    _rule("too_few_steps", m.STEPS < 100, m.COSINE > 0.5, m.FIT_LEFT < 0.3, m.LEFT > 0.9, STUCK, prior=0.85),
    _rule(
        "too_few_steps",
        m.STEPS < 100,
        m.TRIED_LONGER > 0.25,
        m.TO_CONSTANT > 0.7,
        m.FALLING > 0.1,
        prior=0.85,
        beside_learning=True,
    ),
    _rule(
        "too_few_steps",
        m.LR_RISING > 0.2,
        m.TRIED_LONGER > 0.1,
        m.TO_CONSTANT > 0.5,
        m.FALLING > 0.05,
        m.STEPS > 50,
        prior=0.85,
        beside_learning=True,
    ),
    _rule(
        "too_few_steps",
        m.STEPS < 100,
        m.COSINE > 0.5,
        m.FIT_LEFT < 0.3,
        m.FALLING > 0.006,
        m.TO_CONSTANT > 0.95,
        m.UPDATE_RATIO > 1e-3,
        prior=0.85,
    ),
)
