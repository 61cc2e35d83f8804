"""Whether batch norm's running statistics are those of the training data: evaluation uses them, training does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.nn.modules.batchnorm import _BatchNorm  # what the three kinds have in common

from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

FEWEST = 64  # kept samples, half of which give the statistics


def gap_measures(twin: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch], constant: float) -> dict[str, float]:
    """Compare the loss with running statistics to the loss with the batch's own; all else is as in training.

    Args:
        twin: a copy of the model, which changes.
        loss_fn: of (outputs, targets).
        batches: of which the first counts.
        constant: the best constant predictor's loss; NaN: unknown.

    Returns:
        `norm_gap`: the first loss less the second, relative to the constant's; nothing without running statistics.
    """
    norms = norms_of(twin)
    if not norms:
        return {}
    losses = []
    for training in (False, True):  # running statistics first: training mode changes them
        twin.train()
        for norm in norms:
            norm.train(training)
        with own_randomness(0):
            losses.append(mean_loss(twin, loss_fn, batches[:1]))
    scale = max(abs(constant), 1e-12) if math.isfinite(constant) else max(abs(losses[1]), 1e-12)
    return {"norm_gap": (losses[0] - losses[1]) / scale}


def restated_measures(copied: Copy, kept: Batch | None, size: int, scale: float) -> dict[str, float]:
    """Measure the gain of running statistics that are estimated anew, over many batches of the training.

    A momentum near 1 keeps the last batch alone: on that batch the running statistics look right, on others not.

    Args:
        copied: the model, which changes, and its loss.
        kept: samples that the training took; None: none.
        size: of the training's batches.
        scale: the best constant predictor's loss.

    Returns:
        `restated`: the loss of half of the kept samples in evaluation, less that with the mean statistics of the other
        half, in batches of this size, relative to the scale. Nothing without running statistics or enough samples.

    Source: Ioffe and Szegedy 2015, Batch Normalization, https://arxiv.org/abs/1502.03167, Algorithm 2.
    """
    twin, loss_fn = copied.model, copied.loss_fn
    norms = norms_of(twin)
    if not norms or kept is None or kept.size < max(FEWEST, 4 * size) or size < 2 or not scale > 0:
        return {}
    half = kept.size // 2
    parts = [rows_of(kept, slice(at, at + size)) for at in range(0, half - size + 1, size)]
    others = rows_of(kept, slice(half, None))
    given = [part for part in parts if part is not None]
    if others is None or not given:
        return {}
    twin.eval()
    with own_randomness(0):
        now = mean_loss(twin, loss_fn, [others])
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
            norm.train()
        mean_loss(twin, loss_fn, given)
        twin.eval()
        anew = mean_loss(twin, loss_fn, [others])
    return {"restated": (now - anew) / scale} if math.isfinite(now - anew) else {}


def norms_of(model: nn.Module) -> list[_BatchNorm]:
    """The layers of a model that keep running statistics."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.track_running_stats and norm.running_mean is not None]
