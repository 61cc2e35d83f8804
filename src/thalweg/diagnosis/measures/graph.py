"""What the graph of the outputs knows and the model does not: parameters that are used but not registered.

Layers in a plain Python list compute, but `model.parameters()` does not yield them, so no optimizer trains them and no
checkpoint keeps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.probes.copies import held_by


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.optim import Optimizer

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy


LOADED = 9  # times that a parameter may have been written to before a training


def graph_measures(copied: Copy, batch: Batch) -> dict[str, float]:
    """Measure the share of the parameters in the outputs' graph that neither the model nor its optimizer has.

    Args:
        copied: the model and its optimizer.
        batch: of inputs and targets.

    Returns:
        `unregistered`, in [0, 1]; nothing for outputs without a graph.
    """
    with torch.enable_grad():
        outputs = batch.outputs(copied.model)
    held = {id(p) for group in copied.optimizer.param_groups for p in group["params"]}
    known = held | {id(parameter) for parameter in copied.model.parameters()}
    leaves = {id(leaf): leaf for leaf in _leaves(outputs) if isinstance(leaf, nn.Parameter)}
    total = sum(leaf.numel() for leaf in leaves.values())
    outside = sum(leaf.numel() for key, leaf in leaves.items() if key not in known)
    return {"unregistered": outside / total} if total else {}


def rival_measures(model: nn.Module, optimizer: Optimizer, loss_fn: LossFunction) -> dict[str, float]:
    """Measure whether the loss function holds a network that another optimizer trains, as a GAN's discriminator.

    Then the loss measures a game: it falls as far as the other network lets it, and no constant answer has a loss of
    its own.

    Args:
        model: its own parameters do not count, nor those that its optimizer has.
        optimizer: of the model.
        loss_fn: of (outputs, targets); nothing runs.

    Returns:
        `rival`, 0 or 1.
    """
    own = {id(p) for group in optimizer.param_groups for p in group["params"]}
    own |= {id(parameter) for parameter in model.parameters()}
    others = [p for module in held_by(loss_fn, (nn.Module,)) for p in module.parameters() if id(p) not in own]
    # a network that was only loaded has been written to once or twice
    return {"rival": float(any(parameter._version > LOADED for parameter in others))}  # noqa: SLF001 - no public name


def _leaves(outputs: Any) -> Iterator[Any]:
    """The tensors at the ends of a graph that receive gradients."""
    waiting = [tensor.grad_fn for tensor in tensors_in(outputs)]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)  # only where a gradient is accumulated
        if leaf is not None:
            yield leaf
        waiting.extend(next_node for next_node, _ in node.next_functions)


def tensors_in(outputs: Any) -> Iterator[torch.Tensor]:
    """The tensors of inputs or outputs, at any depth, in order."""
    if isinstance(outputs, torch.Tensor):
        yield outputs
    elif isinstance(outputs, dict):
        for part in outputs.values():
            yield from tensors_in(part)
    elif isinstance(outputs, list | tuple):
        for part in outputs:
            yield from tensors_in(part)
