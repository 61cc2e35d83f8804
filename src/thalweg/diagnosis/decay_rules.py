"""Rules on a rate that fell too early: it had been larger, and the steps since then are too short."""

from __future__ import annotations

from thalweg.diagnosis.conditions import FULL_RATE_HELPS, FULL_RATE_HELPS_MUCH, NOT_BELOW, SEVERAL, STUCK
from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.rule import Rule
from thalweg.diagnosis.rule import rule_of as _rule


DECAY_RULES: tuple[Rule, ...] = (
    _rule(
        "decayed_too_early",
        m.LR_LEFT < 0.1,
        FULL_RATE_HELPS,
        m.GAIN_LR_MOST_RATIO > 10,
        m.GAIN_LR_MOST > 3e-3,
        m.LEFT > 0.3,
        (m.COSINE > 0.15).if_known,
        (m.TO_CONSTANT > 0.5).if_known,
        STUCK,
        SEVERAL,
    ),
    _rule(
        "decayed_too_early",
        m.LR_LEFT < 0.1,
        FULL_RATE_HELPS_MUCH,
        m.GAIN_LR_MOST_RATIO > 10,
        m.GAIN_LR_MOST > 0.02,
        NOT_BELOW,
        STUCK,
    ),
    _rule(
        "decayed_too_early",
        m.LR_LEFT < 0.1,
        (m.TRIED_FULL_RATE > 0.1).if_known,  # less is the scatter of samples kept out
        m.GAIN_LR_MOST_RATIO > 10,
        m.GAIN_LR_MOST > 0.1,
        m.LEFT > 0.3,
        (m.TO_CONSTANT < 0.85).if_known,
        m.FALLING < 0.05,
        SEVERAL,
    ),
    _rule(
        "decayed_too_early",
        m.LR_LEFT < 0.1,
        m.FULL_RATE_SHARE > 0.5,
        m.TRIED_FULL_RATE > 0.02,
        m.GAIN_LR_MOST_RATIO > 10,
        STUCK,
        prior=0.9,
        beside_learning=True,
    ),
    # Most steps had next to no rate: before anything was learned, or while the loss was still falling.
    _rule(
        "decayed_too_early",
        m.LR_GONE > 0.5,
        m.GAIN_LR_MOST_RATIO > 10,
        m.GAIN_LR_MOST > 1e-3,
        (m.TRIED_FULL_RATE > -0.02).if_known,
        NOT_BELOW,
        STUCK,
        prior=0.9,
    ),
    _rule(
        "decayed_too_early",
        m.LR_GONE > 0.5,
        m.FELL_BEFORE > 0.05,
        m.GAIN_LR_MOST_RATIO > 10,
        m.GAIN_LR_MOST > 0.02,
        (m.TO_CONSTANT > 0.1).if_known,
        m.LEFT > 0.1,
        STUCK,
        prior=0.9,
    ),
)
