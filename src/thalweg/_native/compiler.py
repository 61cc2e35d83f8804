"""From Python functions to machine code of this processor.

Numba turns each function into LLVM's bitcode; LLVM links several, optimizes them as one, and writes an object file.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import llvmlite.binding as llvm

_MATHEMATICS = frozenset(
    {"acos", "asin", "atan", "cos", "cosh", "exp", "log", "pow", "sin", "sinh", "sqrt", "tan", "tanh"}
)
"""The functions of the C library that kernels may call."""


def compile_bitcode(function: Callable[..., None], signature: str, symbol: str) -> bytes:
    """Compile `function` for this machine.

    Args:
        function: loops and arithmetic over indexed pointers; it allocates nothing and raises nothing.
        signature: one letter an argument, see `Part`.
        symbol: its name when linked; it has C's calling convention.

    Returns:
        A module that exports only `symbol` and, weakly, the symbols of other parts that it calls.
    """
    import llvmlite.binding as llvm
    from numba import cfunc, types

    pointers = {"p": types.float64, "f": types.float32, "q": types.int64, "l": types.int32, "b": types.uint8}
    kinds = {"i": types.int64, "d": types.float64} | {key: types.CPointer(kind) for key, kind in pointers.items()}
    compiled = cfunc(types.void(*(kinds[letter] for letter in signature)), error_model="numpy")(function)
    # Numba never inlines into its wrappers; here both become one function.
    text = re.sub(r"^(attributes .*)\bnoinline\b", r"\1alwaysinline", compiled.inspect_llvm(), flags=re.MULTILINE)
    module = llvm.parse_assembly(text)
    for defined in _definitions(module):
        if defined.name.startswith("cfunc."):
            defined.name = symbol
        elif defined.linkage != llvm.Linkage.weak_any:
            defined.linkage = "internal"
    return module.as_bitcode()


def assembled(text: str) -> bytes:
    """The bitcode of LLVM's assembly, which defines one function."""
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text, context=llvm.create_context())
    module.verify()
    return module.as_bitcode()


def link_object(parts: Sequence[bytes], symbol: str) -> bytes:
    """Link modules into one object file that exports `symbol` alone, with everything it calls.

    Raises:
        RuntimeError: the code needs more than the C library's mathematics, so it cannot run without Numba. The
            exception handling of Numba's wrappers does not count: LLVM removes it from code that raises nothing.
    """
    import llvmlite.binding as llvm

    context = llvm.create_context()  # what a formula brings into it goes with it
    module, *others = (llvm.parse_bitcode(part, context) for part in parts)
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


def target_machine() -> llvm.TargetMachine:
    """The target of generated code: this processor with all its features. An engine takes ownership of it."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    name, features = _processor()
    return target.create_target_machine(cpu=name, features=features, opt=3, codemodel="jitdefault", jit=True)


@cache
def fingerprint() -> str:
    """What machine code depends on besides its source: this module, the compilers' versions, the processor."""
    import llvmlite.binding as llvm

    how = Path(__file__).read_text(encoding="utf-8")
    return "\n".join((how, version("numba"), version("llvmlite"), llvm.get_process_triple(), *_processor()))


def _definitions(module: llvm.ModuleRef) -> list[llvm.ValueRef]:
    return [function for function in module.functions if not function.is_declaration]


@cache
def _processor() -> tuple[str, str]:
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
