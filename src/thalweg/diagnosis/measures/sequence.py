"""How far back a recurrent network sees: the gradient of the loss at each position of its input sequence.

Sequences that end with padding are a cause: the state after it is the same for all of them.

Shape suffixes: N samples, T positions, F features.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch, LossFunction

SHORTEST = 8
FEWEST, MOSTLY = 8, 0.5  # sequences; share of those that end with padding
FORGOTTEN = 1e-3  # of the spread of the states at the last words: that of the states after the padding


def sequence_measures(model: nn.Module, loss_fn: LossFunction, batch: Batch) -> dict[str, float]:
    """Compare the gradients at the quarters of a sequence.

    Args:
        model: only a copy of it runs; its first recurrent module is looked at.
        loss_fn: of (outputs, targets), a scalar tensor.
        batch: of inputs and targets.

    Returns:
        `sequence_gradient`: the smallest gradient norm of a quarter, relative to the largest; nothing without a
        recurrent module or for sequences of fewer than eight positions. `forgotten_in_padding`, 0 or 1: whether the
        states of eight sequences or more differ a thousand times less at the last position than at the last word;
        nothing unless most of the sequences end with the same input, some with more of it than others.

    Source: Bengio, Simard and Frasconi 1994, Learning long-term dependencies with gradient descent is difficult,
    https://doi.org/10.1109/72.279181.
    """
    twin = copy.deepcopy(model)
    recurrent = next((module for module in twin.modules() if isinstance(module, nn.RNNBase)), None)
    if recurrent is None:
        return {}
    seen: list[Tensor] = []

    def keep(_module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if seen or not isinstance(given[0], torch.Tensor) or given[0].ndim != 3:
            return None
        seen.append(given[0].detach().requires_grad_())
        return (seen[0], *given[1:])

    states: list[Tensor] = []

    def keep_states(_module: nn.Module, _given: Any, made: Any) -> None:
        if isinstance(made[0], torch.Tensor):
            states.append(made[0].detach())

    recurrent.register_forward_pre_hook(keep)
    recurrent.register_forward_hook(keep_states)
    with own_randomness(0), torch.enable_grad():
        loss = batch.loss(twin, loss_fn)
        if not seen or not states or not loss.requires_grad:
            return {}
        (gradient,) = torch.autograd.grad(loss, seen, allow_unused=True)
    if gradient is None:
        return {}
    time = 1 if recurrent.batch_first else 0
    if gradient.shape[time] < SHORTEST:
        return {}
    found = _of_padding(seen[0].detach().movedim(time, 1), states[0].movedim(time, 1))
    quarters = [float(part.norm()) for part in gradient.float().tensor_split(4, dim=time)]
    return found | ({"sequence_gradient": min(quarters) / max(quarters)} if max(quarters) > 0 else {})


def _of_padding(inputs_NTF: Tensor, states_NTF: Tensor) -> dict[str, float]:
    padding_F = inputs_NTF[:, -1].mode(dim=0).values
    same_NT = (inputs_NTF == padding_F).all(dim=2)
    run_N = same_NT.flip(1).cumprod(dim=1).sum(dim=1)
    ends_N = (run_N > 0) & (run_N < same_NT.shape[1])
    if int(ends_N.sum()) < max(FEWEST, MOSTLY * len(ends_N)) or len(run_N[ends_N].unique()) < 2:
        return {}
    states_NTF, word_N = states_NTF[ends_N], same_NT.shape[1] - run_N[ends_N] - 1
    words_NF = states_NTF[torch.arange(len(word_N), device=word_N.device), word_N]
    last, words = (float((one - one.mean(dim=0)).norm()) for one in (states_NTF[:, -1], words_NF))
    return {"forgotten_in_padding": float(last < FORGOTTEN * words)}
