"""Child processes of the server: training runs, which go on when the page is closed, and trials of fixes.

No shell interprets the arguments. Each process has its own session, so Ctrl-C for the server does not reach it.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import INTERRUPTED, RunError, ThalwegError, UsageError
from thalweg.i18n import get_language, joined, t


if TYPE_CHECKING:
    from collections.abc import Sequence

_LINES: Final = 12
_PATIENCE: Final = 30.0  # seconds for a training run to save itself when the server ends
_LONGEST_TRIAL: Final = 600.0  # seconds


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
        one.process.send_signal(signal.SIGINT)

    async def end(self) -> None:
        """Stop all, and wait until they have saved; kill those that do not end."""
        going = [one for one in self._started.values() if one.goes_on]
        for one in going:
            one.process.send_signal(signal.SIGINT)
        for one in going:
            try:
                await asyncio.wait_for(one.process.wait(), _PATIENCE)
            except TimeoutError:
                one.process.kill()
                await one.process.wait()
        for reader in list(self._readers):
            reader.cancel()


class Trials:
    """Trials of fixes, by name of the run; one at a time."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str, path: Path, fix: str) -> dict[str, Any]:
        """Start a trial unless the run already has one; return its state as `state_of` does.

        Raises:
            UsageError: a trial of another run is running.
        """
        going = {other for other, task in self._tasks.items() if not task.done()}
        if going - {name}:
            raise UsageError("page.trial_going", name=joined(going))
        if not going:
            self._found[name] = {"state": "running", "fix": fix}
            self._tasks[name] = asyncio.create_task(self._try(name, path, fix))
        return self._found[name]

    def state_of(self, name: str) -> dict[str, Any]:
        """A run's latest trial: `state` is `none`, `running`, `done` (with a `text`) or `failed` (with a `message`)."""
        return self._found.get(name, {"state": "none"})

    async def end(self) -> None:
        """Stop all."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _try(self, name: str, path: Path, fix: str) -> None:
        process = await launch("-m", "thalweg.server.processes", str(path), fix, stderr=asyncio.subprocess.DEVNULL)
        try:
            output, _ = await asyncio.wait_for(process.communicate(), _LONGEST_TRIAL)
            found = _last_object(output)
        except TimeoutError:
            found = {"state": "failed", "message": t("page.trial_too_long", seconds=_LONGEST_TRIAL)}
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._found[name] = {"fix": fix, **found}


async def launch(*arguments: str, stderr: int) -> asyncio.subprocess.Process:
    """Start Python in the visitor's language, with standard output as a pipe.

    Args:
        *arguments: of Python.
        stderr: one of `asyncio.subprocess`.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env={**os.environ, "THALWEG_LANG": get_language()},
        start_new_session=True,
    )


def typed(arguments: Sequence[str]) -> str:
    """A command as one would type it in a terminal.

    Example:
        >>> typed(["train", "--lr=0.01", "--", "my photos"])
        "thalweg train --lr=0.01 -- 'my photos'"
    """
    return shlex.join(["thalweg", *arguments])


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


def _last_object(output: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(output.decode().splitlines()[-1])
    except (ValueError, IndexError):
        answer = None
    if not isinstance(answer, dict) or "state" not in answer:
        return {"state": "failed", "message": t("page.trial_failed")}
    return answer


def _try_fix(path: Path, fix: str) -> dict[str, Any]:
    """Try a fix on a copy, beside a copy without it; the process of a trial prints the result."""
    from thalweg.diagnosis import try_fix_on_run

    try:
        trial = try_fix_on_run(path, fix=fix)
    except ThalwegError as error:
        return {"state": "failed", "message": str(error)}
    return {"state": "done", "text": str(trial), "trial": trial.to_dict()}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_try_fix(Path(sys.argv[1]), sys.argv[2]), ensure_ascii=False, default=str) + "\n")
