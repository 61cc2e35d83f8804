"""The folder that is served, and the runs in it: nothing outside of it can be named."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Final

from thalweg._files import CAN_HOLD, is_held
from thalweg.errors import RunError, ThalwegError
from thalweg.history.tail import HistoryTail
from thalweg.training.run import Run


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEEPEST: Final = 3  # folders below the one served
_ALIVE: Final = 30.0  # seconds without a written step after which a training counts as stopped
_FRESH: Final = 0.5  # seconds for which a listing is shared by all who ask
_SHOWN: Final = ("model", "optimizer", "lr", "schedule", "batch_size", "epochs", "budget", "augment", "loss", "seed")


class Folder:
    """Runs below a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._listed: tuple[float, list[dict[str, Any]]] = (-1.0, [])
        self._rows: dict[Path, tuple[Any, dict[str, Any]]] = {}

    def run(self, name: str) -> Run:
        """The run of a name, as `listing` gives it.

        Raises:
            RunError: no such run, or one outside the folder.
        """
        return Run.open(self.path(name))

    def path(self, name: str) -> Path:
        """A run's folder.

        Raises:
            RunError: no such run, or one outside the folder.
        """
        path = self.root
        try:
            path = (self.root / name).resolve()
            inside = path.is_relative_to(self.root) and (path / "config.toml").is_file()
        except (OSError, ValueError, RuntimeError):  # a name with a zero byte, too long, or links in a circle
            inside = False
        if not inside:
            raise RunError("page.no_run", name=name[:200])
        return path

    def listing(self) -> list[dict[str, Any]]:
        """Every run with what a table shows of it, the newest first."""
        at, runs = self._listed
        if time.monotonic() - at > _FRESH:
            runs = sorted((self._row(path) for path in self._runs(self.root, 0)), key=lambda row: -row["changed"])
            self._listed = time.monotonic(), runs
        return runs

    def is_training(self, path: Path) -> bool:
        """Whether a training is at work on it: of this page or of anybody else.

        It holds its steps locked; where the system has no locks, that it has written some of late must do.
        """
        history = path / "history" / "steps"
        if CAN_HOLD:
            return is_held(history)
        steps = changed(history)
        return steps > changed(path / "summary.json") and time.time() - steps < _ALIVE

    def _runs(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            if (folder / "config.toml").is_file():
                yield folder
                return
            children = sorted(child for child in folder.iterdir() if child.is_dir() and _can_be_named(child.name))
        except OSError:  # as of a folder that only root may read
            return
        for child in children:
            if depth < _DEEPEST and child.resolve().is_relative_to(self.root):
                yield from self._runs(child, depth + 1)

    def _row(self, path: Path) -> dict[str, Any]:
        files = ("config.toml", "summary.json", "history/steps", "history/epochs")
        stamps = tuple(stamp(path / name) for name in files)
        known, row = self._rows.get(path, (None, {}))
        if known != stamps or "broken" in row:  # whose reason is in the visitor's language
            self._rows[path] = stamps, self._read_row(path)
        row = dict(self._rows[path][1])
        if self.is_training(path):
            row["state"] = "training"
        return row

    def _read_row(self, path: Path) -> dict[str, Any]:
        row = {
            "run": path.relative_to(self.root).as_posix(),
            "changed": max(changed(path / "config.toml"), changed(path / "history" / "steps")),
            **self._of_config(path),
        }
        row |= self._of_histories(path)
        summary = self._of_summary(path)
        row["state"] = summary.get("stopped", "stopped")
        row["best"] = summary.get("valid") or row["best"]
        row["test"] = summary.get("test")
        row["seconds"] = summary.get("seconds") or row["seconds"]
        return row

    def _of_config(self, path: Path) -> dict[str, Any]:
        try:
            run = Run.open(path)
            values = run.config.to_dict()
            facts = {name: values.get(name) for name in _SHOWN}
            photos, train, classes = photos_name(str(run.data["path"])), run.data.get("train", 0), len(run.classes)
        except (ThalwegError, KeyError, TypeError) as error:
            return {"broken": str(error), "photos": "", "classes": 0}
        return {**facts, "photos": photos, "train": train, "classes": classes}

    def _of_histories(self, path: Path) -> dict[str, Any]:
        row: dict[str, Any] = {"steps": 0, "epoch": 0.0, "last_loss": None, "best": None, "seconds": None}
        last = HistoryTail(path / "history" / "steps").last() or {}
        row |= {"steps": int(_finite(last.get("step")) or 0), "epoch": _finite(last.get("epoch")) or 0.0}
        row["last_loss"] = _finite(last.get("loss"))
        epochs = HistoryTail(path / "history" / "epochs")
        rows_NC = epochs.rows(0)
        if len(rows_NC) and {"valid_accuracy", "seconds"} <= set(epochs.columns):
            row["best"] = _finite(float(rows_NC[:, epochs.columns.index("valid_accuracy")].max()))
            row["seconds"] = _finite(float(rows_NC[-1, epochs.columns.index("seconds")]))
        return row

    def _of_summary(self, path: Path) -> dict[str, Any]:
        """What came out; nothing while there is no summary, or none that can be read."""
        try:
            summary = json.loads((path / "summary.json").read_text(encoding="utf-8"))
            scores = {split: (summary.get(split) or {}).get("accuracy") for split in ("valid", "test")}
            seconds = (summary.get("seconds") or {}).get("total")
            return {"stopped": str(summary.get("stopped", "stopped")), "seconds": seconds, **scores}
        except (OSError, ValueError, AttributeError):
            return {}


def photos_name(path: str) -> str:
    """What a set is called: `builtin` for the one that comes with the package, else its path."""
    from thalweg.data.builtin import ARCHIVE

    return "builtin" if path == str(ARCHIVE) else path


def changed(path: Path) -> float:
    """When a file was last written, in seconds; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time of the last change of a file, which tell whether it is worth reading again; None: no such file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _can_be_named(name: str) -> bool:
    """Whether a folder is shown: not hidden, and with a name that JSON can hold."""
    return not name.startswith(".") and name.encode("utf-8", "replace").decode() == name


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
