"""Tensors that modules hold beside their parameters: what the last pass left, and weights that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn


if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

LOADED = 9  # times that a parameter may have been written to before a training
_DEEPEST = 3  # an attribute, a list in it, a list in that


def held_tensors(model: nn.Module) -> Iterator[tuple[nn.Module, str, torch.Tensor]]:
    """The buffers of all modules, and the tensors in their plain attributes, also in lists, tuples and dicts.

    Args:
        model: is only read.

    Yields:
        The module, the name of its attribute, and the tensor.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> model.scales = [torch.ones(1), torch.ones(2)]
        >>> [(name, len(tensor)) for _, name, tensor in held_tensors(model)]
        [('scales', 1), ('scales', 2)]
    """
    for module in model.modules():
        for name, value in vars(module).items():
            if name == "_buffers":
                yield from ((module, buffer, tensor) for buffer, tensor in value.items() if tensor is not None)
            elif name not in {"_modules", "_parameters"}:
                yield from ((module, name, tensor) for tensor in _within(value, _DEEPEST))


def _within(value: Any, deepest: int) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif deepest > 1 and isinstance(value, dict | list | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _within(part, deepest - 1)


def ends_of(tensors: Iterable[torch.Tensor]) -> Iterator[torch.Tensor]:
    """The leaves of the tensors' graph, which receive gradients.

    Example:
        >>> weight = torch.ones(2, requires_grad=True)
        >>> [end is weight for end in ends_of([weight.double() + 1])]
        [True]
    """
    for node in nodes_of(tensors):
        end = getattr(node, "variable", None)  # only where a gradient is accumulated
        if end is not None:
            yield end


def nodes_of(tensors: Iterable[torch.Tensor]) -> Iterator[Any]:
    """The nodes of the tensors' graph, each once."""
    waiting = [tensor.grad_fn for tensor in tensors]
    seen = set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        yield node
        waiting.extend(following for following, _ in node.next_functions)


def is_made_of_others(tensor: torch.Tensor, known: Collection[int]) -> bool:
    """Whether a tensor was computed of leaves that require a gradient, none of which is known.

    Such is `nn.Parameter(…).to(device)`: the parameter itself is lost.

    Args:
        tensor: any.
        known: the `id` of each tensor that is trained.
    """
    ends = False
    for end in ends_of([tensor]):
        if id(end) in known:
            return False
        ends = True
    return ends


def holds_others(loss: torch.Tensor, known: Collection[int]) -> bool:
    """Whether a loss was computed with parameters that somebody else trains, as a generator's is with its critic's.

    A network that was only loaded has been written to once or twice.

    Args:
        loss: its graph is only read; it may have been used by a backward pass.
        known: the `id` of each parameter that does not count.

    Example:
        >>> critic = torch.nn.Linear(2, 1)
        >>> holds_others(critic(torch.ones(1, 2)), ())
        False
        >>> for _ in range(12):
        ...     _ = critic.weight.data.mul_(0.9)
        >>> holds_others(critic(torch.ones(1, 2)), ())
        False
        >>> with torch.no_grad():
        ...     for _ in range(12):
        ...         _ = critic.weight.mul_(0.9)
        >>> holds_others(critic(torch.ones(1, 2)), ()), holds_others(critic(torch.ones(1, 2)), {id(critic.weight)})
        (True, False)
    """
    ends = (end for end in ends_of([loss]) if isinstance(end, nn.Parameter) and id(end) not in known)
    return any(end._version > LOADED for end in ends)  # noqa: SLF001 - torch has no public name
