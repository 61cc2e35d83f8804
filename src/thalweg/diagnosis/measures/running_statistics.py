"""Whether batch norm's running statistics are those of the training data: evaluation uses them, training does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm  # what the three kinds have in common

from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

FEWEST = 64  # kept samples, half of which give the statistics
PAIR = 3  # values: of fewer, the norm leaves the order alone
NOISY = 0.25  # of the scale: what the statistics of few samples cost, where it needs no trial
GAINS = 0.1  # of the scale: by a trial that norms each sample by itself
WORSE = 0.1  # of the scale: if new statistics raise the loss of the latest batch by less, that is chance


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


def restated_measures(copied: Copy, kept: Batch | None, latest: Batch, size: int, scale: float) -> dict[str, float]:
    """Measure the gain of running statistics that are estimated anew, over many batches of the training.

    A momentum near 1 keeps the last batch alone: on that batch the running statistics look right, on others not.

    Args:
        copied: the model, which changes, and its loss.
        kept: samples that the training took; None: none.
        latest: a batch of the end of the training.
        size: of the training's batches.
        scale: the best constant predictor's loss.

    Returns:
        Shares of the scale. `restated`: the loss of half of the kept samples in evaluation, less that with the mean
        statistics of the other half, in batches of this size; not if the new ones lose half as much on the latest
        batch: inputs that drift have other statistics by then. `norm_noise`: the loss of these samples with the
        statistics of each batch of this size, less the lower one of the two; what statistics of few samples cost.
        Nothing without running statistics or enough samples.

    Source: Ioffe and Szegedy 2015, Batch Normalization, https://arxiv.org/abs/1502.03167, Algorithm 2.
    """
    twin, loss_fn = copied.model, copied.loss_fn
    norms = norms_of(twin)
    if not norms or kept is None or kept.size < max(FEWEST, 4 * size) or size < 2 or not scale > 0:
        return {}
    half = kept.size // 2
    seen, others = rows_of(kept, slice(half)), rows_of(kept, slice(half, None))
    given = [] if seen is None else _in_batches(seen, size)
    if others is None or not given:
        return {}
    twin.eval()
    with own_randomness(0):
        now, at_end = mean_loss(twin, loss_fn, [others]), mean_loss(twin, loss_fn, [latest])
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the plain mean
            norm.train()
        mean_loss(twin, loss_fn, given)
        twin.eval()
        anew, loss_of_drift = mean_loss(twin, loss_fn, [others]), mean_loss(twin, loss_fn, [latest]) - at_end
        for norm in norms:
            norm.train()
        noisy = mean_loss(twin, loss_fn, _in_batches(others, size))
    gain, found = now - anew, {}
    if math.isfinite(gain) and loss_of_drift <= max(WORSE * scale, gain / 2):
        found["restated"] = gain / scale
    if math.isfinite(noisy - min(now, anew)):
        found["norm_noise"] = (noisy - min(now, anew)) / scale
    return found


def norm_measures(model: nn.Module, batch: Batch, size: int) -> dict[str, float]:
    """Look at the values that batch norm makes its statistics of, and at how it follows them.

    The norm of two values is 1 and -1, or -1 and 1, whatever they are: only their order is left. Other libraries give
    the share that running statistics keep, as 0.99, for what is a momentum of 0.01 here.

    Args:
        model: is left in evaluation mode.
        batch: for one pass.
        size: samples in a batch of the training.

    Returns:
        `norm_values`: of one channel in a batch, in the norm with the fewest; `norm_momentum`: the largest, of those
        with one. Nothing without a norm in training mode.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        >>> norm_measures(model, Batch(torch.ones(5, 3), torch.ones(5)), size=2)
        {'norm_values': 2.0, 'norm_momentum': 0.1}
    """
    norms = [norm for norm in norms_of(model) if norm.training or not model.training]
    counts: list[float] = []

    def count(_norm: nn.Module, given: tuple[Any, ...]) -> None:
        values_NC = given[0]
        counts.append(size * values_NC.numel() / max(1, values_NC.shape[0] * values_NC.shape[1]))

    hooks = [norm.register_forward_pre_hook(count) for norm in norms]
    if hooks:
        with torch.no_grad(), own_randomness(0):
            batch.outputs(model.eval())
    for hook in hooks:
        hook.remove()
    momenta = [norm.momentum for norm in norms if norm.momentum is not None]
    return ({"norm_values": min(counts)} if counts else {}) | ({"norm_momentum": max(momenta)} if momenta else {})


def _in_batches(samples: Batch, size: int) -> list[Batch]:
    """Whole batches of samples."""
    parts = (rows_of(samples, slice(at, at + size)) for at in range(0, samples.size - size + 1, size))
    return [part for part in parts if part is not None]


def norms_of(model: nn.Module) -> list[_BatchNorm]:
    """The layers of a model that keep running statistics."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    return [norm for norm in norms if norm.track_running_stats and norm.running_mean is not None]
