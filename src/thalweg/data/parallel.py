"""Threads for decoding: Pillow, zlib and BLAKE2 release the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar


if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

Item = TypeVar("Item")
Result = TypeVar("Result")

TOGETHER: Final = 8  # to wake a thread costs 0.05 ms
_AHEAD = 32  # items in flight per thread: enough to hide one slow file, few enough to fit in memory


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], *, workers: int | None = None, together: int = 1
) -> Generator[Result]:
    """Apply a function in threads and yield the results in the order of the items.

    Few items per thread are in flight, so results do not pile up behind a slow one.

    Args:
        function: called in a thread; its first exception is raised here, and no further call starts.
        items: one for each call.
        workers: threads; one per core by default.
        together: items that a thread takes at once, so that it wakes the caller once for all: `TOGETHER` where a call
            takes a millisecond or less. After an exception, its thread alone has stopped; others end what they took.

    Example:
        >>> list(in_order(abs, [-3, 2, -1], workers=2))
        [3, 2, 1]
    """
    workers = workers or cores()
    remaining = iter(items)
    runs = iter(lambda: tuple(islice(remaining, together)), ())
    with ThreadPoolExecutor(workers, thread_name_prefix="thalweg-data") as pool:
        flying = deque(pool.submit(_apply, function, run) for run in islice(runs, max(1, workers * _AHEAD // together)))
        try:
            while flying:
                results, error = flying.popleft().result()
                yield from results
                if error is not None:
                    raise error
                flying.extend(pool.submit(_apply, function, run) for run in islice(runs, 1))
        finally:
            for waiting in flying:
                waiting.cancel()


def _apply(function: Callable[[Item], Result], run: tuple[Item, ...]) -> tuple[list[Result], Exception | None]:
    """The results of a run of items, up to the first exception."""
    results: list[Result] = []
    for item in run:
        try:
            results.append(function(item))
        except Exception as error:  # noqa: BLE001 - raised again where the results are taken
            return results, error
    return results, None
