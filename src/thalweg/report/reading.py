"""What is in a run's folder, read without trust: every part may be missing, broken, or of another version."""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from safetensors import SafetensorError, safe_open

from thalweg.errors import RunError
from thalweg.history import History, HistoryLog
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

Content = TypeVar("Content")

PICTURES = ("curves", "layers", "confusion", "mistakes", "reliability", "tsne-mid", "tsne-top")


@dataclass(slots=True)
class RunFolder:
    """The parts of a run that could be read.

    Attributes:
        path: the folder.
        training: the configuration, by field.
        data: what was trained on.
        environment: versions and machine.
        summary: what came out.
        check: what the data check found.
        steps: the history of the steps, None if there is none.
        epochs: the history of the epochs, None if there is none.
        logits_NC: outputs on the validation split, None if there are none.
        labels_N: its true classes.
        pictures: PNG files by name.
        missing: what could not be read, and why, in the language in force.
    """

    path: Path
    training: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    check: dict[str, Any] = field(default_factory=dict)
    steps: History | None = None
    epochs: History | None = None
    logits_NC: NDArray[np.float32] | None = None
    labels_N: NDArray[np.int64] | None = None
    pictures: dict[str, bytes] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """Names of the classes; numbers where the run does not say."""
        named = [str(name) for name in sequence(self.data.get("classes"))]
        count = 0 if self.logits_NC is None else self.logits_NC.shape[1]
        return named + [str(index) for index in range(len(named), count)]


def read_folder(path: Path) -> RunFolder:
    """Read what there is.

    Raises:
        RunError: no such folder.
    """
    if not path.is_dir():
        raise RunError("report.no_folder", path=path)
    folder = RunFolder(path)
    config = _read(folder, "config.toml", lambda file: tomllib.loads(file.read_text(encoding="utf-8"))) or {}
    folder.training = mapping(config.get("training"))
    folder.data = mapping(config.get("data"))
    folder.environment = mapping(config.get("environment"))
    folder.summary = mapping(_read(folder, "summary.json", _json))
    folder.check = mapping(_read(folder, "data-check.json", _json))
    folder.steps = _read(folder, "history/steps", HistoryLog.read)
    folder.epochs = _read(folder, "history/epochs", HistoryLog.read)
    folder.logits_NC, folder.labels_N = _read(folder, "evaluation.safetensors", _outputs) or (None, None)
    for name in PICTURES:
        content = _read(folder, f"{name}.png", _png)
        if content is not None:
            folder.pictures[name] = content
    return folder


def mapping(value: Any) -> dict[str, Any]:
    """The value, if it is a JSON object; else an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """The value, if it is a JSON array; else an empty one."""
    return value if isinstance(value, list) else []


def number(value: Any) -> float | None:
    """The value, if it is a number; else None."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _read(folder: RunFolder, name: str, reader: Callable[[Path], Content]) -> Content | None:
    try:
        return reader(folder.path / name)
    except FileNotFoundError:
        folder.missing.append(t("report.absent", name=name))
    except (OSError, ValueError, SafetensorError) as error:
        folder.missing.append(t("report.broken", name=name, reason=error))
    except RunError as error:  # a history says by itself what it lacks
        folder.missing.append(str(error))
    return None


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def _png(path: Path) -> bytes:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG\r\n\x1a\n") or len(content) < 24:
        raise ValueError(t("report.no_png"))
    return content


def _outputs(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Logits and labels; the features stay in the file."""
    with safe_open(path, framework="numpy") as file:
        logits_NC, labels_N = file.get_tensor("logits"), file.get_tensor("labels")
    fits = logits_NC.ndim == 2 and labels_N.shape == logits_NC.shape[:1]
    if not fits or not ((labels_N >= 0) & (labels_N < logits_NC.shape[1])).all():
        raise ValueError(t("report.outputs_do_not_fit"))
    return logits_NC, labels_N
