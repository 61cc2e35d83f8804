"""How much of a loss that hovers is due to the noise of its steps: a lower rate would take it away."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.probes.copies import own_randomness
from thalweg.probes.holdout import rows_of


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

FEWEST, MOST = 8, 32  # batches, whose gradients show how far they scatter


def hovering_measures(copied: Copy, kept: Batch | None, size: int, *, most: int = MOST) -> dict[str, float]:
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
    starts = range(0, kept.size - size + 1, size)[: min(most, MOST)]
    if len(starts) < FEWEST:
        return {}
    batches = [rows_of(kept, slice(at, at + size)) for at in starts]
    rates = _rates(copied)
    scaled: list[Tensor] = []
    losses: list[float] = []
    with own_randomness(0), torch.enable_grad():
        for batch in batches:
            if batch is None:
                return {}
            loss = batch.loss(copied.model, copied.loss_fn)
            made = torch.autograd.grad(loss, [parameter for parameter, _ in rates], allow_unused=True)
            parts = [g.reshape(-1) * rate**0.5 for g, (_, rate) in zip(made, rates, strict=True) if g is not None]
            scaled.append(torch.cat(parts).float())
            losses.append(float(loss.detach()))
    loss, stacked_KP = sum(losses) / len(losses), torch.stack(scaled)
    excess = float(stacked_KP.var(dim=0).sum()) / 4
    return {"noise_share": min(excess / loss, 1.0)} if loss > 0 else {}


def _rates(copied: Copy) -> list[tuple[Tensor, float]]:
    """The trained parameters, and how far a steady gradient moves each in the end, per unit."""
    return [
        (parameter, float(group["lr"]) / max(1 - float(group.get("momentum") or 0.0), 1e-3))
        for group in copied.optimizer.param_groups
        for parameter in group["params"]
        if parameter.requires_grad
    ]
