"""Logs that are folders: runs of MLflow, event files of TensorBoard, and what other tools name always alike."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from thalweg.diagnosis.logs.events import Events, read_events
from thalweg.diagnosis.logs.log import BETWEEN, Log, number, of_series
from thalweg.diagnosis.logs.names import TRAINING, VALIDATION, meaning_of


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_METRIC = re.compile(r"\d{9,16} \S+(?: -?\d+(?: \S+ \S+)?)?")
_KNOWN: Final = ("trainer_state.json", "metrics.csv", "results.csv", "history.csv")
_MOST: Final = 200  # folders of runs that are looked into


def known_file(folder: Path) -> Path | None:
    """The log in a folder, by the name that its tool always gives it."""
    return next((folder / name for name in _KNOWN if (folder / name).is_file()), None)


def is_log_folder(folder: Path) -> bool:
    """Whether a folder holds a log.

    Args:
        folder: any folder.
    """
    return bool(_metrics_of(folder) or _runs_below(folder) or known_file(folder) or _event_files(folder))


def read_folder(folder: Path) -> Log | None:
    """Read a folder of MLflow or of event files; None if it is neither.

    Several runs in one folder have names with the run's in front.

    Raises:
        OSError: a file cannot be read.
    """
    if (metrics := _metrics_of(folder)) is not None:
        return of_series("mlflow", _series_of(metrics))
    if runs := _runs_below(folder):
        named = {f"{run.parent.name}{BETWEEN}{name}": pairs for run in runs for name, pairs in _series_of(run).items()}
        return of_series("mlflow", named)
    return read_event_files(_event_files(folder), folder) if _event_files(folder) else None


def read_event_files(paths: Sequence[Path], folder: Path) -> Log:
    """Read event files as one log.

    Those of one folder follow one another: a later file that begins at a step takes the place of all from that step
    on. Folders named train and validation are parts of one run; others are runs of their own.

    Args:
        paths: the files.
        folder: the folder that they are in or below.

    Raises:
        OSError: a file cannot be read.
    """
    read: dict[Path, list[Events]] = defaultdict(list)
    for path in sorted(paths, key=lambda path: path.name):
        read[path.parent].append(read_events(path))
    series: dict[str, list[tuple[float, float]]] = {}
    for home, files in read.items():
        prefix = _prefix(home.relative_to(folder).as_posix()) if home != folder else ""
        for found in files:
            for tag, pairs in found.scalars.items():
                before = series.get(prefix + tag, [])
                series[prefix + tag] = [pair for pair in before if pair[0] < pairs[0][0]] + pairs
    every = [found for files in read.values() for found in files]
    whole = sum(found.whole for found in every)
    notes = [f"cut:{whole}"] if any(found.cut for found in every) else []
    damaged = sum(found.damaged for found in every)
    return of_series("events", series, [*notes, *([f"damaged:{damaged}"] if damaged else [])])


def read_metric(text: str, name: str) -> Log | None:
    """Read a file of MLflow's folder `metrics`; None if the text is none.

    Args:
        text: lines of `timestamp value step`.
        name: of the file.
    """
    lines = text.splitlines()
    if not lines or not all(_METRIC.fullmatch(line.strip()) for line in lines if line.strip()):
        return None
    return of_series("mlflow", {name: _pairs(lines)})


def _prefix(place: str) -> str:
    """What stands before the tags of a folder."""
    run, _, last = place.rpartition("/")
    tag, _, part = last.lower().rpartition("_")  # `add_scalars` makes folders such as loss_train
    if part in {*TRAINING, *VALIDATION} and (not tag or meaning_of(tag) is not None):
        return f"{run}{BETWEEN if run else ''}{part}/"
    return f"{place}{BETWEEN}"


def _event_files(folder: Path) -> list[Path]:
    """The event files of a folder, and those one or two folders below."""
    patterns = ("*.tfevents.*", "*/*.tfevents.*", "*/*/*.tfevents.*")
    return [path for pattern in patterns for path in sorted(folder.glob(pattern)) if path.is_file()][:_MOST]


def _metrics_of(folder: Path) -> Path | None:
    """MLflow's folder of metrics, if this is a run's or itself one."""
    for one in (folder / "metrics", folder):
        if one.name == "metrics" and one.is_dir() and any(_is_metric(path) for path in _files(one)):
            return one
    return None


def _runs_below(folder: Path) -> list[Path]:
    """The folders of metrics of an experiment's runs."""
    for pattern in ("*/metrics", "*/*/metrics"):
        if found := [one for path in sorted(folder.glob(pattern))[:_MOST] if (one := _metrics_of(path))]:
            return found
    return []


def _files(metrics: Path) -> Iterable[Path]:
    return (path for path in sorted(metrics.rglob("*")) if path.is_file() and not path.name.startswith("."))


def _is_metric(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(200).decode("utf-8", "replace")
    except OSError:
        return False
    return _METRIC.fullmatch(head.partition("\n")[0].strip()) is not None


def _series_of(metrics: Path) -> dict[str, list[tuple[float, float]]]:
    return {
        path.relative_to(metrics).as_posix(): _pairs(path.read_text(encoding="utf-8", errors="replace").splitlines())
        for path in _files(metrics)
        if _is_metric(path)
    }


def _pairs(lines: Sequence[str]) -> list[tuple[float, float]]:
    """Step and value of each whole line."""
    found = []
    for line in lines:
        words = line.split()
        value = number(words[1]) if len(words) > 1 else None
        if value is not None:
            found.append((number(words[2]) or 0.0 if len(words) > 2 else 0.0, value))
    return found
