"""Calls around a model's forward pass that are no part of the model.

They are registered with torch, not with the model: a copy, a pickle or a script of the model does not hold them, and
nothing that compiles or traces the model runs them.
"""

from __future__ import annotations

import sys
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch
from torch.jit._trace import is_tracing
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from thalweg.probes.batches import unwrapped


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn


_WARNING = r"Using `torch\.compile\(module\)` when there are global hooks"
_COMPILED = "OptimizedModule"  # whose class lies in the compiler, which takes seconds to import


def around_forward(
    model: nn.Module,
    before: Callable[[Any], None] | None = None,
    after: Callable[[Any], None] | None = None,
) -> ExitStack:
    """Call functions before and after each forward pass of one model; close the stack to stop.

    Args:
        model: only its own calls count, or those of its compiled wrapper, not those of its parts, its copies or other
            models.
        before: is called with the positional inputs, before the pass.
        after: is called with the outputs, also after a pass that raised an error; then with None.

    Example:
        >>> model = torch.nn.Linear(2, 1)
        >>> seen = []
        >>> with around_forward(model, after=lambda outputs: seen.append(tuple(outputs.shape))):
        ...     _ = model(torch.ones(4, 2))
        >>> _ = model(torch.ones(5, 2))
        >>> seen
        [(4, 1)]
    """

    def enter(module: Any, inputs: Any) -> None:
        if not is_traced() and before is not None and calls(module):
            before(inputs)

    def leave(module: Any, _inputs: Any, outputs: Any) -> None:
        if not is_traced() and after is not None and calls(module):
            after(outputs)

    def calls(module: Any) -> bool:
        return module is model or (type(module).__name__ == _COMPILED and unwrapped(module) is model)

    _expect_warning()
    stack = ExitStack()
    if before is not None:
        stack.callback(register_module_forward_pre_hook(enter).remove)
    if after is not None:
        stack.callback(register_module_forward_hook(leave, always_call=True).remove)
    return stack


def _expect_warning() -> None:
    """Where another model is compiled, have torch not warn of hooks on all models: ours look at one."""
    known = (getattr(entry[1], "pattern", None) for entry in warnings.filters)
    if compiles() and _WARNING not in known:
        warnings.filterwarnings("ignore", message=_WARNING, category=UserWarning)


def compiles() -> bool:
    """Whether this process compiles a model with `torch.compile`."""
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    return any(backend is not None for backend in getattr(compiler, "cached_backends", {}).values())


def is_traced() -> bool:
    """Whether torch compiles, exports, or traces at this moment: nothing may be measured then."""
    return torch.compiler.is_compiling() or torch.compiler.is_exporting() or is_tracing()


def is_compiled(model: nn.Module) -> bool:
    """Whether the model, or a part of it, was compiled: a hook around it would have it compiled again."""
    if unwrapped(model) is not model and hasattr(model, "_orig_mod"):
        return True
    return any(
        "_orig_mod" in module._modules or getattr(module, "_compiled_call_impl", None) is not None  # noqa: SLF001 - fast
        for module in model.modules()
    )
