"""A kernel by its parts: from memory, from disk, or from the compiler.

Bitcode and object files are stored on disk, each named after what it was compiled from, each with its checksum. They
hold code, so only files of the current user are read.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakValueDictionary

from thalweg._files import cache_folder, write_bytes
from thalweg._native.compiler import assembled, compile_bitcode, fingerprint, link_object, target_machine
from thalweg.errors import StorageError


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

KEPT = 2_000
"""Number of files kept on disk; past it the older half is deleted."""

_MAGIC = b"thalweg-kernel-1\n"
_POINTERS = "pfqlb"
_C_TYPES = {"i": ctypes.c_int64, "d": ctypes.c_double} | dict.fromkeys(_POINTERS, ctypes.c_void_p)

_loaded: WeakValueDictionary[str, Kernel] = WeakValueDictionary()
_lock = Lock()


class Part(NamedTuple):
    """A function to compile.

    Args:
        symbol: its name in other parts.
        signature: one letter an argument: `i` an integer, `d` a float, `p` a pointer to float64, `f` to float32,
            `q` to int64, `l` to int32, `b` to uint8.
        source: the whole source text; another text makes another part.
        build: returns the function, or its assembly; called only if its code is not on disk.
    """

    symbol: str
    signature: str
    source: str
    build: Callable[[], Callable[..., None] | str]


class Kernel:
    """A compiled function.

    A call runs it without the interpreter's lock. Arrays must be contiguous, and of the type and length that the kernel
    expects: nothing is checked. An integer in place of an array is its address: to ask NumPy for it takes as long as
    the rest of a call. The machine code lives as long as this object: keep it while `address` is in use.

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
        """The address of the machine code, by which other kernels can call it."""
        self._pointers = [letter in _POINTERS for letter in part.signature]
        self._function = ctypes.CFUNCTYPE(None, *(_C_TYPES[letter] for letter in part.signature))(self.address)

    def __call__(self, *arguments: float | NDArray[Any]) -> None:
        self._function(
            *(
                value.ctypes.data if is_pointer and type(value) is not int else value  # type: ignore[union-attr]
                for is_pointer, value in zip(self._pointers, arguments, strict=True)
            )
        )


def get_kernel(part: Part, *linked: Part) -> Kernel:
    """The kernel of a function.

    Args:
        part: the function.
        *linked: the functions that it calls, to be linked in.

    Returns:
        The same object for the same parts, as long as it is referenced.
    """
    key = _key(".o", part, *linked)
    with _lock:
        kernel = _loaded.get(key)
        if kernel is None:
            kernel = _loaded[key] = Kernel(_read(key) or _link(key, (part, *linked)), part)
        return kernel


def _link(key: str, parts: tuple[Part, ...]) -> bytes:
    body = link_object([_bitcode(part) for part in parts], parts[0].symbol)
    _write(key, body)
    return body


def _bitcode(part: Part) -> bytes:
    key = _key(".bc", part)
    body = _read(key)
    if body is None:
        built = part.build()
        body = assembled(built) if isinstance(built, str) else compile_bitcode(built, part.signature, part.symbol)
        _write(key, body)
    return body


def _key(suffix: str, *parts: Part) -> str:
    sources = (f"{part.symbol}\n{part.signature}\n{part.source}" for part in parts)
    digest = sha256("\n".join([fingerprint(), *sources]).encode()).hexdigest()
    return f"{parts[0].symbol}-{digest[:32]}{suffix}"


def _folder() -> Path:
    """The folder of compiled kernels, in the user's cache folder."""
    return cache_folder() / "kernels"


def _read(key: str) -> bytes | None:
    """The content of a stored file; `None` if it is missing, damaged or another user's: it holds code."""
    path = _folder() / key
    try:
        content = path.read_bytes() if _is_ours(path) else b""
    except OSError:
        return None
    head = len(_MAGIC) + sha256().digest_size
    body = content[head:]
    return body if content[:head] == _MAGIC + sha256(body).digest() else None


def _write(key: str, body: bytes) -> None:
    """Store a file, unless the folder cannot be written."""
    with suppress(StorageError):
        write_bytes(_folder() / key, _MAGIC + sha256(body).digest() + body)
    with suppress(OSError):
        _drop_the_oldest()


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _drop_the_oldest() -> None:
    files = list(_folder().iterdir())
    if len(files) > KEPT:
        for path in sorted(files, key=lambda path: path.stat().st_mtime)[: len(files) // 2]:
            path.unlink(missing_ok=True)
