"""Gradients of several backward passes that are added up before a step, and not averaged.

If the loss of each of k passes is a mean, their sum is k times the gradient of the mean over all of them, and the rate
is k times what it says. Adam hides that, and so does clipping; plain gradient descent does not.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.diagnosis.measures.start import rewound
from thalweg.diagnosis.measures.trends import clips
from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST = 4  # passes before a step
SUMMED = 0.4  # of the way from a mean to a sum, from which the division is tried
STEPS = 45
MOST = 10.0  # of the scale: a loss beyond it counts as this much


def accumulation_measures(gains: Gains, known: Mapping[str, float], start: Mapping[str, Tensor]) -> dict[str, float]:
    """Measure how far the gradients of several passes are added up, and what their mean gains.

    The gradient of the first step is compared with that of a batch at the same weights. Two copies then train from the
    start, one with the loss as many times as there are passes, one with the loss as it is; both are judged by their
    loss on the batches they train on: what is asked is whether the rate is too large.

    Args:
        gains: the model, its optimizer, the loss, the batches, and how long short runs may take.
        known: `passes` before a step and `gradient_first`, of the history.
        start: weights and buffers by name; empty: nothing is measured.

    Returns:
        `summed_passes`: log(g / g₁) / log(k) for the first gradient's norm g, that of a batch g₁ and k passes: 1 for
        gradients that all point one way and are summed, 0.5 for such as point anywhere, at most 0 for averaged ones.
        `tried_divided`: how much lower a loss the copy with the mean reaches, as a share of the scale. Nothing for
        fewer than four passes, and where nearly every gradient is clipped.
    """
    passes, first = known.get("passes", math.nan), known.get("gradient_first", math.nan)
    if not passes >= FEWEST or not first > 0 or clips(known) != (None, None):
        return {}
    norm = _gradient(gains.copied(), start, gains.batches)
    if not norm > 0:
        return {}
    found = {"summed_passes": math.log(first / norm) / math.log(passes)}
    steps = STEPS * gains.affordable() // RUN_STEPS
    if found["summed_passes"] < SUMMED or 2 * steps * gains.a_step > gains.seconds:
        return found
    summed, mean = (_reached(gains, start, factor, steps) for factor in (passes, 1.0))
    return found | {"tried_divided": summed - mean}


def _gradient(copied: Copy, start: Mapping[str, Tensor], batches: Sequence[Batch]) -> float:
    """The norm of a batch's gradient at the start, the mean over the batches; NaN if the start is unknown."""
    if not rewound(copied, start):
        return math.nan
    held = [p for group in copied.optimizer.param_groups for p in group["params"] if p.requires_grad]
    norms = []
    for batch in batches:
        with own_randomness(0), torch.enable_grad():
            loss = batch.loss(copied.model, copied.loss_fn)
            gradients = torch.autograd.grad(loss, held, allow_unused=True)
        squares = [float(one.detach().to_dense().double().square().sum()) for one in gradients if one is not None]
        norms.append(math.sqrt(sum(squares)))
    return sum(norms) / len(norms)


def _reached(gains: Gains, start: Mapping[str, Tensor], factor: float, steps: int) -> float:
    """The loss after some steps from the start, as a share of the scale."""
    copied = gains.copied()
    rewound(copied, start)
    with own_randomness(0), torch.enable_grad():
        for step in range(steps):
            batch = gains.batches[step % len(gains.batches)]
            copied.step(partial(_times, factor, batch, copied))
    with own_randomness(0):
        loss = mean_loss(copied.model, copied.loss_fn, gains.batches) / gains.scale
    return min(loss, MOST) if math.isfinite(loss) else MOST


def _times(factor: float, batch: Batch, copied: Copy) -> Tensor:
    return factor * batch.loss(copied.model, copied.loss_fn)
