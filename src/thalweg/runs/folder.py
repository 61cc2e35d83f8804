"""A tolerant reader of a run's folder: any part may be missing, damaged, or from another version.

Lists of runs and reports use it: they show what is readable and name what is not. `Run` is the strict reader.
"""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError, safe_open

from thalweg.errors import RunError
from thalweg.history import History, HistoryLog
from thalweg.i18n import t
from thalweg.runs import files, schema
from thalweg.runs.answers import Answers
from thalweg.runs.class_table import with_classes
from thalweg.runs.config import translated
from thalweg.runs.tasks import task_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from os import PathLike

    from numpy.typing import NDArray

    from thalweg.runs.tasks import Task

Content = TypeVar("Content")


class RunFolder:
    """The readable parts of a run; each is read on first access.

    Args:
        path: the folder.

    Attributes:
        path: the folder.
        missing: the parts that could not be read so far, and why, in the current language.

    Raises:
        RunError: no such folder.
    """

    def __init__(self, path: Path | str) -> None:
        path = Path(path)
        if not path.is_dir():
            raise RunError("runs.no_folder", path=path)
        self.path = path
        self.missing: list[str] = []

    @cached_property
    def config(self) -> dict[str, Any]:
        """The tables of `config.toml`: `training`, `data`, `environment`."""
        return mapping(self._read(files.CONFIG, schema.read_toml))

    @property
    def training(self) -> dict[str, Any]:
        """The configuration, by field."""
        values = mapping(self.config.get("training"))
        return translated(values) if self.config.get("format") == files.FORMAT_OF_0_1 else values

    @property
    def task(self) -> Task:
        """Whether a photo has one class or several, as far as the configuration says."""
        return task_of(self.training.get("loss"))

    @cached_property
    def data(self) -> dict[str, Any]:
        """The `data` table: what the run was trained on, with its classes."""
        found = mapping(self.config.get("data"))
        try:
            return mapping(with_classes(found, self.path))
        except RunError as error:  # already names its file
            self.missing.append(str(error))
            return found

    @property
    def environment(self) -> dict[str, Any]:
        """Versions and machine."""
        return mapping(self.config.get("environment"))

    @cached_property
    def summary(self) -> dict[str, Any]:
        """What came out."""
        return mapping(self._read(files.SUMMARY, schema.read_json))

    @cached_property
    def check(self) -> dict[str, Any]:
        """The findings of the data check."""
        return mapping(self._read(files.CHECK, schema.read_json))

    @cached_property
    def steps(self) -> History | None:
        """The history of the steps, if there is one."""
        return self._read(files.STEPS, HistoryLog.read)

    @cached_property
    def epochs(self) -> History | None:
        """The history of the epochs, if there is one."""
        return self._read(files.EPOCHS, HistoryLog.read)

    @cached_property
    def processes(self) -> History | None:
        """The history of the processes, if several trained."""
        return self._read(files.PROCESSES, HistoryLog.read) if (self.path / files.PROCESSES).exists() else None

    @cached_property
    def outputs(self) -> dict[str, NDArray[Any]] | None:
        """The arrays of the evaluation, as `Run.outputs` has them, without the features, if there are any."""
        found = self._read(files.EVALUATION, _outputs)
        if found is not None and (found["labels"].ndim > 1) != self.task.several:
            self.missing.append(t("runs.broken", name=files.EVALUATION, reason=files.CONFIG))
            return None
        return found

    @cached_property
    def answers(self) -> Answers | None:
        """The answers on the validation split, of one label a photo, if there are any."""
        if self.outputs is None or self.task.several:
            return None
        return Answers(self.outputs, len(self.classes), self.temperature)

    @cached_property
    def pictures(self) -> dict[str, bytes]:
        """PNG files by name; of those that are drawn on request, the ones of the weights of now."""
        weights = self.path / files.CHECKPOINTS / f"{files.LAST}.safetensors"
        drawn = [name for name in (*files.LANDSCAPES, files.DOUBTS) if _is_newer(self.path / f"{name}.png", weights)]
        found = {name: self._read(f"{name}.png", _png) for name in (*self.task.pictures, *drawn)}
        return {name: content for name, content in found.items() if content is not None}

    @property
    def classes(self) -> list[str]:
        """Names of the classes; numbers if the run does not name them."""
        named = [str(name) for name in sequence(self.data.get("classes"))]
        count = self.outputs["logits"].shape[1] if self.outputs and "logits" in self.outputs else 0
        return named + [str(index) for index in range(len(named), count)]

    @property
    def temperature(self) -> float:
        """The number by which logits are divided; 1 if none was fitted."""
        return number(self.summary.get("temperature")) or 1.0

    @property
    def thresholds(self) -> list[float] | None:
        """The probability from which on a photo is given each class; None: one label, or none were chosen."""
        found = [number(value) for value in sequence(self.summary.get("thresholds"))]
        known = [value for value in found if value is not None]
        return known if self.task.several and len(known) == len(found) == len(self.classes) else None

    def read_all(self) -> RunFolder:
        """Read every part, so that `missing` is complete."""
        for _ in (
            self.config,
            self.data,
            self.summary,
            self.check,
            self.steps,
            self.epochs,
            self.outputs,
            self.pictures,
        ):
            pass
        return self

    def _read(self, name: str, reader: Callable[[Path], Content]) -> Content | None:
        path = self.path / name
        if not path.exists():
            self.missing.append(t("runs.absent", name=name))
            return None
        try:
            return reader(path)
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            self.missing.append(t("runs.broken", name=name, reason=error))
        except RunError as error:  # already names its file
            self.missing.append(str(error))
        return None


def mapping(value: Any) -> dict[str, Any]:
    """Return the value if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return the value if it is a JSON array, else an empty one."""
    return value if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """Return the value if it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer with hundreds of digits
        return None


def _is_newer(path: Path, other: Path) -> bool:
    """Whether a file exists, and is no older than another, if there is that."""
    try:
        return path.exists() and (not other.exists() or path.stat().st_mtime >= other.stat().st_mtime)
    except OSError:
        return False


def _png(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or len(content) < 24:
        raise ValueError(t("runs.no_png"))
    return content


def _outputs(path: Path) -> dict[str, NDArray[Any]]:
    """Read logits or answers, and labels, but not the features."""
    with safe_open(path, framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in set(file.keys()) - {"mid", "top"}}
    return schema.check_outputs(arrays, None, path)


def expand_folds(paths: Iterable[PathLike[str] | str]) -> list[Path]:
    """Replace each folder of folds with the runs in it."""
    runs: list[Path] = []
    for path in map(Path, paths):
        folds = path / files.FOLDS
        if (path / files.CONFIG).exists() or not folds.is_dir():
            runs.append(path)
        else:
            runs += sorted(folds.iterdir(), key=lambda fold: (len(fold.name), fold.name))
    return runs
