"""Child processes of the server: training runs, which go on when the page is closed.

No shell interprets the arguments. Each process has its own session, so Ctrl-C for the server does not reach it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import INTERRUPTED, RunError, UsageError
from thalweg.i18n import get_language, joined, word


if TYPE_CHECKING:
    from collections.abc import Sequence

_LINES: Final = 12
# Windows sends SIGINT to no other process, and Ctrl-Break only to a group of processes.
_STOP: Final[signal.Signals] = getattr(signal, "CTRL_BREAK_EVENT", signal.SIGINT)
_OWN_GROUP: Final[int] = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
_PATIENCE: Final = 30.0  # seconds for a training run to save itself when the server ends


@dataclass(slots=True)
class Started:
    """One training run of this server.

    Attributes:
        run: name of the run.
        command: as one would type it in a terminal.
        process: the process.
        lines: the last lines of its output.
    """

    run: str
    command: str
    process: asyncio.subprocess.Process
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))

    @property
    def goes_on(self) -> bool:
        """Whether the process is running."""
        return self.process.returncode is None


class Trainings:
    """The training runs that this server started, by name.

    Args:
        most: number that may run at the same time; more share the processor and the memory, so that each takes longer.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._started: dict[str, Started] = {}
        self._launching: set[str] = set()
        self._readers: set[asyncio.Task[None]] = set()

    def listing(self) -> list[dict[str, Any]]:
        """All of them, the latest first."""
        return [
            {
                "run": one.run,
                "command": one.command,
                "goes_on": one.goes_on,
                "exit_code": one.process.returncode,
                "failed": one.process.returncode not in {None, 0, INTERRUPTED},
                "lines": list(one.lines),
            }
            for one in reversed(self._started.values())
        ]

    def is_going(self, name: str) -> bool:
        """Whether a training run of this name is running or about to start."""
        return name in self._launching or (name in self._started and self._started[name].goes_on)

    async def start(self, name: str, arguments: list[str]) -> Started:
        """Start a process.

        Args:
            name: of the run.
            arguments: of `thalweg`.

        Raises:
            UsageError: a training run of this name is running, or as many as may run at the same time.
        """
        if self.is_going(name):
            raise UsageError("page.name_taken", name=name)
        going = sorted({*self._launching, *(one.run for one in self._started.values() if one.goes_on)})
        if len(going) >= self._most:
            raise UsageError("page.too_many_trainings", names=joined(going), most=self._most)
        self._launching.add(name)
        try:
            process = await launch("-m", "thalweg", *arguments, stderr=asyncio.subprocess.STDOUT)
        finally:
            self._launching.discard(name)
        one = Started(name, typed(arguments), process)
        self._started.pop(name, None)
        self._started[name] = one
        reader = asyncio.create_task(_read_lines(one))
        self._readers.add(reader)
        reader.add_done_callback(self._readers.discard)
        return one

    def stop(self, name: str) -> None:
        """Ask a training run to save and stop, as Ctrl-C does.

        Raises:
            RunError: this server did not start it, or it has ended.
        """
        one = self._started.get(name)
        if one is None or not one.goes_on:
            raise RunError("page.not_ours", name=name[:200])
        one.process.send_signal(_STOP)

    async def end(self) -> None:
        """Stop all, and wait until they have saved; kill those that do not end."""
        going = [one for one in self._started.values() if one.goes_on]
        for one in going:
            one.process.send_signal(_STOP)
        for one in going:
            try:
                await asyncio.wait_for(one.process.wait(), _PATIENCE)
            except TimeoutError:
                one.process.kill()
                await one.process.wait()
        for reader in list(self._readers):
            reader.cancel()


async def launch(*arguments: str, stderr: int, limit: int = 2**16) -> asyncio.subprocess.Process:
    """Start Python in the visitor's language, with standard output as a pipe that carries UTF-8.

    Args:
        *arguments: of Python.
        stderr: one of `asyncio.subprocess`.
        limit: the longest line of its output, in bytes.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        limit=limit,
        env={**os.environ, "THALWEG_LANG": get_language(), "PYTHONIOENCODING": "utf-8"},
        start_new_session=True,
        creationflags=_OWN_GROUP,
    )


def typed(arguments: Sequence[str]) -> str:
    """A command as one would type it in a terminal.

    Example:
        >>> typed(["train", "--lr=0.01", "--", "my photos"])
        "thalweg train --lr=0.01 -- 'my photos'"
    """
    return " ".join(["thalweg", *map(word, arguments)])


async def _read_lines(one: Started) -> None:
    assert one.process.stdout is not None  # noqa: S101 - for the type checker
    while line := await _line(one.process.stdout):
        text = line.decode("utf-8", "replace").split("\r")[-1].strip()
        if text:
            one.lines.append(text[:500])
    await one.process.wait()


async def _line(stream: asyncio.StreamReader) -> bytes:
    try:
        return await stream.readline()
    except ValueError:  # the line exceeds the stream's limit, which drops it
        return b"\n"
