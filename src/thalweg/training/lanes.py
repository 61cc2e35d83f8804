"""Threads of one process that work side by side, each with one intra-op thread."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

Item = TypeVar("Item")
Result = TypeVar("Result")


class Lanes:
    """Runs a function on items, `count` of them at a time.

    The threads stay: torch keeps the kernels that it has prepared for a convolution by thread.

    Args:
        count: threads; 1: everything runs in the caller's.

    Example:
        >>> list(Lanes(2).map(lambda lane, item: item * item, [1, 2, 3]))
        [1, 4, 9]
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="lane") if count > 1 else None
        self._free: SimpleQueue[int] = SimpleQueue()
        for lane in range(count):
            self._free.put(lane)

    def map(self, function: Callable[[int, Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield the results in the order of the items.

        Args:
            function: takes the number of a lane, which no other call has at the same time, and an item; its first
                exception is raised here, after the calls that run have ended.
            items: one for each call.
        """
        if self._pool is None:
            for item in items:
                yield function(0, item)
            return
        waiting: list[Future[Result]] = [self._pool.submit(self._in_a_lane, function, item) for item in items]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()
            for future in waiting:
                if not future.cancelled():
                    future.exception()

    def _in_a_lane(self, function: Callable[[int, Item], Result], item: Item) -> Result:
        lane = self._free.get()
        try:
            return function(lane, item)
        finally:
            self._free.put(lane)
