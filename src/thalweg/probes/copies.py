"""Copies of a model and its optimizer, with their own random states: trials on a copy leave no trace."""

from __future__ import annotations

import copy
import random
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

_DEEPEST = 8  # levels from a loader down to the generator of a transform in a list of transforms
_MOST = 20_000  # objects to visit: the search of a dataset with a million file names stops early


@dataclass(frozen=True, slots=True)
class Copy:
    """A model and its optimizer, copied together, so that the copied optimizer trains the copied model.

    Attributes:
        model: the copy.
        optimizer: its optimizer, over the copy's parameters.
    """

    model: nn.Module
    optimizer: Optimizer

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer) -> Copy:
        """Copy weights, buffers, mode and the optimizer's state; the copy shares nothing with the original."""
        model, optimizer = copy.deepcopy((model, optimizer))
        optimizer.zero_grad(set_to_none=True)
        return cls(model, optimizer)

    def restart(self) -> None:
        """Draw new weights for every layer that can (`reset_parameters`), and forget the optimizer's state."""
        for module in self.model.modules():
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                reset()
        self.optimizer.state.clear()


@contextmanager
def own_randomness(seed: int, *carriers: Any) -> Iterator[None]:
    """Use random numbers from `seed` inside the context; on exit, restore every random state.

    That covers `random`, `numpy.random`, torch (every device in use), and every generator reachable from the carriers:
    a loader's own, its sampler's, its dataset's or a transform's.

    Args:
        seed: seeds the three global generators inside.
        *carriers: objects that may hold generators.

    Example:
        >>> import torch
        >>> generator = torch.Generator().manual_seed(3)
        >>> with own_randomness(0, {"any": [generator]}):
        ...     inside = torch.rand(1, generator=generator)
        >>> bool(inside == torch.rand(1, generator=generator))
        True
    """
    put_back = [_kept(generator) for carrier in carriers for generator in generators_in(carrier)]
    python, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - the user's code may draw from it
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    try:
        with torch.random.fork_rng(devices):
            random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 - the same
            torch.manual_seed(seed)
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)  # noqa: NPY002 - the same
        for restore in put_back:
            restore()


def generators_in(carrier: Any) -> list[Any]:
    """Find every random number generator reachable from an object.

    The search follows attributes, containers and closures, but not arrays and modules.
    """
    found: list[Any] = []
    seen: set[int] = set()
    waiting = [(carrier, 0)]
    while waiting and len(seen) < _MOST:
        thing, depth = waiting.pop()
        if id(thing) in seen or isinstance(thing, str | bytes | int | float | torch.Tensor | np.ndarray | ModuleType):
            continue
        seen.add(id(thing))
        if isinstance(thing, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
            found.append(thing)
        elif depth < _DEEPEST:
            waiting.extend((part, depth + 1) for part in _parts(thing))
    return found


def _parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, dict):
        yield from thing.values()
    elif isinstance(thing, list | tuple | set | frozenset):
        yield from thing
    if isinstance(thing, type):
        return
    yield from vars(thing).values() if hasattr(thing, "__dict__") else ()
    for name in getattr(type(thing), "__slots__", ()):
        yield getattr(thing, name, None)
    for cell in getattr(thing, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # a name that is still unbound
            continue
    yield from getattr(thing, "__defaults__", None) or ()
    yield getattr(thing, "__self__", None)


def _kept(generator: Any) -> Callable[[], Any]:
    """Return a function that restores a generator's current state."""
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return partial(setattr, bits, "state", bits.state)
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    return partial(generator.set_state, generator.get_state())
