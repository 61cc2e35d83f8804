"""What dropout costs: short runs of two copies, one without dropout, both judged without it.

They run from the present weights and from new ones: a network that dropout has taught to ignore its inputs does not
recover in a few steps.
"""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import own_randomness
from thalweg.probes.dropout import Dropping, WithoutDropout


if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import nn

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

STEPS, STEPS_ANEW = 60, 200
MUCH = 0.2  # of the scale: a gain that needs an explanation
LOWER = (0.1, 0.01)  # of the rate
ENOUGH = 0.5  # of the scale: with so much gained at a lower rate, dropout is not what is in the way


def dropout_left_on(model: nn.Module, batch: Batch) -> dict[str, float]:
    """Measure whether dropout works in evaluation mode, as `functional.dropout(x)` does without `training=`.

    Args:
        model: is left in evaluation mode.
        batch: for one pass.

    Returns:
        `dropout_left_on`: the largest probability of a dropout that is at work in evaluation mode, in [0, 1].
    """
    model.eval()
    with torch.no_grad(), Dropping() as dropping:
        batch.outputs(model)
    return {"dropout_left_on": dropping.strongest}


def strongest_dropout(gains: Gains) -> float:
    """The largest probability of a dropout, module or function, that is at work in training; 0 without any."""
    if not gains.model.training:
        return 0.0
    with torch.no_grad(), own_randomness(0), Dropping() as dropping, suppress(Exception):
        gains.batches[0].outputs(gains.copied().model)
    return dropping.strongest


def dropout_measures(gains: Gains) -> dict[str, float]:
    """Measure how much more a copy without dropout learns.

    Args:
        gains: the model, its optimizer, the loss and the batches, and how long short runs may take.

    Returns:
        `gain_no_dropout_more`: the gain without dropout less that with it, both judged in evaluation mode; nothing
        for a model without dropout, or whose steps take too long. `gain_lower_rate_more`, where that is much: the same
        gain, from new weights, of a lower rate with dropout: the first of `LOWER` that gains enough, or the better one.
    """
    if strongest_dropout(gains) <= 0:
        return {}
    affordable = gains.affordable()
    if 2 * (STEPS + STEPS_ANEW) * affordable // RUN_STEPS * gains.a_step > gains.seconds:
        return {}
    more, dropped = [], math.nan
    for anew, wanted in ((False, STEPS), (True, STEPS_ANEW)):
        steps = wanted * affordable // RUN_STEPS
        kept, dropped = (_after(gains, steps, way, anew=anew) for way in (WithoutDropout(), nullcontext()))
        more.append((dropped - kept) / gains.scale)
    known = [gain for gain in more if math.isfinite(gain)]
    if not affordable or not known:
        return {}
    found = {"gain_no_dropout_more": max(known)}
    if found["gain_no_dropout_more"] > MUCH and math.isfinite(dropped):
        steps = STEPS_ANEW * affordable // RUN_STEPS
        gained = -math.inf
        for rate in LOWER:
            if not gained > ENOUGH:
                lower = _after(gains, steps, nullcontext(), anew=True, rate=rate)
                gained = max(gained, (dropped - lower) / gains.scale, key=lambda gain: (math.isfinite(gain), gain))
        found["gain_lower_rate_more"] = gained
    return found


def _after(gains: Gains, steps: int, way: AbstractContextManager[Any], *, anew: bool, rate: float = 1.0) -> float:
    """Train a copy, from new weights or the present ones, and return its loss in evaluation mode.

    Args:
        gains: the model, its optimizer, the loss and the batches.
        steps: number of steps.
        way: with or without dropout.
        anew: whether from new weights.
        rate: a multiple of the optimizer's.
    """
    copied = gains.copied()
    for group in copied.optimizer.param_groups:
        group["lr"] = group["lr"] * rate
    if anew:
        with own_randomness(1):
            copied.restart()
    with own_randomness(0), torch.enable_grad(), way:
        for step in range(steps):
            batch = gains.batches[step % len(gains.batches)]
            if not copied.step(partial(batch.loss, copied.model, copied.loss_fn)).requires_grad:
                return math.nan
    copied.model.eval()
    with own_randomness(0):
        return mean_loss(copied.model, copied.loss_fn, gains.batches)
