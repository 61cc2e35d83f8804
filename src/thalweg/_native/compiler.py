"""From a Python function to an object file, by Numba."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg._native.machine import target_machine


if TYPE_CHECKING:
    from collections.abc import Callable

    import llvmlite.binding as llvm

_MATHEMATICS = frozenset(
    {"acos", "asin", "atan", "cos", "cosh", "exp", "log", "pow", "sin", "sinh", "sqrt", "tan", "tanh"}
)
"""What kernels may call of the C library."""


def compile_object(function: Callable[..., None], signature: str, entry: str) -> bytes:
    """Compile `function` for this machine.

    Args:
        function: loops and arithmetic only; pointers are indexed, nothing is allocated, nothing is raised.
        signature: one letter an argument: `i` an integer, `d` a float, `p` a pointer to float64.
        entry: the symbol under which it is found.

    Returns:
        An object file that defines `entry`, with C's calling convention.

    Raises:
        RuntimeError: the code needs more than the C library's mathematics, so it could not run without Numba.
    """
    import llvmlite.binding as llvm
    from numba import cfunc, types

    kinds = {"i": types.int64, "d": types.float64, "p": types.CPointer(types.float64)}
    compiled = cfunc(types.void(*(kinds[letter] for letter in signature)), error_model="numpy")(function)
    module = llvm.parse_assembly(compiled.inspect_llvm())
    for symbol in list(module.functions):
        if symbol.name.startswith("cfunc."):
            symbol.name = entry
        elif not symbol.is_declaration:
            symbol.linkage = "internal"
    machine = target_machine()
    _drop_the_error_path(module, machine)
    foreign = {symbol.name for symbol in module.functions if symbol.is_declaration} - _MATHEMATICS
    if any(not name.startswith("llvm.") for name in foreign):
        raise RuntimeError(f"{function.__name__} needs Numba's run time: {sorted(foreign)}")
    return machine.emit_object(module)


def _drop_the_error_path(module: llvm.ModuleRef, machine: llvm.TargetMachine) -> None:
    """Let LLVM see that the function always returns 0: what Numba's wrapper would do with an exception goes."""
    import llvmlite.binding as llvm

    passes = llvm.create_new_module_pass_manager()
    passes.add_ipsccp_pass()
    passes.add_simplify_cfg_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options()))
