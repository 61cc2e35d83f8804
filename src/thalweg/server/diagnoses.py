"""Diagnoses of runs, trials of their fixes, and landscapes: each is a process, which ends when nobody waits for it.

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

_VERDICT: Final = "verdict"
_TRIAL: Final = "trial"
_LANDSCAPE: Final = "landscape"
_COMMAND: Final = ("-m", "thalweg.server.diagnoses")
_LONGEST: Final = 600.0  # seconds
_AT_ONCE: Final = 2
_LOOKS: Final = 0.5  # seconds between two looks whether somebody still waits
_BETWEEN_REPORTS: Final = 0.3  # seconds
_LONGEST_LINE: Final = 2**20  # bytes


@dataclass(slots=True)
class _Question:
    """A verdict on a run, a trial of one of its fixes, or its landscape over a plane."""

    path: Path
    work: str
    subject: str
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
        command: of a process, as arguments of Python; the kind of work, a run, and a fix or a plane are added.
    """

    def __init__(self, patience: float = PATIENCE, command: Sequence[str] = _COMMAND) -> None:
        self._patience, self._command = patience, command
        self._verdicts: dict[str, _Question] = {}
        self._trials: dict[str, _Question] = {}
        self._landscapes: dict[tuple[str, str], _Question] = {}
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
        return self._ask(self._verdicts, name, path, waiting=waiting)

    def landscape(self, name: str, path: Path, plane: str, *, waiting: bool = False) -> dict[str, Any]:
        """Ask for a run's landscape over a plane, as `verdict` does; `done` has a `landscape`."""
        return self._ask(self._landscapes, (name, plane), path, _LANDSCAPE, plane, waiting=waiting)

    def start_trial(self, name: str, path: Path, fix: str) -> dict[str, Any]:
        """Start a trial unless the run already has one; return its state as `trial` does."""
        if name not in self._trials or not self._trials[name].goes_on:
            self._trials[name] = self._start(path, _TRIAL, fix)
        return self.trial(name)

    def trial(self, name: str) -> dict[str, Any]:
        """A run's latest trial, as `verdict` answers, with its `fix` and a `trial`."""
        question = self._trials.get(name)
        return self._answer(question) | ({} if question is None else {"fix": question.subject})

    async def end(self) -> None:
        """Stop all."""
        kinds = (self._verdicts, self._trials, self._landscapes)
        tasks = [one.task for kind in kinds for one in kind.values() if one.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ask(
        self,
        asked: dict[Any, _Question],
        key: Any,
        path: Path,
        work: str = _VERDICT,
        subject: str = "",
        *,
        waiting: bool,
    ) -> dict[str, Any]:
        question = asked.get(key)
        if question is not None and not waiting and not question.goes_on:
            is_known = work in question.report and question.state == _state(path)
            question = question if is_known else None
        if question is None and not waiting:
            question = asked[key] = self._start(path, work, subject)
        return self._answer(question)

    def _start(self, path: Path, work: str, subject: str) -> _Question:
        question = _Question(path, work, subject, _state(path), time.monotonic())
        question.task = asyncio.create_task(self._run(question))
        return question

    def _answer(self, question: _Question | None) -> dict[str, Any]:
        if question is None:
            return {"state": "none"}
        question.asked_at = time.monotonic()
        if question.goes_on:
            return {"state": "running", **question.report}
        if question.work in question.report:
            return {"state": "done", **question.report}
        return {"state": "failed", **question.report} if "message" in question.report else {"state": "none"}

    async def _run(self, question: _Question) -> None:
        async with self._places:
            arguments = (*self._command, question.work, str(question.path), question.subject)
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
                if not {question.work, "message"} & set(question.report):
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


def _work(work: str, path: Path, subject: str) -> dict[str, Any]:
    """Diagnose, try a fix, or compute a landscape; the result for the server."""
    listener = _Reports()
    listener.working("opening", 0, 1)
    try:
        return {work: _WORKS[work](path, subject, listener)}
    except ThalwegError as error:
        return {"message": str(error)}
    except ImportError as error:
        return {"message": t("page.no_diagnosis", reason=error)}


def _verdict(path: Path, _subject: str, listener: Listener) -> dict[str, Any]:
    from thalweg.diagnosis import diagnose_run

    return diagnose_run(path, threads=1, listener=listener).to_dict()  # a training run may need the other threads


def _trial(path: Path, fix: str, listener: Listener) -> dict[str, Any]:
    from thalweg.diagnosis import try_fix_on_run

    return try_fix_on_run(path, fix=fix, listener=listener).to_dict()


def _landscape(path: Path, plane: Any, listener: Listener) -> dict[str, Any]:
    import torch

    from thalweg.diagnosis.landscape import landscape_of_run

    torch.set_num_threads(1)
    return landscape_of_run(path, plane=plane, listener=listener).to_dict()


_WORKS: Final = {_VERDICT: _verdict, _TRIAL: _trial, _LANDSCAPE: _landscape}

if __name__ == "__main__":
    _say(_work(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
