"""Some batches of anybody's loader, taken so that the loader, its sampler and its generators are as they were."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Callable

    Loader = DataLoader[Any] | Iterable[Any] | Callable[[], Iterable[Any]]

MOST_BYTES = 1 << 30  # batches are held in memory: of large ones, fewer


def some_batches(loader: Loader, count: int) -> list[Any]:
    """The first batches that a loader gives, at most so many and at most 1 GiB; random states are the caller's care.

    Args:
        loader: a DataLoader, a list or what else can be iterated again and again, or a function that gives one.
        count: most that are taken.

    Returns:
        Batches in the loader's order; fewer than `count` where it has no more.

    Raises:
        UsageError: an iterator that can be gone through but once, a thing that is no loader, or one without a batch.
    """
    batches: list[Any] = []
    taken = 0
    with _again(loader) as source:
        for batch in source:
            batches.append(_kept(batch))  # a loader may write its next batch into the same memory
            taken += _bytes_of(batch)
            if len(batches) == count or taken > MOST_BYTES:
                break
    if not batches:
        raise UsageError("rate.no_batches", loader=type(loader).__name__)
    return batches


@contextmanager
def _again(loader: Loader) -> Iterator[Iterable[Any]]:
    """What to iterate, so that the loader itself has not been iterated."""
    if isinstance(loader, DataLoader):
        with _samplers_kept(loader):
            twin = copy.copy(loader)
            # Its own workers, none of the user's: an iterator that is kept between epochs would be restarted.
            twin.__dict__.update(_iterator=None, persistent_workers=False)
            yield twin
        return
    if isinstance(loader, Iterator):
        raise UsageError("rate.used_up", loader=type(loader).__name__)
    source = loader if isinstance(loader, Iterable) else loader() if callable(loader) else None
    if not isinstance(source, Iterable):
        raise UsageError("rate.no_loader", loader=type(loader).__name__)
    yield source


@contextmanager
def _samplers_kept(loader: DataLoader[Any]) -> Iterator[None]:
    """A sampler of the user's may count its epochs: its attributes are put back."""
    inner = getattr(loader.batch_sampler, "sampler", None)
    samplers = [s for s in (loader.sampler, loader.batch_sampler, inner) if hasattr(s, "__dict__")]
    before = [dict(vars(sampler)) for sampler in samplers]
    try:
        yield
    finally:
        for sampler, attributes in zip(samplers, before, strict=True):
            vars(sampler).clear()
            vars(sampler).update(attributes)


def moved(batch: Any, device: torch.device) -> Any:
    """A batch with its tensors on a device."""
    return _mapped(batch, lambda tensor: tensor.to(device))


def _kept(batch: Any) -> Any:
    return _mapped(batch, lambda tensor: tensor.detach().clone())


def _mapped(batch: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(batch, torch.Tensor):
        return change(batch)
    if isinstance(batch, Mapping):
        return {name: _mapped(part, change) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_mapped(part, change) for part in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(_mapped(part, change) for part in batch)
    return batch


def _bytes_of(batch: Any) -> int:
    if isinstance(batch, torch.Tensor):
        return batch.numel() * batch.element_size()
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, list | tuple) else ()
    return sum(map(_bytes_of, parts))
