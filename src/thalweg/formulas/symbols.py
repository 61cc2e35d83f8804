"""The letters that formulas share."""

from __future__ import annotations

from typing import Final

from thalweg.formulas.tree import Symbol


STEP: Final = Symbol("t", meaning="step")
ITEM: Final = Symbol("i", meaning="item")
ANY: Final = Symbol("k", meaning="any")
E: Final = Symbol("e", meaning="euler")
PI: Final = Symbol("π")

WEIGHT: Final = Symbol("θ", meaning="weight")
GRADIENT: Final = Symbol("g", meaning="gradient")
RATE: Final = Symbol("η", meaning="rate")
FIRST_RATE: Final = Symbol("η", "0", meaning="first_rate")
SCALE: Final = Symbol("σ", meaning="scale")
DIRECTION: Final = Symbol("m", meaning="direction")
EPSILON: Final = Symbol("ε", meaning="epsilon")
DECAY: Final = Symbol("λ", meaning="decay")
MOMENTUM: Final = Symbol("μ", meaning="momentum")
MEAN_SQUARE: Final = Symbol("v", meaning="mean_square")
FIRST_BETA: Final = Symbol("β", "1", meaning="first_beta")
SECOND_BETA: Final = Symbol("β", "2", meaning="second_beta")

RECORDED: Final = Symbol("M", meaning="direction")
"""The direction that a trace records: the update is −η_t M_t / σ_t."""
