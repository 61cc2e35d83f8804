"""Whether somebody takes a layer's calls apart: then it must compute with torch's own functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.autograd import forward_ad


if TYPE_CHECKING:
    from torch import Tensor


def is_observed() -> bool:
    """Whether a probe listens to torch's functions by their names, or `is_taken_apart`."""
    return _core()._is_torch_function_mode_enabled() or is_taken_apart()  # noqa: SLF001 - torch has no public name


def is_taken_apart(tensor: Tensor | None = None) -> bool:
    """Whether a compiler, `torch.jit.trace`, a transform of `torch.func`, a dispatch mode or forward-mode AD is active.

    A tensor may have no memory then, and a function of our own no derivative.

    Args:
        tensor: one that may stand for many, as `torch.autograd.grad` makes them for `is_grads_batched`.
    """
    core = _core()
    return (
        torch.compiler.is_compiling()
        or core._get_tracing_state() is not None  # noqa: SLF001
        or core._are_functorch_transforms_active()  # noqa: SLF001
        or core._len_torch_dispatch_stack() > 0  # noqa: SLF001
        or vars(forward_ad)["_current_level"] >= 0
        or (tensor is not None and core._functorch.is_legacy_batchedtensor(tensor))  # noqa: SLF001
    )


def _core() -> Any:
    return vars(torch)["_C"]
