"""This machine, as LLVM sees it."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    import llvmlite.binding as llvm


def target_machine() -> llvm.TargetMachine:
    """What code is generated for: this processor with all that it can do; an engine takes it as its own."""
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    name, features = _processor()
    return target.create_target_machine(cpu=name, features=features, opt=3, codemodel="jitdefault", jit=True)


@cache
def fingerprint() -> str:
    """What machine code depends on besides its source: how it is compiled, the compilers' versions, the processor."""
    import llvmlite.binding as llvm

    how = Path(__file__).with_name("compiler.py").read_text(encoding="utf-8")
    return "\n".join((how, version("numba"), version("llvmlite"), llvm.get_process_triple(), *_processor()))


@cache
def _processor() -> tuple[str, str]:
    import llvmlite.binding as llvm

    return llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
