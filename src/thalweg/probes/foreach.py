"""Operations on lists of tensors in one call each; torch has them only under private names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn import Parameter


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_torch = cast("Any", torch)


def norms(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    """Return the Euclidean norm of each tensor, as one float32 tensor (P,) on the device, or written into `out`."""
    squares = _squares(tensors)
    if squares is not None:
        return torch.stack(squares, out=out).sqrt_()
    widest = max((tensor.dtype for tensor in tensors), key=lambda dtype: dtype.itemsize)
    dtype = torch.promote_types(widest, torch.float32)  # halves are summed as float32, and float64 is not narrowed
    norms_P = torch.stack(_torch._foreach_norm(tensors, 2, dtype=dtype)).float()  # noqa: SLF001 - see above
    return norms_P if out is None else out.copy_(norms_P)


def copy_into(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source into its target."""
    _torch._foreach_copy_(targets, sources)


def subtract_from(targets: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Subtract each of the others from its target, in place."""
    _torch._foreach_sub_(targets, others)


def add(targets: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Add each of the others to its target, in place."""
    _torch._foreach_add_(targets, others)


def sums(tensors: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """Return the sum of each tensor and its other, as new tensors."""
    return list(_torch._foreach_add(tensors, others))  # noqa: SLF001 - see above


def multiply(targets: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply each target by one factor, a scalar on its device, in place."""
    _torch._foreach_mul_(targets, factor)


def _squares(tensors: Sequence[Tensor]) -> list[Tensor] | None:
    """The squared norm of each tensor by BLAS, whose dot product is twice as fast as torch's norm; None if it can't.

    One loop, as it runs in each step: to flatten a tensor takes as long as the product of a small one.
    """
    found: list[Tensor] = []
    for tensor in tensors:
        kind = type(tensor)
        plain = (kind is torch.Tensor or kind is Parameter) and tensor.dtype is torch.float32
        if not (plain and tensor.is_cpu and tensor.is_contiguous()):
            return None
        row = tensor if tensor.ndim == 1 else tensor.view(-1)
        found.append(torch.dot(row, row))
    return found
