"""What every kind of logger does.

A logger is opened for one run and one target. It takes rows in the order of their steps, then pictures and the report.
Each is asked for what it already has before it gets anything, so that no row reaches it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from thalweg.loggers.rows import Row


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
