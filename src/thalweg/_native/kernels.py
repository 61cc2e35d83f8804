"""A kernel by what it is compiled from: from memory, from disk, or from the compiler."""

from __future__ import annotations

import ctypes
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from thalweg._native import store
from thalweg._native.machine import fingerprint, target_machine


if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

ENTRY = "thalweg_kernel"
"""The symbol that an object file defines."""

_C_TYPES = {"i": ctypes.c_int64, "d": ctypes.c_double, "p": ctypes.c_void_p}

_loaded: WeakValueDictionary[str, Kernel] = WeakValueDictionary()
_lock = Lock()


class Kernel:
    """A compiled function.

    Calling it runs it, without the interpreter's lock. Arrays must be contiguous float64 and as long as the kernel
    expects: nothing is checked. The machine code goes with the object, so whoever hands out `address` keeps it.

    Args:
        body: the object file.
        signature: one letter an argument, as for `get_kernel`.
    """

    def __init__(self, body: bytes, signature: str) -> None:
        import llvmlite.binding as llvm

        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())  # owns the machine code
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(body))
        self._engine.finalize_object()
        self.address = self._engine.get_function_address(ENTRY)
        """Where the machine code begins; other kernels call it by this number."""
        self._pointers = [letter == "p" for letter in signature]
        self._function = ctypes.CFUNCTYPE(None, *(_C_TYPES[letter] for letter in signature))(self.address)

    def __call__(self, *arguments: float | NDArray[np.float64]) -> None:
        self._function(
            *(
                value.ctypes.data if is_pointer else value  # type: ignore[union-attr] - the signature says so
                for is_pointer, value in zip(self._pointers, arguments, strict=True)
            )
        )


def get_kernel(name: str, source: str, signature: str, build: Callable[[], Callable[..., None]]) -> Kernel:
    """The kernel of a source.

    Args:
        name: the first part of its file's name.
        source: all the text that the kernel is made from; other text is another kernel.
        signature: one letter an argument: `i` an integer, `d` a float, `p` a pointer to float64.
        build: makes the function to compile; called only when the kernel is neither loaded nor on disk.

    Returns:
        The same object for the same source, as long as somebody holds it.
    """
    digest = sha256(f"{fingerprint()}\n{signature}\n{source}".encode()).hexdigest()
    key = f"{name}-{digest[:32]}"
    with _lock:
        kernel = _loaded.get(key)
        if kernel is None:
            kernel = _loaded[key] = Kernel(store.read(key) or _compile(key, signature, build), signature)
        return kernel


def _compile(key: str, signature: str, build: Callable[[], Callable[..., None]]) -> bytes:
    from thalweg._native.compiler import compile_object

    body = compile_object(build(), signature, ENTRY)
    store.write(key, body)
    return body
