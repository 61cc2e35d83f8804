"""Kernels on the threads that torch's own operators run on.

Torch's threads wait for work by spinning. A thread of our own would wait for one of them to give up its core, so a
kernel that follows a convolution runs on the same team: GNU OpenMP's, by the function that compilers call for
`#pragma omp parallel`. Where torch has another library, threads of Python take its place.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg._native.kernels import Kernel


def run_on_team(kernel: Kernel, fields: Sequence[int], threads: int) -> None:
    """Run a kernel of `vectors.VectorLoops` once on each thread, and wait for all.

    Args:
        kernel: takes a record.
        fields: its integers, then its addresses.
        threads: most threads; OpenMP may give fewer, which the kernel asks for.
    """
    functions = _openmp() if threads > 1 else None
    if functions is not None:
        parallel, count, number = functions
        parallel(kernel.address, _record(fields, (count, number, 1, 0)), threads, 0)
        return
    records = [_record(fields, (0, 0, threads, number)) for number in range(threads)]
    others = [_pool(threads - 1).submit(kernel, ctypes.addressof(record)) for record in records[1:]]
    kernel(ctypes.addressof(records[0]))
    for other in others:
        other.result()


def _record(fields: Sequence[int], team: tuple[int, int, int, int]) -> ctypes.Array[ctypes.c_int64]:
    """The argument of a kernel: its own fields, and how it learns which of how many threads it is."""
    return (ctypes.c_int64 * (len(fields) + len(team)))(*fields, *team)


@cache
def _openmp() -> tuple[ctypes._NamedFuncPointer, int, int] | None:
    """`GOMP_parallel`, and the addresses of `omp_get_num_threads` and `omp_get_thread_num`, of torch's library."""
    path = _library()
    if path is None:
        return None
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(str(path))  # the one that is loaded already
        parallel = library.GOMP_parallel
        parallel.argtypes, parallel.restype = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint), None
        asked = (ctypes.cast(getattr(library, name), ctypes.c_void_p).value for name in _ASKED)
        count, number = asked
        return (parallel, count, number) if count and number else None
    return None


_ASKED = ("omp_get_num_threads", "omp_get_thread_num")


def _library() -> Path | None:
    """The GNU OpenMP that torch has loaded: its own, or the only one of this process."""
    with suppress(OSError):
        lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
        loaded = {Path(line.split(maxsplit=5)[5]) for line in lines if "/libgomp" in line}
        torchs = [path for path in loaded if path.parent.parts[-2:] == ("torch", "lib")]
        chosen = torchs or list(loaded)
        return chosen[0] if len(chosen) == 1 else None
    return None


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="kernel")
