"""From Python functions to machine code.

Numba turns each function into LLVM's bitcode; LLVM links them, makes one of them, and writes an object file.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from thalweg._native.machine import target_machine


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import llvmlite.binding as llvm

_MATHEMATICS = frozenset(
    {"acos", "asin", "atan", "cos", "cosh", "exp", "log", "pow", "sin", "sinh", "sqrt", "tan", "tanh"}
)
"""What kernels may call of the C library."""


def compile_bitcode(function: Callable[..., None], signature: str, symbol: str) -> bytes:
    """Compile `function` for this machine.

    Args:
        function: loops and arithmetic only; pointers are indexed, nothing is allocated, nothing is raised.
        signature: one letter an argument, see `Part`.
        symbol: what it is called where it is linked; it has C's calling convention.

    Returns:
        A module whose only symbols for others are `symbol` and, weak, those that it calls of other parts.
    """
    import llvmlite.binding as llvm
    from numba import cfunc, types

    pointers = {"p": types.float64, "f": types.float32, "q": types.int64, "b": types.uint8}
    kinds = {"i": types.int64, "d": types.float64} | {key: types.CPointer(kind) for key, kind in pointers.items()}
    compiled = cfunc(types.void(*(kinds[letter] for letter in signature)), error_model="numpy")(function)
    # Numba keeps its wrappers apart from what they wrap; here they are to become one.
    text = re.sub(r"^(attributes .*)\bnoinline\b", r"\1alwaysinline", compiled.inspect_llvm(), flags=re.MULTILINE)
    module = llvm.parse_assembly(text)
    for defined in _definitions(module):
        if defined.name.startswith("cfunc."):
            defined.name = symbol
        elif defined.linkage != llvm.Linkage.weak_any:
            defined.linkage = "internal"
    return module.as_bitcode()


def link_object(parts: Sequence[bytes], symbol: str) -> bytes:
    """Link modules into one object file that defines `symbol` and nothing else, what it calls made part of it.

    Raises:
        RuntimeError: the code needs more than the C library's mathematics, so it could not run without Numba.
            What Numba's wrappers do with an exception does not count: LLVM drops it where it sees that none is raised.
    """
    import llvmlite.binding as llvm

    module, *others = (llvm.parse_bitcode(part) for part in parts)
    for other in others:
        module.link_in(other)
    for defined in _definitions(module):
        if defined.name != symbol:
            defined.linkage = "internal"
    machine = target_machine()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    builder.getModulePassManager().run(module, builder)
    foreign = {called.name for called in module.functions if called.is_declaration} - _MATHEMATICS
    if any(not name.startswith("llvm.") for name in foreign):
        raise RuntimeError(f"{symbol} needs Numba's run time: {sorted(foreign)}")
    return machine.emit_object(module)


def _definitions(module: llvm.ModuleRef) -> list[llvm.ValueRef]:
    return [function for function in module.functions if not function.is_declaration]
