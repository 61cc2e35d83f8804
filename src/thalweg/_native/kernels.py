"""A kernel by what it is made from: from memory, from disk, or from the compiler."""

from __future__ import annotations

import ctypes
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from thalweg._native import store
from thalweg._native.machine import fingerprint, target_machine


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_POINTERS = "pfqb"
_C_TYPES = {"i": ctypes.c_int64, "d": ctypes.c_double} | dict.fromkeys(_POINTERS, ctypes.c_void_p)

_loaded: WeakValueDictionary[str, Kernel] = WeakValueDictionary()
_lock = Lock()


class Part(NamedTuple):
    """A function to compile.

    Args:
        symbol: what other parts call it.
        signature: one letter an argument: `i` an integer, `d` a float, `p` a pointer to float64, `f` to float32,
            `q` to int64, `b` to uint8.
        source: all the text that it is made from; other text is another part.
        build: makes the function; called only when its code is on no disk.
    """

    symbol: str
    signature: str
    source: str
    build: Callable[[], Callable[..., None]]


class Kernel:
    """A compiled function.

    Calling it runs it, without the interpreter's lock. Arrays must be contiguous, of the type and as long as the
    kernel expects: nothing is checked. The machine code goes with the object, so whoever hands out `address` keeps it.

    Args:
        body: the object file.
        part: the function in it.
    """

    def __init__(self, body: bytes, part: Part) -> None:
        import llvmlite.binding as llvm

        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())  # owns the machine code
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(body))
        self._engine.finalize_object()
        self.address = self._engine.get_function_address(part.symbol)
        """Where the machine code begins; other kernels may call it by this number."""
        self._pointers = [letter in _POINTERS for letter in part.signature]
        self._function = ctypes.CFUNCTYPE(None, *(_C_TYPES[letter] for letter in part.signature))(self.address)

    def __call__(self, *arguments: float | NDArray[Any]) -> None:
        self._function(
            *(
                value.ctypes.data if is_pointer else value  # type: ignore[union-attr] - the signature says so
                for is_pointer, value in zip(self._pointers, arguments, strict=True)
            )
        )


def get_kernel(part: Part, *linked: Part) -> Kernel:
    """The kernel of a function.

    Args:
        part: the function.
        *linked: what it calls, to be made part of it.

    Returns:
        The same object for the same parts, as long as somebody holds it.
    """
    key = _key(".o", part, *linked)
    with _lock:
        kernel = _loaded.get(key)
        if kernel is None:
            kernel = _loaded[key] = Kernel(store.read(key) or _link(key, (part, *linked)), part)
        return kernel


def _link(key: str, parts: tuple[Part, ...]) -> bytes:
    from thalweg._native.compiler import link_object

    body = link_object([_bitcode(part) for part in parts], parts[0].symbol)
    store.write(key, body)
    return body


def _bitcode(part: Part) -> bytes:
    key = _key(".bc", part)
    body = store.read(key)
    if body is None:
        from thalweg._native.compiler import compile_bitcode

        body = compile_bitcode(part.build(), part.signature, part.symbol)
        store.write(key, body)
    return body


def _key(suffix: str, *parts: Part) -> str:
    sources = (f"{part.symbol}\n{part.signature}\n{part.source}" for part in parts)
    digest = sha256("\n".join([fingerprint(), *sources]).encode()).hexdigest()
    return f"{parts[0].symbol}-{digest[:32]}{suffix}"
