"""The runs below the served folder; nothing outside it can be named."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

from thalweg._files import CAN_HOLD, is_held
from thalweg.errors import RunError, ThalwegError
from thalweg.history.tail import HistoryTail
from thalweg.i18n import t
from thalweg.runs import Run, files, schema
from thalweg.runs.config import without_effect
from thalweg.runs.folder import mapping


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEEPEST: Final = 3  # levels of folders below the served one
_ALIVE: Final = 30.0  # seconds without a new step after which a run counts as stopped
_FRESH: Final = 0.5  # seconds for which a listing is reused
_SHOWN: Final = ("model", "optimizer", "lr", "schedule", "batch_size", "epochs", "budget", "augment", "loss", "seed")

# the fields of a row that a damaged file leaves empty
_OF_CONFIG: Final[dict[str, Any]] = {
    **dict.fromkeys(_SHOWN),
    "photos": "",
    "train": None,
    "classes": 0,
    "weights": None,
    "license": None,
    "fitted": False,
    "several": False,
    "top5": False,
}
_OF_STEPS: Final[dict[str, Any]] = {"steps": 0, "epoch": 0.0, "last_loss": None}
_OF_EPOCHS: Final[dict[str, Any]] = {"best": None, "seconds": None}
_OF_SUMMARY: Final[dict[str, Any]] = {"state": "stopped", "test": None}


class RunIndex:
    """Runs below a folder.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._listed: tuple[float, list[dict[str, Any]]] = (-1.0, [])
        self._rows: dict[Path, tuple[Any, dict[str, Any]]] = {}

    def run(self, name: str) -> Run:
        """The run with a name from `listing`.

        Raises:
            RunError: there is no such run, or it is outside the folder.
        """
        return Run.open(self.path(name))

    def path(self, name: str) -> Path:
        """The folder of the run.

        Raises:
            RunError: there is no such run, or it is outside the folder.
        """
        path = self.root
        try:
            path = (self.root / name).resolve()
            inside = path.is_relative_to(self.root) and (path / files.CONFIG).is_file()
        except (OSError, ValueError, RuntimeError):  # a zero byte, a name that is too long, or a cycle of links
            inside = False
        if not inside:
            raise RunError("page.no_run", name=name[:200])
        return path

    def listing(self) -> list[dict[str, Any]]:
        """One row per run, the newest first. The row of a damaged run has `broken`, the reason."""
        at, rows = self._listed
        if time.monotonic() - at > _FRESH:
            rows = sorted((self._row(path) for path in self._runs(self.root, 0)), key=lambda row: -row["changed"])
            self._listed = time.monotonic(), rows
        return rows

    def is_training(self, path: Path) -> bool:
        """Whether a training run is writing to a folder, whoever started it.

        A training run locks its history of steps; without locks on this system, a recent write counts.
        """
        history = path / files.STEPS
        if CAN_HOLD:
            return is_held(history)
        steps = changed(history)
        return steps > changed(path / files.SUMMARY) and time.time() - steps < _ALIVE

    def _runs(self, folder: Path, depth: int) -> Iterator[Path]:
        try:
            if (folder / files.CONFIG).is_file():
                yield folder
                return
            children = sorted(child for child in folder.iterdir() if child.is_dir() and _can_be_named(child.name))
            children = [child for child in children if child.resolve().is_relative_to(self.root)]
        except (OSError, RuntimeError):  # such as a folder that only root may read, or a cycle of links
            return
        for child in children:
            if depth < _DEEPEST:
                yield from self._runs(child, depth + 1)

    def _row(self, path: Path) -> dict[str, Any]:
        names = (files.CONFIG, files.SUMMARY, files.STEPS, files.EPOCHS)
        stamps = tuple(stamp(path / name) for name in names)
        known, row = self._rows.get(path, (None, {}))
        if known != stamps or "broken" in row:  # the reason is in the visitor's language
            self._rows[path] = stamps, _read_row(path)
        row = {"run": path.relative_to(self.root).as_posix(), **self._rows[path][1]}
        if self.is_training(path):
            row["state"] = "training"
        return row


def _read_row(path: Path) -> dict[str, Any]:
    """The row of a run; files are read separately, so that a damaged one does not hide the others."""
    row: dict[str, Any] = {"changed": max(changed(path / files.CONFIG), changed(path / files.STEPS))}
    problems = []
    parts = (
        (files.CONFIG, _of_config, _OF_CONFIG),
        (files.STEPS, _of_steps, _OF_STEPS),
        (files.EPOCHS, _of_epochs, _OF_EPOCHS),
        (files.SUMMARY, _of_summary, _OF_SUMMARY),
    )
    for name, read, empty in parts:
        try:
            found = read(path)
        except ThalwegError as error:
            found = {}
            problems.append(str(error))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with one run must not hide the others
            found = {}
            problems.append(t("page.damaged", file=name, reason=f"{type(error).__name__}: {error}"[:200]))
        row |= {**empty, **{key: value for key, value in found.items() if value is not None or key not in row}}
    if problems:
        row |= {"broken": "\n".join(problems), "state": "broken"}
    return row


def _of_config(path: Path) -> dict[str, Any]:
    run = Run.open(path)
    values = run.config.to_dict()
    unused = without_effect(values)
    facts = {name: values.get(name) for name in _SHOWN if name not in unused}
    if "optimizer" in unused:
        facts["optimizer"] = "L-BFGS"
    weights = mapping(run.data.get("weights"))
    return {
        **facts,
        "photos": photos_name(str(run.data["path"])),
        "train": int(run.data.get("train", 0)),
        "classes": len(run.classes),
        "weights": weights.get("source"),
        "license": weights.get("license"),
        "fitted": "optimizer" in unused,
        "several": run.task.several,
        "top5": files.VALID_TOP5 in run.task.epoch_units(len(run.classes)),
    }


def _of_steps(path: Path) -> dict[str, Any]:
    last = _tail(path / files.STEPS).last() or {}
    return {
        "steps": int(_finite(last.get("step")) or 0),
        "epoch": _finite(last.get("epoch")) or 0.0,
        "last_loss": _finite(last.get("loss")),
    }


def _of_epochs(path: Path) -> dict[str, Any]:
    epochs = _tail(path / files.EPOCHS)
    rows_NC = epochs.rows(0)
    old = {"top5": False} if epochs.columns and files.VALID_TOP5 not in epochs.columns else {}  # begun by 0.1.0
    if not len(rows_NC) or not {"valid_accuracy", "seconds"} <= set(epochs.columns):
        return old
    measure = files.VALID_MAP if files.VALID_MAP in epochs.columns else "valid_accuracy"
    best = float(rows_NC[:, epochs.columns.index(measure)].max())
    return {"best": _finite(best), "seconds": _finite(float(rows_NC[-1, epochs.columns.index("seconds")])), **old}


def _of_summary(path: Path) -> dict[str, Any]:
    """The results; empty before the run has ended for the first time."""
    if not (path / files.SUMMARY).exists():
        return {}
    summary = schema.checked(schema.read_json(path / files.SUMMARY), schema.SUMMARY, path / files.SUMMARY)
    return {
        "state": str(summary.get("stopped", "stopped")),
        "best": _quality(summary.get("valid")),
        "test": _quality(summary.get("test")),
        "seconds": _number((summary.get("seconds") or {}).get("total")),
    }


def _tail(path: Path) -> HistoryTail:
    """A history, ready to be read row by row.

    Raises:
        RunError: the file is not a history.
    """
    tail = HistoryTail(path)
    if not tail.columns and changed(path) and path.stat().st_size:
        raise RunError("page.damaged", file=path.name, reason=t("page.no_history"))
    return tail


def photos_name(path: str) -> str:
    """The name of a set of photos: `builtin` for that of the package, else its path, without a password."""
    from thalweg.data.addresses import without_password
    from thalweg.data.builtin import name_of

    return without_password(name_of(path))


def changed(path: Path) -> float:
    """The time of a file's last change, in seconds; 0 if there is no file."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and last change of a file, which show whether to read it again; None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _can_be_named(name: str) -> bool:
    """Whether a folder is shown: it is not hidden, and JSON can hold its name."""
    return not name.startswith(".") and name.encode("utf-8", "replace").decode() == name


def _quality(scores: Any) -> float | None:
    """Accuracy, or mean average precision if photos have several labels."""
    known = mapping(scores)
    return _number(known.get("mean_average_precision", known.get("accuracy")))


def _number(value: Any) -> float | None:
    return None if value is None else _finite(float(value))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
