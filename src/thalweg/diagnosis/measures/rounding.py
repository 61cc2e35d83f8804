"""Steps that the type of the weights rounds away: bfloat16 has eight significant bits, half precision eleven."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

NARROW = (torch.bfloat16, torch.float16)
STEPS = 8


def rounding_measures(narrow: Copy, wide: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of several steps' movement that is lost because the weights cannot hold it.

    One step does not tell: stochastic rounding moves few weights far instead of all of them a little, and a
    compensated sum (Kahan's) keeps what is lost for a later step. In sum, both go where single precision goes.

    Args:
        narrow: takes the steps as it is.
        wide: takes the same steps in single precision.
        batch: for all steps.

    Returns:
        `rounded_away`: 1 − d·w / w·w, in [0, 1], where w is the movement of the weights in single precision and d that
        in their own type; 0 unless most of the weights have fewer bits.

    Source: Zamirai, Zhang, Aberger and De Sa 2020, Revisiting BFloat16 training, https://arxiv.org/abs/2010.06192.
    """
    parameters = [parameter for parameter in narrow.model.parameters() if parameter.requires_grad]
    few = sum(parameter.numel() for parameter in parameters if parameter.dtype in NARROW)
    if 2 * few <= sum(parameter.numel() for parameter in parameters):
        return {"rounded_away": 0.0}
    moved = _moved(narrow, batch)
    wide.model.float()
    for state in wide.optimizer.state.values():
        state.update({name: _single(value) for name, value in state.items() if isinstance(value, torch.Tensor)})
    meant = _moved(wide, replace(batch, inputs=mapped(batch.inputs, _single)))
    whole = float(meant @ meant)
    return {"rounded_away": min(1.0, max(0.0, 1 - float(moved @ meant) / whole))} if whole > 0 else {}


def _moved(copied: Copy, batch: Batch) -> Tensor:
    """The way of all weights over several steps, as one vector."""
    before = [parameter.detach().clone() for parameter in copied.model.parameters()]
    for step in range(STEPS):
        with own_randomness(step), torch.enable_grad():
            copied.step(partial(batch.loss, copied.model, copied.loss_fn))
    after = [parameter.detach() for parameter in copied.model.parameters()]
    return torch.cat([(one.double() - old.double()).reshape(-1) for one, old in zip(after, before, strict=True)])


def _single(value: Tensor) -> Tensor:
    return value.float() if value.dtype in NARROW else value
