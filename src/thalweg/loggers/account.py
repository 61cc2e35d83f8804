"""What a run remembers of a target: under which name it is there, and up to which row everything has been sent."""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Final

from thalweg._files import hold, write_text
from thalweg.errors import RunError, StorageError
from thalweg.runs import files, schema


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PATIENCE_S: Final = 30.0  # seconds
_WANTED: Final = {"target": str, "id": str, "goes_on": bool, "place": str, "step": int, "until": int, "files": dict}


@dataclass(slots=True)
class Account:
    """One target of one run, in a file of the run's folder.

    Attributes:
        path: the file, `RUN/logged/KIND-….json`.
        target: as `str(Target)`.
        id: what the target finds the run by; chosen at random, once.
        goes_on: whether a resumed training goes on with it.
        place: the folder or number that the target gave the run; empty before.
        step: everything up to this step has been sent.
        until: what was being sent last ends here; `step` if that was finished.
        files: name of each picture that was sent, to its digest.
    """

    path: Path
    target: str
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    goes_on: bool = False
    place: str = ""
    step: int = 0
    until: int = 0
    files: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Path, target: str) -> Account:
        """Read it, or begin a new one.

        Args:
            run: the run's folder.
            target: `KIND:PLACE`.

        Raises:
            RunError: the file is damaged.
        """
        digest = hashlib.sha256(target.encode()).hexdigest()[:8]
        path = run / files.LOGGED / f"{target.partition(':')[0]}-{digest}.json"
        return _read(path) if path.exists() else cls(path, target)

    def keep(self) -> None:
        """Write it.

        Raises:
            StorageError: it cannot be written.
        """
        told = {name: value for name, value in asdict(self).items() if name != "path"}
        write_text(self.path, json.dumps(told, ensure_ascii=False, indent=2) + "\n")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes from sending the same; wait for one that does, such as that of a killed training.

        Raises:
            RunError: it goes on for too long.
            StorageError: the folder cannot be written.
        """
        lock = self.path.with_suffix(".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            file = lock.open("ab")
        except OSError as error:
            raise StorageError("errors.cannot_write", path=lock, reason=error.strerror or error) from error
        with file:
            began = time.monotonic()
            while not hold(file):
                if time.monotonic() - began > _PATIENCE_S:
                    raise RunError("loggers.in_use", target=self.target)
            yield


def accounts_of(run: Path) -> list[Account]:
    """All targets of a run.

    Raises:
        RunError: a file is damaged.
    """
    return [_read(path) for path in sorted((run / files.LOGGED).glob("*.json"))]


def _read(path: Path) -> Account:
    found = schema.read_json(path)
    known = {one.name for one in fields(Account)} - {"path"}
    if not isinstance(found, dict) or set(found) != known:
        raise RunError("loggers.damaged", path=path)
    if any(type(found[name]) is not kind for name, kind in _WANTED.items()):
        raise RunError("loggers.damaged", path=path)
    return Account(path, **found)
