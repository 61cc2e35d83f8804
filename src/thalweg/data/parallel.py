"""Threads for decoding: Pillow, zlib and BLAKE2 release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, TypeVar


if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 32  # items in flight per thread: enough to hide one slow file, few enough to fit in memory


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None
) -> Generator[Result]:
    """Apply a function in threads and yield the results in the order of the items.

    Few items per thread are in flight, so results do not pile up behind a slow one.

    Args:
        function: called in a thread; its first exception is raised here, and no further call starts.
        items: one for each call.
        workers: threads; one per core by default.

    Example:
        >>> list(in_order(abs, [-3, 2, -1], workers=2))
        [3, 2, 1]
    """
    workers = workers or cores()
    remaining = iter(items)
    with ThreadPoolExecutor(workers, thread_name_prefix="thalweg-data") as pool:
        flying = deque(pool.submit(function, item) for item in islice(remaining, workers * _AHEAD))
        try:
            while flying:
                yield flying.popleft().result()
                flying.extend(pool.submit(function, item) for item in islice(remaining, 1))
        finally:
            for waiting in flying:
                waiting.cancel()
