"""Whether the other processes live: each says so every few seconds, from a thread of its own.

Where torchrun starts the processes it also sees their end. Where something else does, nobody would: whoever waits for a
process that works for long, such as one that prepares the photos, must tell it from one that is gone.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage] - torch's public name

_BEATS = 5  # within the patience
_LONGEST_S = 10.0  # from one to the next
_STOPPING_S = 1.0  # for a beat that is under way


class Heart:
    """Beats for this process, and listens to those of others.

    Args:
        store: of its own, so that a beat never waits for what else is read or written.
        rank: number of this process.
        patience: seconds after which a process that does not beat is lost.
    """

    def __init__(self, store: Store, rank: int, patience: float) -> None:
        self._store, self._rank, self._patience = store, rank, patience
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._heard: dict[int, tuple[bytes, float]] = {}  # the last beat of a process, and when it was first seen

    def start(self) -> None:
        """Begin to beat."""
        if self._thread is None:
            self._store.set(f"beat/{self._rank}", "0")
            self._thread = threading.Thread(target=self._beat, name="thalweg-heart", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_STOPPING_S)

    def lives(self, rank: int) -> bool:
        """Whether a process has beaten within the patience; one that never has yet counts from the first question."""
        now, name = time.monotonic(), f"beat/{rank}"
        beat = self._store.get(name) if self._store.check([name]) else b""
        last, since = self._heard.get(rank, (None, now))
        if beat != last:
            self._heard[rank] = (beat, now)
            return True
        return now - since <= self._patience

    def _beat(self) -> None:
        count = 0
        with suppress(RuntimeError):  # the store has ended, and who needs it finds out
            while not self._ended.wait(min(self._patience / _BEATS, _LONGEST_S)):
                count += 1
                self._store.set(f"beat/{self._rank}", str(count))
