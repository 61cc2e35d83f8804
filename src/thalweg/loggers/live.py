"""A training's loggers: one process for each target, which reads what the run writes and cannot hold it up.

The process is told which runs to follow, one a line on its standard input, and concludes when that ends: also when the
training is killed. It answers with lines of JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self

from thalweg.errors import ThalwegError
from thalweg.i18n import get_language, t
from thalweg.loggers.account import accounts_of
from thalweg.loggers.sending import Sent
from thalweg.loggers.targets import Target, parse_targets


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager
    from types import TracebackType

LIVE: Final = "live"  # argument of the process: a resumed training goes on with the target
_LATE_S: Final = 60.0  # seconds without news after the end of a training until a process that hangs is ended
_LOOKS_S: Final = 0.05  # seconds between two looks at it


@dataclass(slots=True)
class _Follower:
    process: subprocess.Popen[str]
    reader: Thread
    heard_at: float = 0.0
    is_late: bool = False


@dataclass(slots=True)
class Live:
    """Loggers of one training or several; a context manager that waits until they have everything.

    Args:
        targets: where to.
        tell: called with (key, **values) of the catalogue, from another thread, if a logger fails.
        goes_on: whether a resumed training goes on with these targets by itself.
        patience: seconds to wait at the end for a logger of which nothing is heard.
        leaves: runs that leave their other targets once the training has started.
    """

    targets: tuple[Target, ...]
    tell: Callable[..., None] = lambda _key, **_values: None
    goes_on: bool = True
    patience: float = _LATE_S
    leaves: tuple[Path, ...] = ()
    sent: list[Sent] = field(default_factory=list)
    _followers: dict[Target, _Follower] = field(default_factory=dict)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for follower in self._followers.values():
            with suppress(OSError):
                follower.process.stdin.close()  # type: ignore[union-attr] - a pipe was asked for
        began = time.monotonic()
        try:
            for target, follower in self._followers.items():
                while follower.reader.is_alive() and time.monotonic() - max(began, follower.heard_at) < self.patience:
                    follower.reader.join(_LOOKS_S)
                if follower.reader.is_alive():
                    follower.is_late = True
                    self.tell("loggers.late", target=target, seconds=self.patience)
        finally:
            for follower in self._followers.values():
                follower.process.kill()
                follower.reader.join()
                follower.process.wait()
                follower.process.stdout.close()  # type: ignore[union-attr] - as above
            self._followers.clear()

    def start(self, run: Path) -> None:
        """Follow a run from now on.

        Args:
            run: its folder.
        """
        self._leave()
        for target in self.targets:
            try:
                if target not in self._followers:
                    self._followers[target] = self._follower(target)
                stream: Any = self._followers[target].process.stdin
                stream.write(f"{run.resolve()}\n")
                stream.flush()
            except OSError as error:
                self.tell("loggers.failed", target=target, run=run, reason=error.strerror or error)

    def _leave(self) -> None:
        """Write that the runs go on without their other targets."""
        runs, self.leaves = self.leaves, ()
        for run in runs:
            try:
                for account in accounts_of(run):
                    if account.goes_on and Target.parse(account.target) not in self.targets:
                        account.goes_on = False
                        account.keep()
            except ThalwegError as error:  # no reason to stop a training
                self.tell("loggers.forgotten", reason=error)

    def _follower(self, target: Target) -> _Follower:
        path = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(  # noqa: S603 - this package
            [sys.executable, "-P", "-m", "thalweg.loggers", str(target), *([LIVE] if self.goes_on else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path, "PYTHONUTF8": "1", "THALWEG_LANG": get_language()},
        )
        follower = _Follower(process, Thread(target=lambda: self._read(follower, target), daemon=True))
        follower.reader.start()
        return follower

    def _read(self, follower: _Follower, target: Target) -> None:
        failed = False
        for line in follower.process.stdout or ():
            with suppress(ValueError, TypeError):
                report = json.loads(line)
                sent = Sent(**report["sent"])
                follower.heard_at = time.monotonic()
                if report["ended"]:
                    self.sent.append(sent)
                if sent.failure and not failed:  # once: what is wrong now is wrong a minute later
                    failed = True
                    self.tell("loggers.failed", target=target, run=sent.run, reason=sent.failure)
        if follower.process.wait() and not follower.is_late:
            self.tell("loggers.gone", target=target, code=follower.process.returncode)


def opened(
    log: Live | str | Iterable[str] | None, tell: Callable[..., None], *, before: Iterable[Path] = ()
) -> AbstractContextManager[Live]:
    """Loggers that were opened elsewhere, or those of targets.

    Args:
        log: open loggers, which stay open; or targets, with which a resumed training goes on from now on; None: those
            that the training had before.
        tell: as for `Live`.
        before: the runs that the training has already begun.

    Raises:
        UsageError: a target is none.
        MissingExtraError: its library is not installed.
    """
    if isinstance(log, Live):
        log.tell = tell
        return nullcontext(log)
    if log is not None:
        return Live(parse_targets(log), tell, leaves=tuple(before))
    found: dict[Target, None] = {}
    for run in before:
        try:
            found |= dict.fromkeys(Target.parse(account.target) for account in accounts_of(run) if account.goes_on)
        except ThalwegError as error:  # no reason to stop a training
            tell("loggers.forgotten", reason=error)
    return Live(tuple(found), tell)


def log_run(run: Path | str | os.PathLike[str], to: str | Iterable[str] | None = None) -> list[Sent]:
    """Send a run to loggers after the fact: the rows that they do not have, pictures, report and results.

    Args:
        run: a run, or its folder.
        to: targets, `KIND:PLACE`; None: all that it was sent to before.

    Returns:
        For each target, what was sent.

    Raises:
        RunError: this is not a run.
        UsageError: a target is none.
        MissingExtraError: its library is not installed.
    """
    from thalweg.runs import Run

    path = Path(run)
    Run.open(path)
    known = tuple(Target.parse(account.target) for account in accounts_of(path)) if to is None else parse_targets(to)
    with Live(known, goes_on=False) as live:
        live.start(path)
    missing = [target for target in known if str(target) not in {sent.target for sent in live.sent}]
    reason = t("loggers.no_answer")
    return [*live.sent, *(Sent(str(path), str(target), failure=reason) for target in missing)]
