"""Memory that a step frees is kept for the next step.

The C library asks the system anew for every large tensor, and gives it back when it is freed; the system then clears
each page of it again. A step of ResNet-18 at 128 px touches some 60,000 pages for the first time that way, a tenth of
its time. Where the library is glibc it is told not to.
"""

from __future__ import annotations

import ctypes
import os
import platform


# mallopt's numbers, as malloc.h has them
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER = 2**31 - 1


def keep_freed() -> bool:
    """Have this process keep what it frees; to be called before the first backward pass, whose thread joins in.

    Does nothing where the library is another, or where the environment says how it should be (GLIBC_TUNABLES,
    MALLOC_...).

    Returns:
        Whether it was done.

    Source: mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html.
    """
    said = "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") for name in os.environ
    )
    if said or platform.libc_ver()[0] != "glibc":
        return False
    # One arena: what the forward pass frees serves the backward pass, which has a thread of its own.
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_ARENA_MAX, 1))
    library = ctypes.CDLL(None)
    return all(library.mallopt(number, value) for number, value in settings)


def give_back() -> None:
    """Let the system have what is free now."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
