"""Weights & Biases: one run, which goes on under its number.

Online, the service says which step it has. Offline (`WANDB_MODE=offline`), each session leaves a file in the run's
folder, and those files are asked; `wandb sync RUN/logged/wandb/offline-run-*` sends them.

Source: https://docs.wandb.ai/ref/python; the files are logs of LevelDB with records of protobuf.
"""

from __future__ import annotations

import struct
from importlib import import_module
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from thalweg.loggers.account import Account
    from thalweg.loggers.logger import Facts, Outcome
    from thalweg.loggers.rows import Row

wandb: Any = import_module("wandb")
Record: Any = import_module("wandb.proto.wandb_internal_pb2").Record
_BLOCK, _MARK = 32768, 7  # bytes: of a block, and of the mark of the file or a part's header
_WHOLE, _FIRST, _LAST = 1, 2, 4  # kinds of parts of a record


def open_logger(place: str, account: Account, facts: Facts) -> WeightsAndBiases:
    """Begin a session of the run."""
    account.keep()  # first, so that after a kill the number is known
    entity, _, project = place.rpartition("/")
    home = account.path.parent
    known = max((step for path in home.glob(f"wandb/*/run-{account.id}.wandb") for step, _ in rows_in(path)), default=0)
    settings = wandb.Settings(
        console="off", silent=True, x_disable_stats=True, x_disable_meta=True, disable_git=True, disable_code=True
    )
    run = wandb.init(
        project=project,
        entity=entity or None,
        id=account.id,
        name=facts.name,
        resume="allow",
        dir=str(home),
        config=dict(facts.config),
        settings=settings,
    )
    account.place = f"{place}/{account.id}"
    return WeightsAndBiases(run, known if run.offline else max(0, run.step - 1))


class WeightsAndBiases:
    """A session.

    Args:
        run: as `wandb.init` returns it.
        known: the last step that is there.
    """

    def __init__(self, run: Any, known: int) -> None:
        self._run, self._known, self._is_open = run, known, True

    def position(self) -> int:
        """The last step of the service, or of the files of earlier sessions."""
        return self._known

    def send(self, rows: Sequence[Row]) -> None:
        """Log each row at its step."""
        for row in rows:
            self._run.log(row.values, step=row.step, commit=True)

    def attach(self, path: Path, step: int) -> None:  # noqa: ARG002 - the summary has no steps
        """Put a picture or the report into the run's summary."""
        shown = wandb.Image(str(path)) if path.suffix == ".png" else wandb.Html(path.read_text(encoding="utf-8"))
        self._run.summary[f"figures/{path.stem}" if path.suffix == ".png" else path.stem] = shown

    def finish(self, outcome: Outcome) -> None:
        """Put results into the summary, and wait for the end of sending."""
        self._run.summary.update({f"result/{name}": value for name, value in outcome.results.items()})
        self._run.finish(exit_code=int(outcome.state != "finished"))
        self._is_open = False

    def close(self) -> None:
        """End the session if an error did not let it finish."""
        if self._is_open:
            self._run.finish(exit_code=1)


def rows_in(path: Path) -> Iterator[tuple[int, set[str]]]:
    """Step and names of each row in a file of a session; a torn end is left out.

    Args:
        path: `run-….wandb`.
    """
    content = path.read_bytes()
    at, parts = _MARK, b""
    while at + _MARK <= len(content):
        if _BLOCK - at % _BLOCK < _MARK:  # too little is left of the block for a header
            at += _BLOCK - at % _BLOCK
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        part = content[at + _MARK : at + _MARK + length]
        at += _MARK + length
        if not kind or len(part) < length:
            return
        parts = part if kind in {_WHOLE, _FIRST} else parts + part
        if kind in {_WHOLE, _LAST}:
            record = Record.FromString(parts)
            if record.HasField("history"):
                yield int(record.history.step.num), {"/".join(i.nested_key) or i.key for i in record.history.item}
