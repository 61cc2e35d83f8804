"""Where a run can be logged to: `KIND:PLACE`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from thalweg.errors import MissingExtraError, UnknownNameError, UsageError


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thalweg.loggers.account import Account
    from thalweg.loggers.logger import Facts, Logger

KINDS: Final = (
    "tensorboard",
    "mlflow",
    "wandb",
    "trackio",
)  # each is a library, and has a module `to_KIND` here
NONE: Final = "none"  # instead of targets: a resumed run goes on without those that it had
SQLITE: Final = "sqlite:///"
_DATABASES: Final = re.compile(r"(sqlite|postgresql|mysql|mssql)(\+\w+)?:")  # MLflow reads them by SQLAlchemy


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
            UsageError: MLflow is there, but not the part that reads databases; the same.
        """
        if not _is_installed(self.kind):
            raise MissingExtraError(self.kind, "log")
        if self.kind == "mlflow" and _DATABASES.match(self.place) and not _is_installed("sqlalchemy"):
            raise UsageError("loggers.no_database", target=self)

    def open(self, account: Account, facts: Facts) -> Logger:
        """Connect, and ask what is there; raises whatever the library raises."""
        return import_module(f"thalweg.loggers.to_{self.kind}").open_logger(self.place, account, facts)


def parse_targets(texts: str | Iterable[str]) -> tuple[Target, ...]:
    """Read targets, each once, and check that their libraries are there.

    Args:
        texts: one target, or several; `none` is no target.

    Raises:
        UnknownNameError: there is no such kind of logger.
        UsageError: the place of one is missing, `none` is among others, or MLflow cannot read databases.
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


def _is_installed(library: str) -> bool:
    """Whether a library is there; a mere folder of its name, such as the one that W&B writes into, is none."""
    found = find_spec(library)
    return found is not None and found.origin is not None


def _absolute(kind: str, place: str) -> str:
    """The place with absolute paths: a run may be resumed from another folder."""
    if kind == "tensorboard":
        return str(Path(place).expanduser().resolve())
    if kind != "mlflow" or place.startswith("databricks"):
        return place
    if place.startswith(SQLITE):
        return SQLITE + str(Path(place.removeprefix(SQLITE)).expanduser().resolve())
    return place if ":" in place[2:] else str(Path(place).expanduser().resolve())  # `C:` is no scheme
