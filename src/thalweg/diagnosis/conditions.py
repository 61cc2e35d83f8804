"""Conditions that several rules of the diagnosis share."""

from __future__ import annotations

from thalweg.diagnosis.measures import table as m
from thalweg.diagnosis.measures.foretold import FORETELLS
from thalweg.diagnosis.measures.gains import HOLDS_BACK
from thalweg.diagnosis.measures.outdone import MANY
from thalweg.diagnosis.measures.trends import FLAT


SEVERAL = (m.BATCH_SIZE > 8).if_known  # the first loss of a few samples may be anything, so nothing is relative to it
STUCK = m.FALLING < FLAT  # from the second quarter of the steps to the last; a change within 3.5 standard errors is 0
LOWER_IS_NO_WORSE = (m.TRIED_LOWER_RATE > -0.02).if_known  # trials at a tenth or a hundredth of the rate
FULL_RATE_HELPS = (m.TRIED_FULL_RATE > 0).if_known  # on samples kept out
FULL_RATE_HELPS_MUCH = (m.TRIED_FULL_RATE > 0.05).if_known
UNCLIPPED_HELPS = (m.TRIED_UNCLIPPED > 0.02).if_known  # on samples kept out: short runs may learn a batch by heart
AVERAGED_OUT = (  # flat between the constant predictor and what could be reached, with steps that undo one another
    m.COSINE < 0.3,
    (m.TO_CONSTANT > 0.5).if_known,
    (m.TO_CONSTANT < 0.95).if_known,
    m.LEFT > 0.1,
    STUCK,
)
OUTDONE, NOT_OUTDONE = m.AVOIDABLE > MANY, (m.AVOIDABLE < MANY).if_known  # by kernel ridge regression
DECAYS_MUCH = m.DECAY_TO_GRADIENT > HOLDS_BACK
SOME_GRADIENT = (m.MATRIX_GRADIENT_FIRST > 1e-6).if_known  # of the matrices that are trained
SELDOM = 0.25  # of the records saw a step of the optimizer
NOT_FORETOLD = (m.FORETOLD < FORETELLS).if_known  # targets by inputs, on samples kept out
NOT_BY_SCALE = (m.TRIED_STANDARDIZED < 0.3).if_known  # of the inputs
NOT_DECAYED = (m.LR_LEFT > 0.1).if_known  # else the rate has been lowered already
NOT_BY_CHANCE = (m.ONE_KIND_BY_CHANCE < 1e-3).if_known  # a batch of one class
NOT_ABOVE = m.TO_CONSTANT < 1.2  # above it, the network has not even learned the best constant answer
NOT_BELOW = m.TO_CONSTANT > 0.85  # the loss is hardly lower than the best constant predictor's
# A loss that falls from a peak and stays above its start shows no training that is well.
NOT_RISEN = (m.LEFT < 1).if_known
# Where the first layers had a gradient, the steps, the decay or the data brought the network where none passes.
VANISHED = (m.GRADIENT_FIRST_TO_LAST < 1e-3, (m.GRADIENT_FIRST_TO_LAST_START < 0.01).if_known)
BEGUN_AT_A_SADDLE = (  # no weight matrix had a gradient at the first weights, and no unit was dead or saturated
    m.MATRIX_GRADIENT_FIRST < 1e-6,
    (m.DEAD_UNITS_FIRST < 0.9).if_known,
    (m.SATURATED_UNITS_FIRST < 0.9).if_known,
)
HOVERS = ((m.TRIED_LONGER < 0.01).if_known, STUCK, NOT_DECAYED, NOT_OUTDONE)  # going on gains nothing
