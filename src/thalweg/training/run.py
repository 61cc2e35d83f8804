"""A run: the folder that a training leaves, and all that is needed to use it or to do it again.

```
run/
  config.toml              [training] the configuration, [data] what was trained on, [environment] where
  split.csv                path, split, label: every photo that was used, as it was used
  data-check.json          warnings about the photos, and the bad ones by name
  history/steps, epochs, layers   append-only columns (see thalweg.history)
  checkpoints/last, best   .safetensors: to go on from, and to predict with
  checkpoints/epoch-0001   .safetensors: weights of every epoch, 0000 the initial ones, if they were to be kept
  evaluation.safetensors   validation split: logits, labels, features at the mid and top taps
  summary.json             what came out, and how long it took
  *.png, report.html       what to look at
```
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from safetensors import SafetensorError
from safetensors.numpy import load_file

from thalweg._files import write_text
from thalweg.errors import RunError, UsageError
from thalweg.history import HistoryLog
from thalweg.training.config import TrainingConfig


if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.data import Photo
    from thalweg.history import History

FORMAT = 1
FOLDS = "folds"  # below it, a folder of folds has its runs

STEP_UNITS = {
    "step": "",
    "epoch": "epochs",
    "loss": "nat",
    "gradient_norm": "",
    "lr": "",
    "size": "px",  # side of the step's photos
    "mixed": "",  # 1: photos were mixed with others; 0: they were as they are
}
EPOCH_UNITS = {
    "step": "",
    "epoch": "epochs",
    "train_loss": "nat",
    "train_accuracy": "",
    "valid_loss": "nat",
    "valid_accuracy": "",
    "seconds": "s",
}


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, opened.

    Attributes:
        path: the folder.
        config: what the training was asked to do; `size` is resolved.
        data: `path`, `layout`, `classes` and their `class_shares`, `fingerprint`, `stored` (side in the cache, in
            pixels), `mean`, `std`, and how many photos there are in `train`, `valid`, `test`.
        environment: versions, machine, `threads`, `precision`, `layout`, `device`.
    """

    path: Path
    config: TrainingConfig
    data: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a run.

        Raises:
            RunError: not a run, or one of another version.
        """
        try:
            facts = tomllib.loads((path / "config.toml").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:  # TOML's and Unicode's errors are ValueErrors
            raise RunError("training.not_a_run", path=path, reason=error) from error
        if facts.get("format") != FORMAT:
            raise RunError("training.other_run", path=path, found=facts.get("format"), expected=FORMAT)
        try:
            return cls(path, TrainingConfig.from_dict(facts["training"]), facts["data"], facts["environment"])
        except (KeyError, TypeError, UsageError) as error:
            raise RunError("training.not_a_run", path=path, reason=error) from error

    def save(self) -> None:
        """Write `config.toml`."""
        tables = {"training": self.config.to_dict(), "data": self.data, "environment": self.environment}
        write_text(
            self.path / "config.toml", f"format = {FORMAT}\n" + "".join(_table(*item) for item in tables.items())
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(self.data["classes"])

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.path / "checkpoints" / "last.safetensors"

    @property
    def best(self) -> Path:
        """The weights to predict with."""
        return self.path / "checkpoints" / "best.safetensors"

    def epoch_weights(self, epoch: int) -> Path:
        """The weights after an epoch, where `keep_epochs` was asked for; 0: the initial ones."""
        return self.path / "checkpoints" / f"epoch-{epoch:04}.safetensors"

    def kept_epochs(self) -> list[Path]:
        """All of them that there are, in order."""
        paths = (self.path / "checkpoints").glob("epoch-*.safetensors")
        return sorted(paths, key=lambda path: int(path.stem.removeprefix("epoch-")))

    @property
    def evaluation(self) -> Path:
        """Logits, labels and features of the validation split."""
        return self.path / "evaluation.safetensors"

    def outputs(self) -> dict[str, NDArray[Any]]:
        """What `evaluation` has: `logits` (N, classes), `labels` (N), `mid` and `top` (N, features).

        Raises:
            RunError: it is missing or broken.
        """
        try:
            return load_file(self.evaluation)
        except (OSError, SafetensorError) as error:
            raise RunError("training.no_outputs", path=self.evaluation, reason=error) from error

    def steps(self) -> History:
        """The history of the steps."""
        return HistoryLog.read(self.path / "history" / "steps")

    def epochs(self) -> History:
        """The history of the epochs."""
        return HistoryLog.read(self.path / "history" / "epochs")

    def layers(self) -> History:
        """The history of the layers: gradient norm, update ratio and weight norm of each, at the steps measured."""
        return HistoryLog.read(self.path / "history" / "layers")

    def summary(self) -> dict[str, Any]:
        """What came out when the training last stopped; empty before."""
        path = self.path / "summary.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def temperature(self) -> float:
        """By which logits are divided before they become probabilities; 1 before it was fitted."""
        return float(self.summary().get("temperature", 1.0))

    def write_json(self, name: str, content: Any) -> None:
        """Write one JSON document into the folder."""
        write_text(self.path / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    def write_split(self, photos: Iterable[Photo]) -> None:
        """Write down which photo was used for what."""
        lines = io.StringIO()
        writer = csv.writer(lines, lineterminator="\n")
        writer.writerow(["path", "split", "label"])
        for photo in photos:
            name = "" if photo.label is None else self.classes[photo.label]
            writer.writerow([photo.path, photo.split, name])
        write_text(self.path / "split.csv", lines.getvalue())


def _table(name: str, values: dict[str, Any]) -> str:
    return f"\n[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    """TOML's basic strings, numbers, booleans and arrays are JSON's, all but two spellings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
