"""Whether somebody sees each call to torch: then a layer computes with torch's own functions, by their names."""

from __future__ import annotations

from typing import Any

import torch


def is_observed() -> bool:
    """Whether a probe listens to torch's functions, or a transform of `torch.func` or a compiler traces them."""
    core: Any = vars(torch)["_C"]  # torch has no public names for these
    names = ("_is_torch_function_mode_enabled", "_are_functorch_transforms_active")
    return torch.compiler.is_compiling() or any(getattr(core, name)() for name in names)
