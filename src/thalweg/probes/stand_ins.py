"""Stand-ins for a loss function: they compute the same, and what they change is not the user's.

A loss function may use modules (a discriminator, a teacher, the model itself), count its calls, or keep a running mean.
`stand_in` copies the modules and the values, and rebuilds the functions around them. It leaves large and unknown
objects shared, such as a data set.
"""

from __future__ import annotations

import copy
import dis
from functools import partial
from types import CellType, CodeType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MOST_BYTES = 1 << 20  # a larger tensor or array without gradient is taken for data, not for a state
_DEEPEST = 4
_LONGEST = 10_000  # a longer list is taken for data as well
_OWN_PACKAGES = {"torch", "numpy", "thalweg"}  # their functions keep no state


def stand_in(thing: Any, memo: dict[int, Any], depth: int = 0) -> Any:
    """Return a function, module, container or value that can be used in place of another.

    Args:
        thing: a loss function, or a part of one.
        memo: of `copy.deepcopy`: what was copied already, by the `id` of its original.
        depth: levels above it.

    Example:
        >>> criterion = nn.BatchNorm1d(1)  # counts its calls
        >>> loss_fn = partial(lambda outputs, targets, norm: (norm(outputs) - targets).mean(), norm=criterion)
        >>> _ = stand_in(loss_fn, {})(torch.ones(3, 1), torch.zeros(3, 1))
        >>> int(criterion.num_batches_tracked)
        0
    """
    if id(thing) in memo:
        return memo[id(thing)]
    if depth > _DEEPEST or (type(thing) in _CONTAINERS and len(thing) > _LONGEST):
        return thing
    way = next((way for kinds, way in _WAYS if isinstance(thing, kinds)), _object)
    return way(thing, memo, depth)


def global_names(function: FunctionType) -> Iterator[str]:
    """The names of globals that a function, or a function inside it, may use."""
    waiting: list[CodeType] = [function.__code__]
    while waiting:
        code = waiting.pop()
        yield from code.co_names
        waiting.extend(part for part in code.co_consts if isinstance(part, CodeType))


def _module(module: nn.Module, memo: dict[int, Any], _depth: int) -> nn.Module:
    return copy.deepcopy(module, memo)


def _values(values: Any, memo: dict[int, Any], _depth: int) -> Any:
    held = isinstance(values, torch.Tensor) and values.requires_grad
    leaf = not isinstance(values, torch.Tensor) or values.is_leaf
    return copy.deepcopy(values, memo) if leaf and (held or values.nbytes <= MOST_BYTES) else values


def _method(method: MethodType, memo: dict[int, Any], depth: int) -> MethodType:
    return MethodType(method.__func__, stand_in(method.__self__, memo, depth + 1))


def _partial(given: partial[Any], memo: dict[int, Any], depth: int) -> partial[Any]:
    parts = [stand_in(part, memo, depth + 1) for part in (given.func, *given.args)]
    return partial(*parts, **{name: stand_in(value, memo, depth + 1) for name, value in given.keywords.items()})


def _container(container: Any, memo: dict[int, Any], depth: int) -> Any:
    if type(container) is dict:
        return {key: stand_in(value, memo, depth + 1) for key, value in container.items()}
    if type(container) in _CONTAINERS:
        return type(container)(stand_in(part, memo, depth + 1) for part in container)
    return container


def _function(function: FunctionType, memo: dict[int, Any], depth: int) -> FunctionType:
    if function.__module__ and function.__module__.partition(".")[0] in _OWN_PACKAGES:
        return function
    named = {name: function.__globals__[name] for name in global_names(function) if name in function.__globals__}
    own = {name: value for name, value in named.items() if _may_change(value)}
    stores = any(line.opname == "STORE_GLOBAL" for line in dis.get_instructions(function))
    if not (own or stores or function.__closure__ or function.__defaults__ or function.__kwdefaults__):
        return function
    twin = FunctionType(
        function.__code__,
        {**function.__globals__},
        function.__name__,
        None,
        tuple(CellType() for _ in function.__closure__ or ()) or None,
    )
    memo[id(function)] = twin  # before its parts, among which it may be
    twin.__globals__.update({name: stand_in(value, memo, depth + 1) for name, value in own.items()})
    twin.__defaults__ = stand_in(function.__defaults__, memo, depth + 1)
    twin.__kwdefaults__ = stand_in(function.__kwdefaults__, memo, depth + 1)
    vars(twin).update(vars(function))
    for cell, original in zip(twin.__closure__ or (), function.__closure__ or (), strict=True):
        try:
            cell.cell_contents = stand_in(original.cell_contents, memo, depth + 1)
        except ValueError:  # a name that is still unbound
            continue
    return twin


def _may_change(value: Any) -> bool:
    """Whether a global is a state, or a function that may use one."""
    if isinstance(value, FunctionType):
        return (value.__module__ or "").partition(".")[0] not in _OWN_PACKAGES
    return isinstance(value, nn.Module | torch.Tensor | np.ndarray | list | dict | set)


def _object(thing: Any, memo: dict[int, Any], depth: int) -> Any:
    """A shallow copy of a user's object, with stand-ins for its attributes; anything else is shared."""
    if not hasattr(thing, "__dict__") or isinstance(thing, type) or type(thing).__module__ == "builtins":
        return thing
    if type(thing).__module__.partition(".")[0] in _OWN_PACKAGES:
        return thing
    try:
        twin = copy.copy(thing)
        if twin is thing:
            return thing
        memo[id(thing)] = twin
        for name, value in list(vars(thing).items()):
            vars(twin)[name] = stand_in(value, memo, depth + 1)
    except Exception:  # noqa: BLE001 - an object that refuses stays shared
        return thing
    return twin


_CONTAINERS = (list, set, tuple, dict)
_WAYS: tuple[tuple[Any, Callable[[Any, dict[int, Any], int], Any]], ...] = (
    (nn.Module, _module),
    ((torch.Tensor, np.ndarray), _values),
    (FunctionType, _function),
    (MethodType, _method),
    (partial, _partial),
    (_CONTAINERS, _container),
)
"""How to stand in for what; everything else is an object with attributes."""
