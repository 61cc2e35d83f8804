"""Trackio: one run of a project in its database, or in a Space if `TRACKIO_SPACE_ID` says so.

The database is asked for the last step; a Space is not, so there the account counts.

Source: https://github.com/gradio-app/trackio.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from glob import escape
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.loggers.account import Account
    from thalweg.loggers.logger import Facts, Outcome
    from thalweg.loggers.rows import Row

trackio: Any = import_module("trackio")
SQLiteStorage: Any = import_module("trackio.sqlite_storage").SQLiteStorage


def open_logger(place: str, account: Account, facts: Facts) -> Trackio:
    """Begin or continue the run."""
    if not account.place:
        account.place = f"{facts.name}-{account.id}"
        account.keep()  # first, so that after a kill the name is known
    is_local = not (os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL"))
    known = (SQLiteStorage.get_last_step(place, account.place) or 0) if is_local else account.step
    run = trackio.init(
        project=place,
        name=account.place,
        resume="allow",
        config=dict(facts.config),
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )
    return Trackio(run, int(known), _names_in(place, account.place) if is_local else set())


class Trackio:
    """A run.

    Args:
        run: as `trackio.init` returns it.
        known: the last step that is there.
        pictures: names of pictures with their steps that are there.
    """

    def __init__(self, run: Any, known: int, pictures: set[tuple[str, int]]) -> None:
        self._run, self._known, self._pictures, self._is_open = run, known, pictures, True

    def position(self) -> int:
        """The last step in the database."""
        return self._known

    def send(self, rows: Sequence[Row]) -> None:
        """Log each row at its step."""
        for row in rows:
            self._run.log(row.values, step=row.step)

    def attach(self, path: Path, step: int) -> None:
        """Log a picture; the report is a file of the project."""
        name = f"figures/{path.stem}"
        if path.suffix != ".png":
            with tempfile.TemporaryDirectory() as folder:  # files are the project's: the name must be the run's
                copied = shutil.copyfile(path, Path(folder) / f"{self._run.name}-{path.name}")
                trackio.save(escape(str(copied)), project=self._run.project)
        elif (name, step) not in self._pictures:
            self._run.log({name: trackio.Image(str(path))}, step=step)

    def finish(self, outcome: Outcome) -> None:  # noqa: ARG002 - there is no place for results but rows
        """Wait until everything is written."""
        self._run.finish()
        self._is_open = False

    def close(self) -> None:
        """End the run if an error did not let it finish."""
        if self._is_open:
            self._run.finish()


def _names_in(project: str, name: str) -> set[tuple[str, int]]:
    """Names of pictures and their steps."""
    rows = SQLiteStorage.get_logs(project, name)
    return {(key, int(row.get("step") or 0)) for row in rows for key in row if key.startswith("figures/")}
