"""Diagnoses of runs, and trials of their fixes: each is a process, which ends when nobody waits for it any more.

The process prints its progress and its result as lines of JSON, without sentences: each visitor reads them in his own
language.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import ThalwegError
from thalweg.i18n import t
from thalweg.runs import files
from thalweg.server.processes import launch
from thalweg.training.progress import Listener, Pace


if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE: Final = 20.0  # seconds without a question, after which a visitor has left
_COMMAND: Final = ("-m", "thalweg.server.diagnoses")
_LONGEST: Final = 600.0  # seconds
_AT_ONCE: Final = 2
_LOOKS: Final = 0.5  # seconds between two looks whether somebody still waits
_BETWEEN_REPORTS: Final = 0.3  # seconds
_LONGEST_LINE: Final = 2**20  # bytes


@dataclass(slots=True)
class _Question:
    """A verdict on a run (`fix` is empty), or a trial of one of its fixes."""

    path: Path
    fix: str
    state: tuple[int, ...]
    asked_at: float
    task: asyncio.Task[None] | None = None
    report: dict[str, Any] = field(default_factory=lambda: {"stage": "waiting"})

    @property
    def goes_on(self) -> bool:
        return self.task is not None and not self.task.done()


class Diagnoses:
    """The diagnoses and trials of this server, by name of the run; a run has at most one trial at a time.

    Args:
        patience: seconds without a question after which a process ends.
        command: of a process, as arguments of Python; a run and a fix are added.
    """

    def __init__(self, patience: float = PATIENCE, command: Sequence[str] = _COMMAND) -> None:
        self._patience, self._command = patience, command
        self._verdicts: dict[str, _Question] = {}
        self._trials: dict[str, _Question] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)

    def verdict(self, name: str, path: Path, *, waiting: bool = False) -> dict[str, Any]:
        """Ask for the verdict on a run; ask again until it is there.

        Args:
            name: of the run.
            path: of the run.
            waiting: whether this visitor has asked before; then no new diagnosis is started.

        Returns:
            `state` is `running` (with a report), `done` (with a `verdict`), `failed` (with a `message`), or `none`:
            nobody asked for too long, or a visitor who waits asks for what was never started.
        """
        question = self._verdicts.get(name)
        if question is not None and not waiting and not question.goes_on:
            is_known = "verdict" in question.report and question.state == _state(path)
            question = question if is_known else None
        if question is None and not waiting:
            question = self._verdicts[name] = self._start(path, "")
        return self._answer(question)

    def start_trial(self, name: str, path: Path, fix: str) -> dict[str, Any]:
        """Start a trial unless the run already has one; return its state as `trial` does."""
        if name not in self._trials or not self._trials[name].goes_on:
            self._trials[name] = self._start(path, fix)
        return self.trial(name)

    def trial(self, name: str) -> dict[str, Any]:
        """A run's latest trial, as `verdict` answers, with its `fix` and a `trial`."""
        question = self._trials.get(name)
        return self._answer(question) | ({} if question is None else {"fix": question.fix})

    async def end(self) -> None:
        """Stop all."""
        tasks = [one.task for one in (*self._verdicts.values(), *self._trials.values()) if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, path: Path, fix: str) -> _Question:
        question = _Question(path, fix, _state(path), time.monotonic())
        question.task = asyncio.create_task(self._run(question))
        return question

    def _answer(self, question: _Question | None) -> dict[str, Any]:
        if question is None:
            return {"state": "none"}
        question.asked_at = time.monotonic()
        if question.goes_on:
            return {"state": "running", **question.report}
        if {"verdict", "trial"} & set(question.report):
            return {"state": "done", **question.report}
        return {"state": "failed", **question.report} if "message" in question.report else {"state": "none"}

    async def _run(self, question: _Question) -> None:
        async with self._places:
            arguments = (*self._command, str(question.path), question.fix)
            process = await launch(*arguments, stderr=asyncio.subprocess.DEVNULL, limit=_LONGEST_LINE)
            began = time.monotonic()
            reader = asyncio.create_task(_read(process, question))
            try:
                while not reader.done():
                    await asyncio.wait([reader], timeout=_LOOKS)
                    now = time.monotonic()
                    if now - question.asked_at > self._patience:
                        question.report = {}
                        return
                    if now - began > _LONGEST:
                        question.report = {"message": t("page.trial_too_long", seconds=_LONGEST)}
                        return
                if not {"verdict", "trial", "message"} & set(question.report):
                    question.report = {"message": t("page.trial_failed")}
            finally:
                reader.cancel()
                if process.returncode is None:
                    with suppress(ProcessLookupError):
                        process.kill()
                    await process.wait()


def _state(path: Path) -> tuple[int, ...]:
    """What a verdict depends on: it is asked for again only if one of these files has changed."""
    found = []
    for name in (files.STEPS, files.EPOCHS, f"{files.CHECKPOINTS}/{files.LAST}.safetensors"):
        with suppress(OSError):
            found.append((path / name).stat().st_mtime_ns)
    return tuple(found)


async def _read(process: asyncio.subprocess.Process, question: _Question) -> None:
    assert process.stdout is not None  # noqa: S101 - for the type checker
    while line := await process.stdout.readline():
        with suppress(ValueError):
            report = json.loads(line)
            if isinstance(report, dict):
                question.report = report
    await process.wait()


class _Reports(Listener):
    """Prints the progress for the server, not too often."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._stage, self._said_at = "", 0.0

    def caching(self, done: int, total: int) -> None:
        self.working("caching", done, total)

    def working(self, stage: str, done: float, total: float) -> None:
        self._pace.report(done, total)
        if stage != self._stage or time.monotonic() - self._said_at > _BETWEEN_REPORTS:
            self._stage, self._said_at = stage, time.monotonic()
            left = self._pace.seconds_left()
            _say({"stage": stage, "share": self._pace.share, "left": left})


def _say(report: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(report, default=str) + "\n")
    sys.stdout.flush()


def _work(path: Path, fix: str) -> dict[str, Any]:
    """Diagnose, or try a fix; the result for the server."""
    listener = _Reports()
    listener.working("opening", 0, 1)
    try:
        from thalweg.diagnosis import diagnose_run, try_fix_on_run

        if fix:
            return {"trial": try_fix_on_run(path, fix=fix, listener=listener).to_dict()}
        # a training run may need the other threads
        return {"verdict": diagnose_run(path, threads=1, listener=listener).to_dict()}
    except ThalwegError as error:
        return {"message": str(error)}
    except ImportError as error:
        return {"message": t("page.no_diagnosis", reason=error)}


if __name__ == "__main__":
    _say(_work(Path(sys.argv[1]), sys.argv[2]))
