"""The stages of a diagnosis: how much of all is done, as a listener hears it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from thalweg.training.progress import Listener

Progress = Callable[[str, float, float], None]
"""Receives the name of a stage, and how much of how much of it is done."""

# The stages of a diagnosis in their order, and how long each usually takes, in steps of the training.
STAGES = {
    "batch": 8,
    "blind": 1,
    "called": 2,
    "floor": 2,
    "domain": 1,
    "graph": 4,
    "mixing": 4,
    "smoothing": 4,
    "ignored": 6,
    "cut": 2,
    "collapse": 3,
    "layout": 1,
    "columns": 2,
    "rare": 1,
    "order": 1,
    "forgotten": 1,
    "leakage": 5,
    "pairing": 3,
    "rewards": 2,
    "mirrored": 1,
    "unread": 2,
    "symmetry": 1,
    "start": 2,
    "repeated": 1,
    "dropout_left_on": 1,
    "affine": 4,
    "penalty": 2,
    "terms": 4,
    "rounding": 1,
    "statistics": 1,
    "sequence": 4,
    "noise": 4,
    "hovering": 8,
    "curvature": 200,
    "short_runs": 250,
    "numbered": 1,
    "accumulation": 1,
    "padding": 1,
    "foretold": 1,
    "dropout": 240,
    "outdone": 1,
    "unordered": 1,
    "trial_gains": 250,
    "trial": 80,
}


def in_stages(
    listener: Listener,
    *,
    try_fix: bool,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> Progress:
    """Pass the progress of each stage to a listener, as a part of the whole.

    A slow network spends its seconds on the first stages and is asked less in the last: of the share of the stages and
    that of the seconds, the larger one counts.

    Args:
        listener: hears `training.stage_NAME`, and how much of all is done.
        try_fix: whether the trial of a fix comes last.
        seconds: for all stages before that trial.
        clock: gives seconds.
    """
    costs = {stage: cost for stage, cost in STAGES.items() if try_fix or stage != "trial"}
    timed, began = sum(costs.values()) - costs.get("trial", 0), clock()

    def progress(stage: str, done: float, total: float) -> None:
        before = sum(islice(costs.values(), list(costs).index(stage)))
        by_time = 0.0 if stage == "trial" else timed * min(1.0, (clock() - began) / seconds)
        listener.working(stage, max(before + costs[stage] * done / total, by_time), sum(costs.values()))

    return progress
