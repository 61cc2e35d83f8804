"""Operations on lists of tensors in one call each; torch has them only under private names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

_torch = cast("Any", torch)


def norms(tensors: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Return the Euclidean norm of each tensor, as float32 scalars on the device."""
    return _torch._foreach_norm(tensors, 2, dtype=torch.float32)  # noqa: SLF001 - see above


def copy_into(targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy each source into its target."""
    _torch._foreach_copy_(targets, sources)


def subtract_from(targets: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Subtract each of the others from its target, in place."""
    _torch._foreach_sub_(targets, others)


def add(targets: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Add each of the others to its target, in place."""
    _torch._foreach_add_(targets, others)


def multiply(targets: Sequence[Tensor], factor: Tensor) -> None:
    """Multiply each target by one factor, a scalar on its device, in place."""
    _torch._foreach_mul_(targets, factor)
