"""What the graph of the outputs knows and the model does not: parameters that are used but not registered.

Layers in a plain Python list compute, but `model.parameters()` does not yield them, so no optimizer trains them and no
checkpoint keeps them. So do tensors that were made of a parameter: `nn.Parameter(…).to(device)` is none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from thalweg.probes.attributes import LOADED, ends_of, held_tensors
from thalweg.probes.batches import unwrapped
from thalweg.probes.copies import held_by


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch.optim import Optimizer

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy


def graph_measures(copied: Copy, batch: Batch, model: nn.Module, optimizer: Optimizer) -> dict[str, float]:
    """Measure the share of the values in the outputs' graph that neither the model nor its optimizer has.

    Args:
        copied: a copy of both, which runs.
        batch: of inputs and targets.
        model: the model itself.
        optimizer: its optimizer.

    Returns:
        `unregistered`, in [0, 1]: of the parameters. `plain_tensors`, in [0, 1]: the share of tensors that require a
        gradient and are no parameters, among all that do; those that stay from pass to pass, and that nobody was seen
        to write to. Nothing for outputs without a graph.

    Example:
        >>> from thalweg.probes.batches import Batch
        >>> from thalweg.probes.copies import Copy
        >>> class Scaled(nn.Linear):
        ...     def __init__(self):
        ...         super().__init__(3, 1)
        ...         self.scale = nn.Parameter(torch.ones(4)).double()
        ...     def forward(self, rows):
        ...         return super().forward(rows) * self.scale
        >>> model = Scaled()
        >>> optimizer = torch.optim.SGD(model.parameters())
        >>> batch = Batch(torch.zeros(2, 3), torch.zeros(2, 4))
        >>> graph_measures(Copy.of(model, optimizer, nn.MSELoss()), batch, model, optimizer)
        {'unregistered': 0.0, 'plain_tensors': 0.5}
    """
    known = _ids(copied.model, copied.optimizer) | _ids(model, optimizer)
    ends = _ends(copied, batch)
    leaves = [leaf for leaf in ends.values() if isinstance(leaf, nn.Parameter)]
    total = sum(leaf.numel() for leaf in leaves)
    outside = sum(leaf.numel() for leaf in leaves if id(leaf) not in known)
    given = {id(tensor) for tensor in tensors_in([batch.inputs, batch.targets])}
    plain = {key: leaf for key, leaf in ends.items() if not isinstance(leaf, nn.Parameter) and key not in known | given}
    if plain:
        again, originals = _ends(copied, batch), _originals(copied.model, unwrapped(model))
        plain = {key: leaf for key, leaf in plain.items() if key in again and _waits(originals.get(key, leaf))}
    others = sum(leaf.numel() for leaf in plain.values())
    found = {"unregistered": outside / total} if total else {}
    return found | ({"plain_tensors": others / (total + others)} if total + others else {})


def _ids(model: nn.Module, optimizer: Optimizer) -> set[int]:
    return {id(p) for group in optimizer.param_groups for p in group["params"]} | {id(p) for p in model.parameters()}


def _ends(copied: Copy, batch: Batch) -> dict[int, torch.Tensor]:
    """The leaves of the outputs' graph, by their ids."""
    with torch.enable_grad():
        outputs = batch.outputs(copied.model)
    return {id(end): end for end in ends_of(tensors_in(outputs))}


def _originals(copy: nn.Module, model: nn.Module) -> dict[int, torch.Tensor]:
    """The id of each tensor that a copy holds to the tensor that it was copied from."""
    copies, originals = ([tensor for _, _, tensor in held_tensors(one)] for one in (copy, model))
    # a copy is taken out of its wrappers, which may hold tensors of their own
    pairs = zip(copies, originals, strict=True) if len(copies) == len(originals) else ()
    return {id(one): other for one, other in pairs}


def _waits(tensor: torch.Tensor) -> bool:
    """Whether a tensor was hardly written to, and a leaf still has a gradient that nobody has used."""
    if tensor._version > LOADED:  # noqa: SLF001 - torch has no public name
        return False
    return not tensor.is_leaf or (tensor.grad is not None and bool(tensor.grad.any()))


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
