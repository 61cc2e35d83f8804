"""Whether a network relates the samples of its batch by design: the nodes of a graph are the samples.

A graph is given as numbers that depend neither on the inputs nor on the weights: a matrix with a row and a column for
each sample, which is multiplied with their features, or pairs of their numbers, along which features are summed. What
mixes samples by mistake (a `view` for a transpose, a softmax or attention over the batch) needs no such thing.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch.overrides import TorchFunctionMode

from thalweg.probes.batches import mapped
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import nn

    from thalweg.probes.batches import Batch

_PRODUCTS = {
    "matmul": 0,
    "__matmul__": 0,
    "mm": 0,
    "bmm": 0,
    "_sparse_mm": 0,
    "einsum": 1,
    "addmm": 1,
    "_sparse_addmm": 1,
}
"""Name of a product to the place of its left factor."""
_SUMS = {"index_add", "index_add_", "scatter_add", "scatter_add_", "scatter_reduce", "scatter_reduce_"}
"""Sums along numbers of rows: of (rows, dimension, numbers, …)."""


def relates_samples(model: nn.Module, batch: Batch, count: int) -> bool:
    """Whether samples are related by design: by what a module holds, or by what a pass multiplies their features with.

    Args:
        model: a copy; one pass of it runs if no module holds a matrix of all samples by all samples that is not
            trained, or a graph's edges.
        batch: of inputs and targets.
        count: of samples.
    """
    held = [value for module in model.modules() for value in (*vars(module).values(), *module.buffers(recurse=False))]
    if any(
        isinstance(value, torch.Tensor)
        and not value.requires_grad
        and (value.shape == (count, count) or _are_edges(value, count))
        for value in held
    ):
        return True
    inputs = mapped(batch.inputs, lambda one: one.detach().requires_grad_().clone() if one.is_floating_point() else one)
    look = _Relations(count)
    with suppress(Exception), own_randomness(0), torch.enable_grad(), look:  # a pass that fails tells nothing
        type(batch)(inputs, batch.targets).outputs(model)
    return look.found


class _Relations(TorchFunctionMode):
    """Looks for features of samples that are multiplied with constant numbers, or summed along constant edges."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._count = count
        self.found = False

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in _PRODUCTS and len(args) > _PRODUCTS[name] + 1:
            self.found |= self._multiplies(*args[_PRODUCTS[name] :][:2])
        elif name in _SUMS and args:
            given = dict(zip(("input", "dim", "index"), args, strict=False)) | dict(kwargs or {})
            self.found |= self._sums(args[0], given.get("dim"), given.get("index"))
        return func(*args, **(kwargs or {}))

    def _multiplies(self, left: Any, right: Any) -> bool:
        if not isinstance(left, torch.Tensor) or not isinstance(right, torch.Tensor):
            return False
        square = left.ndim > 1 and tuple(left.shape[-2:]) == (self._count, self._count)
        # of several matrices, the rows may be the steps of sequences, as many as the samples
        over_samples = right.ndim > 1 and right.shape[-2] == self._count and right.shape[:-2].numel() == 1
        return square and over_samples and not left.requires_grad and right.requires_grad

    def _sums(self, rows: Any, dimension: Any, numbers: Any) -> bool:
        """Whether rows of edges, which are not as many as the samples, are summed into rows of samples."""
        if not isinstance(rows, torch.Tensor) or not isinstance(numbers, torch.Tensor) or not numbers.ndim:
            return False
        whole = dimension == 0 and rows.ndim > 1 and len(rows) == self._count
        return whole and len(numbers) > self._count


def _are_edges(value: torch.Tensor, count: int) -> bool:
    """Whether these are a graph's edges, (2, E), as pairs of numbers of nodes."""
    whole = value.ndim == 2 and len(value) == 2 and not value.is_floating_point() and not value.is_complex()
    return whole and value.numel() >= count and int(value.min()) >= 0 and int(value.max()) == count - 1
