"""What a run still has to send to a target: rows that stay, then pictures, the report and the results.

A resumed training begins at its last checkpoint and writes the rows after it again. So a row is sent once there is a
checkpoint after it: then it stays, and no target hears of a row that is taken back.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from safetensors import SafetensorError, safe_open

from thalweg._files import is_held
from thalweg.history.tail import HistoryTail
from thalweg.loggers.account import Account
from thalweg.loggers.logger import Facts, Outcome
from thalweg.loggers.rows import Rows
from thalweg.runs import RunFolder, files
from thalweg.runs.folder import mapping, number


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from thalweg.loggers.logger import Logger
    from thalweg.loggers.targets import Target

_AT_ONCE: Final = 500  # rows
_LONGEST_REASON: Final = 300  # signs
_RETRY_S: Final = 30.0  # seconds after a failure
_LEFT_OUT: Final = ("classes",)  # of the configuration: long, and no setting
_STATES: Final = {"done": "finished", "budget": "finished", "patience": "finished", "nan": "failed"}


@dataclass(slots=True)
class Sent:
    """What was sent of a run.

    Attributes:
        run: the run's folder.
        target: the target.
        step: everything up to this step is there.
        rows: rows that were sent now.
        files: pictures and reports that were sent now.
        waiting: rows that wait for a checkpoint after them.
        failure: why the rest was not sent; empty if it was.
    """

    run: str
    target: str
    step: int = 0
    rows: int = 0
    files: int = 0
    waiting: int = 0
    failure: str = ""


class _Session(NamedTuple):
    account: Account
    logger: Logger
    rows: Rows


class Sender:
    """Sends one run to one target, as often as it is asked.

    Args:
        run: the run's folder.
        target: where to.
        goes_on: whether a resumed training is to go on with it; None: as before.

    Attributes:
        sent: what was sent so far.
        tell: called with this after each batch and each file.
    """

    def __init__(self, run: Path, target: Target, *, goes_on: bool | None = None) -> None:
        self._run, self._target, self._goes_on = run, target, goes_on
        self._session: _Session | None = None
        self._opened = ExitStack()
        self._stamp, self._failed_at = 0, -math.inf
        self.sent = Sent(str(run), str(target))
        self.tell: Callable[[Sender], None] = lambda _sender: None

    def advance(self) -> None:
        """Send the rows that stay, if there are new ones; after a failure, wait half a minute before the next try."""
        stamp = _stamp(self._run / files.CHECKPOINTS / f"{files.LAST}.safetensors")
        if stamp != self._stamp and time.monotonic() - self._failed_at > _RETRY_S:
            self._stamp = stamp
            self._try(ends=False)

    def conclude(self) -> None:
        """Send all that stays, with pictures, report and results."""
        self._try(ends=True)

    def close(self) -> None:
        """Let go of the target."""
        self._session = None
        try:
            self._opened.close()
        except Exception as error:  # noqa: BLE001 - the errors of four libraries share no base
            self.sent.failure = self.sent.failure or _reason(error)

    def _try(self, *, ends: bool) -> None:
        try:
            self._session = self._session or self._begin()
            self._send_rows(self._session)
            if ends:
                self._send_rest(self._session)
            self.sent.failure = ""
        except Exception as error:  # noqa: BLE001 - as above; the training goes on
            self.sent.failure = _reason(error)
            self._stamp, self._failed_at = 0, time.monotonic()
        if ends or self.sent.failure:
            self.close()

    def _begin(self) -> _Session:
        """Wait for other processes that send the same, and open the logger."""
        self._target.check_installed()
        self._opened.enter_context(Account.of(self._run, str(self._target)).alone())
        account = Account.of(self._run, str(self._target))
        account.goes_on = account.goes_on if self._goes_on is None else self._goes_on
        logger = self._target.open(account, facts_of(self._run))
        self._opened.callback(logger.close)
        account.step = self.sent.step = logger.position()
        return _Session(account, logger, Rows(self._run, after=account.step))

    def _send_rows(self, session: _Session) -> None:
        account, rows = session.account, session.rows.until(last_that_stays(self._run))
        while batch := list(islice(rows, _AT_ONCE)):
            account.until = batch[-1].step
            account.keep()
            session.logger.send(batch)
            account.step = self.sent.step = batch[-1].step
            self.sent.rows += len(batch)
            self.tell(self)
        account.keep()

    def _send_rest(self, session: _Session) -> None:
        account, folder = session.account, RunFolder(self._run)
        self.sent.waiting = sum(1 for _ in session.rows.until(math.inf))
        for path in (*(self._run / f"{name}.png" for name in folder.pictures), self._run / files.REPORT):
            digest = _digest(path)
            if digest and account.files.get(path.name) != digest:
                session.logger.attach(path, account.step)
                account.files[path.name] = digest
                account.keep()
                self.sent.files += 1
                self.tell(self)
        session.logger.finish(_outcome(folder, account.step))
        account.keep()


def last_that_stays(run: Path) -> float:
    """The last step whose row no resumed training writes again.

    Args:
        run: the run's folder; it may be training.
    """
    summary = RunFolder(run).summary
    stopped = summary.get("stopped")
    if stopped == "nan" and not is_held(run / files.STEPS):
        return math.inf  # a resumed run would come to the same end
    path = run / files.CHECKPOINTS / f"{files.LAST}.safetensors"
    try:
        with safe_open(path, framework="numpy") as file:
            state = json.loads((file.metadata() or {})["thalweg"])["state"]
        # A row of this very step may be an epoch's that came after the checkpoint, which was saved within the epoch.
        return state["step"] - (0.5 if state["batch"] else 0)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return math.inf if stopped in _STATES else 0


def facts_of(run: Path) -> Facts:
    """What loggers are told of a run at first.

    Args:
        run: the run's folder; a fold has the name of its folder of folds in front.
    """
    folder = RunFolder(run)
    config = {name: value for name, value in folder.training.items() if name not in _LEFT_OUT and value is not None}
    for name in ("train", "valid", "test"):
        if (count := number(folder.data.get(name))) is not None:
            config[f"photos_{name}"] = int(count)
    path = run.resolve()
    parts = [path.parents[1].name, "fold", path.name] if path.parent.name == files.FOLDS else [path.name]
    return Facts(run, "-".join(parts), {**config, "number_of_classes": len(folder.classes)})


def _outcome(folder: RunFolder, step: int) -> Outcome:
    summary = folder.summary
    last = HistoryTail(folder.path / files.STEPS).last() or {}
    is_old = (number(summary.get("steps")) or 0) < last.get("step", 0) and summary.get("stopped") != "nan"
    results: dict[str, float] = {}
    for split in ("valid", "test"):
        for name in ("accuracy", "top5_accuracy", "loss", "mean_average_precision", "micro_f1", "macro_f1"):
            value = number(mapping(summary.get(split)).get(name))
            if value is not None:
                results[f"{split}_{name}"] = value
    state = _STATES.get(str(summary.get("stopped")), "interrupted")
    return Outcome("interrupted", {}, step) if is_old else Outcome(state, results, step)


def _digest(path: Path) -> str:
    """The digest of a file; empty if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError:
        return ""


def _stamp(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _reason(error: Exception) -> str:
    """Why something failed, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error).strip().partition("\n")[0][:_LONGEST_REASON] or type(error).__name__
