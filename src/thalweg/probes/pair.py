"""The pair that is watched: one model and the one optimizer that trains it; every other pair is named at once."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.optim import Optimizer

from thalweg.errors import UsageError


def pair_of(model: Any, optimizer: Any) -> tuple[nn.Module, Optimizer]:
    """Return a model and the torch optimizer that takes its steps.

    Args:
        model: a torch module.
        optimizer: a torch optimizer, or a trainer's wrapper that holds one as `.optimizer`.

    Raises:
        UsageError: this is not one model and one optimizer, in this order.

    Example:
        >>> from torch.optim import SGD
        >>> model = nn.Linear(2, 1)
        >>> try:
        ...     pair_of(SGD(model.parameters(), lr=0.1), model)
        ... except UsageError as error:
        ...     print(error)
        The optimizer stands first. Write watch(model, optimizer).
    """
    if isinstance(model, Optimizer) and isinstance(optimizer, nn.Module):
        raise UsageError("probes.swapped")
    for given in (model, optimizer):
        if isinstance(given, list | tuple | dict) and not isinstance(given, nn.Module):
            raise UsageError("probes.several", got=len(given))
    if not isinstance(model, nn.Module):
        raise UsageError("probes.no_model", got=_kind(model))
    return model, _steps(optimizer)


def _steps(given: Any) -> Optimizer:
    """Return the optimizer whose `step` really runs: a wrapper's hooks are never called."""
    inner = getattr(given, "optimizer", None)
    if isinstance(inner, Optimizer) and callable(getattr(given, "zero_grad", None)):
        return _steps(inner)
    if not isinstance(given, Optimizer):
        raise UsageError("probes.no_optimizer", got=_kind(given))
    return given


def _kind(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, type) else type(thing).__name__
