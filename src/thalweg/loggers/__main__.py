"""The process of one target: it follows the runs that it is told, until it is told no more."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from thalweg.loggers.live import LIVE
from thalweg.loggers.sending import Sender
from thalweg.loggers.targets import Target


if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOKS_S: Final = 1.0  # seconds between two looks for a new checkpoint
_NICENESS: Final = 19  # where all cores are busy, the training gets 98 % of them


def main(arguments: Sequence[str]) -> None:
    """Follow runs.

    Args:
        arguments: a target, and `live` if a resumed training is to go on with it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the training; its end is ours
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what the libraries print is no answer
    target, goes_on = Target.parse(arguments[0]), True if LIVE in arguments else None
    told: SimpleQueue[str] = SimpleQueue()
    ended = Event()
    Thread(target=_listen, args=(told, ended), daemon=True).start()
    senders: dict[str, Sender] = {}
    said: dict[Sender, str] = {}

    def answer(sender: Sender, *, is_last: bool = False) -> None:
        with suppress(OSError):  # the training was killed
            answers.write(json.dumps({"sent": asdict(sender.sent), "ended": is_last}) + "\n")
            answers.flush()

    is_last = False
    while not is_last:
        is_last = ended.wait(_LOOKS_S)
        while not told.empty():
            run = told.get()
            senders[run] = sender = senders.get(run) or Sender(Path(run), target, goes_on=goes_on)
            sender.tell = answer
        for sender in senders.values():
            (sender.conclude if is_last else sender.advance)()
            if is_last or sender.sent.failure not in {"", said.get(sender)}:
                said[sender] = sender.sent.failure
                answer(sender, is_last=is_last)


def _listen(told: SimpleQueue[str], ended: Event) -> None:
    for line in sys.stdin:
        told.put(line.rstrip("\n"))
    ended.set()


if __name__ == "__main__":
    main(sys.argv[1:])
