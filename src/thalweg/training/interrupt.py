"""Ctrl-C finishes the step; a second Ctrl-C does not wait."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


@contextmanager
def gentle_interrupt() -> Iterator[threading.Event]:
    """Yield an event that the first SIGINT or SIGTERM sets; the second SIGINT raises KeyboardInterrupt.

    Outside the main thread, where Python allows no handlers, the event is never set by a signal; who owns the
    thread may set it.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            signal.default_int_handler(number, frame)
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
