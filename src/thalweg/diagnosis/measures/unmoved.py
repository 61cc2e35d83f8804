"""Outputs that the loss pulls and that no weight moves, such as a second derivative through ReLU.

Shape suffixes: N samples, K outputs of a sample.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.graph import tensors_in
from thalweg.diagnosis.measures.head import head_of
from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor, nn

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

MOST_OUTPUTS = 16  # of a sample: each is asked for its gradient
REDRAWN = 4  # times


def unmoved_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of a network's outputs that no weight moves, of those that the loss pulls.

    Args:
        copied: gets new weights.
        batch: of inputs and targets.

    Returns:
        `outputs_unmoved`, in [0, 1]: outputs that are computed with weights and have no gradient by any, with the
        present weights and with new ones. A last ReLU that cuts an output is another fault, and does not count. Beside
        others in one tensor, an output counts if it is one number for all samples: inputs may be passed on there.
        Nothing where samples have more than sixteen outputs, or the loss pulls none.
    """
    pulled_K = None
    with suppress(Exception):  # a loss that takes no other outputs
        pulled_K = _pulled(copied, batch)
    if pulled_K is None or not pulled_K.any():
        return {}
    still_K = _still(copied, batch, pulled_K)
    for seed in range(REDRAWN):
        if not still_K.any():
            break
        with own_randomness(seed):
            copied.restart()
        still_K &= _still(copied, batch, still_K)
    return {"outputs_unmoved": float(still_K.sum() / pulled_K.sum())}


def _columns(outputs: object) -> Tensor | None:
    """The outputs of each sample, (N, K)."""
    made = [one for one in tensors_in(outputs) if one.is_floating_point()]
    if not made or any(not one.ndim or len(one) != len(made[0]) or not one.numel() for one in made):
        return None
    rows_NK = torch.cat([one.reshape(len(one), -1).float() for one in made], dim=1)
    return rows_NK if len(rows_NK) > 1 and rows_NK.shape[1] <= MOST_OUTPUTS else None


def _pulled(copied: Copy, batch: Batch) -> Tensor | None:
    """Which outputs the loss has a gradient at, for outputs that are drawn."""
    with own_randomness(0), torch.enable_grad():
        outputs = batch.outputs(copied.model)
        rows_NK = _columns(outputs)
        if rows_NK is None:
            return None
        leaves: list[Tensor] = []

        def drawn(one: Tensor) -> Tensor:
            if not one.is_floating_point():
                return one
            leaves.append((one.detach() + torch.randn_like(one)).requires_grad_())
            return leaves[-1]

        loss = copied.loss_fn(mapped(outputs, drawn), batch.targets)
        found = torch.autograd.grad(loss, leaves, allow_unused=True)
    parts = zip(leaves, found, strict=True)
    gradients = [torch.zeros_like(leaf) if gradient is None else gradient for leaf, gradient in parts]
    return torch.cat([one.reshape(len(one), -1).abs().amax(dim=0) for one in gradients]) > 0


def _still(copied: Copy, batch: Batch, asked_K: Tensor) -> Tensor:
    """Which of the outputs have no gradient by a weight that they depend on."""
    weights = [weight for weight in copied.model.parameters() if weight.requires_grad]
    still: list[bool] = []
    with own_randomness(0), torch.enable_grad():
        for one in tensors_in(batch.outputs(copied.model)):
            if not one.is_floating_point():
                continue
            own = one.requires_grad and head_of(one) != "relu"
            for column_N in one.reshape(len(one), -1).unbind(dim=1):
                alike = one.numel() == len(one) or bool((column_N == column_N[0]).all())
                asked = bool(asked_K[len(still)]) and alike and own and bool(weights)
                still.append(asked and not _moves(column_N, weights))
    return torch.tensor(still, device=asked_K.device)


def _moves(column_N: Tensor, weights: list[nn.Parameter]) -> bool:
    """Whether any weight has a gradient of an output."""
    by_sample_N = torch.randn_like(column_N)
    found = torch.autograd.grad((by_sample_N * column_N).sum(), weights, retain_graph=True, allow_unused=True)
    return any(one is not None and bool(one.any()) for one in found)
