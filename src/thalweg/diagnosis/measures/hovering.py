"""How much of a loss that hovers is due to the noise of its steps: a lower rate would take it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of
from thalweg.probes.wiring import momentum_of


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST, MOST = 8, 32  # batches, whose gradients show how far they scatter


def hovering_measures(copied: Copy, kept: Batch | None, size: int, *, most: float = MOST) -> dict[str, float]:
    """Measure what the noise of SGD's gradients adds to the loss, as a share of it.

    At a rate η and a momentum β, SGD does not settle in a minimum. It scatters around it, and its loss exceeds the
    minimum's by about `η tr C / (4 (1 - β))`, where C is the covariance of a batch's gradient. Rates that are not far
    below the steepest direction's limit exceed it by more. Nothing of this is left at a rate that decays to zero.

    Args:
        copied: only its model runs, in the mode of the training.
        kept: samples that the training took; None: none, so nothing is measured.
        size: samples of a batch of the training.
        most: batches that there is time for.

    Returns:
        `noise_share`, in [0, 1]; nothing for another optimizer, or for fewer than eight batches of kept samples.

    Source: Mandt, Hoffman and Blei 2017, Stochastic gradient descent as approximate Bayesian inference,
        https://arxiv.org/abs/1704.04289.
    """
    if not isinstance(copied.optimizer, torch.optim.SGD) or kept is None or size < 1:
        return {}
    starts = range(0, kept.size - size + 1, size)[: int(min(most, MOST))]
    if len(starts) < FEWEST:
        return {}
    rates = _rates(copied)
    parameters, sums = [parameter for parameter, _ in rates], [torch.zeros_like(parameter) for parameter, _ in rates]
    squares, losses = 0.0, 0.0
    with own_randomness(0), torch.enable_grad():
        for at in starts:
            batch = rows_of(kept, slice(at, at + size))
            if batch is None:
                return {}
            loss = batch.loss(copied.model, copied.loss_fn)
            for one, (_, rate), total in zip(
                torch.autograd.grad(loss, parameters, allow_unused=True), rates, sums, strict=True
            ):
                if one is not None:
                    dense = one.to_dense() if one.is_sparse else one
                    squares += rate * float(dense.norm()) ** 2
                    total.add_(dense)
            losses += float(loss.detach())
    of_mean = sum(rate * float(total.norm()) ** 2 for (_, rate), total in zip(rates, sums, strict=True)) / len(starts)
    excess = (squares - of_mean) / (len(starts) - 1) / 4
    return {"noise_share": min(excess * len(starts) / losses, 1.0)} if losses > 0 else {}


def _rates(copied: Copy) -> list[tuple[Tensor, float]]:
    """The trained parameters, and how far a steady gradient moves each in the end, per unit."""
    return [
        (parameter, float(group["lr"]) / max(1 - momentum_of(group), 1e-3))
        for group in copied.optimizer.param_groups
        for parameter in group["params"]
        if parameter.requires_grad
    ]
