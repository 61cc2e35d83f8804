"""Steps that the type of the weights rounds away: bfloat16 has eight significant bits, half precision eleven."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.probes.batches import Batch
    from thalweg.probes.copies import Copy

NARROW = (torch.bfloat16, torch.float16)


def rounding_measures(narrow: Copy, wide: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of a step's updates that are lost because the weights cannot hold them.

    Args:
        narrow: takes a step as it is.
        wide: takes the same step in single precision.
        batch: for both.

    Returns:
        `rounded_away`: of the weights that move in single precision, the share that stay as they are in their own
        type; 0 unless most of the weights have fewer bits.

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
    wanted = sum(int(one.sum()) for one in meant)
    lost = sum(int((one & ~other).sum()) for one, other in zip(meant, moved, strict=True))
    return {"rounded_away": lost / wanted} if wanted else {}


def _moved(copied: Copy, batch: Batch) -> Sequence[Tensor]:
    """Which values of each parameter a step changes."""
    before = [parameter.detach().clone() for parameter in copied.model.parameters()]
    with own_randomness(0), torch.enable_grad():
        copied.step(partial(batch.loss, copied.model, copied.loss_fn))
    return [one.detach() != old for one, old in zip(copied.model.parameters(), before, strict=True)]


def _single(value: Tensor) -> Tensor:
    return value.float() if value.dtype in NARROW else value
