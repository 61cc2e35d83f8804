"""Where a run can be logged to: `KIND:PLACE`, and what every kind of logger does.

A logger is opened for one run and one target. It takes rows in the order of their steps, then pictures and the report.
Each is asked for what it already has before it gets anything, so that no row reaches it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from thalweg.errors import MissingExtraError, UnknownNameError, UsageError


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from thalweg.loggers.account import Account
    from thalweg.loggers.rows import Row

KINDS: Final = ("tensorboard", "mlflow", "wandb", "trackio")  # each is a module of this package, named after its library
NONE: Final = "none"  # instead of targets: a resumed run goes on without those that it had
SQLITE: Final = "sqlite:///"


@dataclass(frozen=True, slots=True)
class Target:
    """A target: `tensorboard:DIR`, `mlflow:URI`, `wandb:PROJECT` or `trackio:PROJECT`.

    Attributes:
        kind: one of `KINDS`.
        place: a folder, an address or a project; paths are absolute.
    """

    kind: str
    place: str

    @classmethod
    def parse(cls, text: str) -> Target:
        """Read a target.

        Raises:
            UnknownNameError: there is no such kind of logger.
            UsageError: the place is missing.

        Example:
            >>> Target.parse("wandb:food"), str(Target.parse("mlflow:http://127.0.0.1:5000"))
            (Target(kind='wandb', place='food'), 'mlflow:http://127.0.0.1:5000')
        """
        kind, _, place = text.partition(":")
        if kind not in KINDS:
            raise UnknownNameError("logger", kind, KINDS)
        if not place.strip():
            raise UsageError("loggers.no_place", kind=kind)
        return cls(kind, _absolute(kind, place.strip()))

    def __str__(self) -> str:
        return f"{self.kind}:{self.place}"

    def check_installed(self) -> None:
        """Raise if the library is not there.

        Raises:
            MissingExtraError: it is not; the message has the command that installs it.
        """
        if find_spec(self.kind) is None:
            raise MissingExtraError(self.kind, "log")

    def open(self, account: Account, facts: Facts) -> Logger:
        """Connect, and ask what is there; raises whatever the library raises."""
        return import_module(f"thalweg.loggers.{self.kind}").open_logger(self.place, account, facts)


def parse_targets(texts: str | Iterable[str]) -> tuple[Target, ...]:
    """Read targets, each once, and check that their libraries are there.

    Args:
        texts: one target, or several; `none` is no target.

    Raises:
        UnknownNameError: there is no such kind of logger.
        UsageError: the place of one is missing, or `none` is among others.
        MissingExtraError: a library is not installed.
    """
    texts = [texts] if isinstance(texts, str) else list(texts)
    if NONE in texts:
        if len(texts) > 1:
            raise UsageError("loggers.none_alone", none=NONE)
        return ()
    found = tuple(dict.fromkeys(map(Target.parse, texts)))
    for target in found:
        target.check_installed()
    return found


@dataclass(frozen=True, slots=True)
class Facts:
    """What a logger is told about a run before its first row.

    Attributes:
        path: the run's folder.
        name: of the run.
        config: the configuration, and the numbers of photos and classes, by name.
    """

    path: Path
    name: str
    config: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a logger is told after the last row.

    Attributes:
        state: `finished`, `failed` or `interrupted`; an interrupted run may go on.
        results: numbers by name, such as `valid_accuracy`.
        step: the last step that was sent.
    """

    state: str
    results: Mapping[str, float]
    step: int


class Logger(Protocol):
    """One run at one target."""

    def position(self) -> int:
        """The last step of which the target has the whole row; 0: none. It is asked, not remembered."""
        ...

    def send(self, rows: Sequence[Row]) -> None:
        """Add rows, in the order of their steps, all after `position`."""
        ...

    def attach(self, path: Path, step: int) -> None:
        """Add a picture, or the report; a newer one of the same name takes its place."""
        ...

    def finish(self, outcome: Outcome) -> None:
        """Add the results, and wait until the target has everything."""
        ...

    def close(self) -> None:
        """Let go of files and connections, also after an error."""
        ...


def _absolute(kind: str, place: str) -> str:
    """The place with absolute paths: a run may be resumed from another folder."""
    if kind == "tensorboard":
        return str(Path(place).expanduser().resolve())
    if kind != "mlflow" or place.startswith("databricks"):
        return place
    if place.startswith(SQLITE):
        return SQLITE + str(Path(place.removeprefix(SQLITE)).expanduser().resolve())
    return place if ":" in place[2:] else str(Path(place).expanduser().resolve())  # `C:` is no scheme
