"""A run: the folder that a training leaves, and all that is needed to use it or to repeat it.

```
run/
  config.toml              [training] the configuration, [data] what it was trained on, [environment] where
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from safetensors import SafetensorError
from safetensors.numpy import load_file

from thalweg._files import write_text
from thalweg.errors import RunError, UsageError
from thalweg.history import HistoryLog
from thalweg.runs import files, schema
from thalweg.runs.config import SettledConfig, translated
from thalweg.runs.photos import decode_photos, evaluation_batches, find_photos
from thalweg.runs.probabilities import softmax


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data import Cache, Photo
    from thalweg.data.photos import Split
    from thalweg.history import History


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, opened.

    Attributes:
        path: the folder.
        config: what the training was asked to do, with its size known.
        data: `path`, `layout`, `classes` and their `class_shares`, `fingerprint`, `stored` (side in the cache, in
            pixels), `mean`, `std`, and how many photos there are in `train`, `valid`, `test`.
        environment: versions, machine, `threads`, `precision`, `layout`, `device`.
    """

    path: Path
    config: SettledConfig
    data: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path | str) -> Self:
        """Open a run.

        Args:
            path: its folder.

        Raises:
            RunError: not a run, one of another version, or a damaged one; the message names the damage.
        """
        path = Path(path)
        file = path / files.CONFIG
        if not file.is_file():
            raise RunError("runs.not_a_run", path=path, reason=files.CONFIG)
        facts = schema.read_toml(file)
        if facts.get("format") not in (files.FORMAT, files.FORMAT_OF_0_1):
            raise RunError("runs.other_run", path=path, found=facts.get("format"), expected=files.FORMAT)
        data = schema.checked(facts.get("data"), schema.DATA, file, "data")
        if len(data["class_shares"]) != len(data["classes"]):
            wanted = len(data["classes"])
            raise RunError(
                "runs.damaged", path=file, name="class_shares", value=len(data["class_shares"]), wanted=wanted
            )
        environment = schema.checked(facts.get("environment"), schema.ENVIRONMENT, file, "environment")
        training = schema.checked(facts.get("training"), {"size": schema.whole(1, 4096)}, file, "training")
        try:
            config = SettledConfig.from_dict(
                translated(training) if facts["format"] == files.FORMAT_OF_0_1 else training
            )
        except UsageError as error:
            raise RunError("runs.not_readable", path=file, reason=error) from error
        return cls(path, config, data, environment)

    def save(self) -> None:
        """Write `config.toml`."""
        tables = {"training": self.config.to_dict(), "data": self.data, "environment": self.environment}
        content = f"format = {files.FORMAT}\n" + "".join(_table(*item) for item in tables.items())
        write_text(self.path / files.CONFIG, content)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(self.data["classes"])

    def checkpoint(self, which: str | int) -> Path:
        """The file of a checkpoint.

        Args:
            which: `last`, to go on from; `best`, to predict with; or an epoch, 0 for the initial weights.
        """
        name = f"{files.EPOCH}{which:04}" if isinstance(which, int) else which
        return self.path / files.CHECKPOINTS / f"{name}.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint to go on from."""
        return self.checkpoint(files.LAST)

    @property
    def best(self) -> Path:
        """The weights to predict with."""
        return self.checkpoint(files.BEST)

    def saved_epochs(self) -> list[int]:
        """The epochs whose weights were kept, in order; 0 stands for the initial weights."""
        names = (
            path.stem.removeprefix(files.EPOCH) for path in (self.path / files.CHECKPOINTS).glob("epoch-*.safetensors")
        )
        return sorted(int(name) for name in names if name.isdecimal())

    @property
    def evaluation(self) -> Path:
        """The file with logits, labels and features of the validation split."""
        return self.path / files.EVALUATION

    def outputs(self) -> dict[str, NDArray[Any]]:
        """What `evaluation` has: `logits` (N, classes), `labels` (N), `mid` and `top` (N, features).

        Raises:
            RunError: it is missing or damaged.
        """
        try:
            arrays = load_file(self.evaluation)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:  # numpy has no bf16
            raise RunError("runs.no_outputs", path=self.evaluation, reason=error) from error
        return schema.check_outputs(arrays, len(self.classes), self.evaluation)

    def probabilities(self, split: Split = "valid") -> NDArray[np.float64]:
        """The probabilities of the classes for each photo of a split, with the run's temperature.

        Those of the validation split are kept in the run; for another split the photos go through the network.

        Args:
            split: `train`, `valid` or `test`.

        Returns:
            (N, C), in the order of the cache's rows; rows add up to 1.

        Raises:
            RunError: nothing was evaluated, or the photos are no longer what they were.
        """
        if split == "valid":
            return softmax(self.outputs()["logits"], self.temperature)
        from thalweg.models import logits_of

        cache = self.open_photos()
        batches = self.batches(cache, cache.rows(split))
        return softmax(logits_of(self.load_network(), batches).numpy(), self.temperature)

    def open_photos(self, *, progress: Callable[[int, int], None] | None = None) -> Cache:
        """The very photos that the run was trained on, decoded: its classes, its splits, its fold.

        Args:
            progress: called with (photos decoded, all photos) where they are no longer in the cache.

        Raises:
            DataError: there are no photos any more.
            RunError: they are no longer what they were.
        """
        cache = decode_photos(find_photos(self.data["path"], self.config), self.config, self.data["stored"], progress)
        if cache.fingerprint != self.data["fingerprint"]:
            raise RunError("runs.photos_changed", path=self.data["path"], run=self.path)
        return cache

    def batches(self, cache: Cache, rows_N: NDArray[np.int64], **options: Any) -> Iterator[torch.Tensor]:
        """Photos as the network sees them in evaluation.

        Args:
            cache: decoded photos of the run's stored size, not only the run's own.
            rows_N: which of them.
            **options: `batch_size`, `flip` and `box` of `evaluation_batches`.

        Yields:
            images_NCHW, float32, on the CPU; valid until the next batch.
        """
        return evaluation_batches(cache.images_NHWC, self.data, rows_N, size=self.config.size, **options)

    def load_network(self, which: str | int = files.BEST) -> nn.Module:
        """The network with the weights of a checkpoint, on the CPU, ready to evaluate.

        Args:
            which: as for `checkpoint`.

        Raises:
            RunError: no such checkpoint, or one of another network.
        """
        import torch

        from thalweg import models
        from thalweg.runs.checkpoint import load_model

        tensors = self._tensors(which)
        with torch.random.fork_rng(devices=[]):
            model = models.build(self.config.model, classes=len(self.classes), size=self.config.size)
        load_model(model, tensors)
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload] - torch types leave it out
        return model.eval()

    def load_weights(self, which: str | int) -> dict[str, Tensor]:
        """Weights and buffers of a checkpoint, by the network's own names.

        Raises:
            RunError: no such checkpoint.
        """
        from thalweg.runs.checkpoint import names_of_model

        return names_of_model(self._tensors(which))

    def _tensors(self, which: str | int) -> dict[str, Tensor]:
        from thalweg.runs import checkpoint

        path = self.checkpoint(which)
        if not path.exists():
            raise RunError(
                "runs.no_weights" if which == files.BEST else "runs.no_such_checkpoint", run=self.path, name=which
            )
        return checkpoint.load(path)[0]

    def steps(self) -> History:
        """The history of the steps."""
        return self._history(files.STEPS, files.STEP_UNITS)

    def epochs(self) -> History:
        """The history of the epochs."""
        return self._history(files.EPOCHS, files.EPOCH_UNITS)

    def layers(self) -> History:
        """The history of the layers: gradient norm, update ratio and weight norm of each, at the steps measured."""
        return HistoryLog.read(self.path / files.LAYERS)

    def _history(self, name: str, units: dict[str, str]) -> History:
        history = HistoryLog.read(self.path / name)
        expected = list(units)[: len(history.units)]  # an older version had fewer columns at the end
        if list(history.units) != expected:
            raise RunError("history.other_columns", path=self.path / name, found=list(history.units), expected=expected)
        return history

    def summary(self) -> dict[str, Any]:
        """What came out when the training last stopped; empty before.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / files.SUMMARY
        return schema.checked(schema.read_json(path), schema.SUMMARY, path) if path.exists() else {}

    @property
    def temperature(self) -> float:
        """The number by which logits are divided before they become probabilities; 1 before it was fitted."""
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
        write_text(self.path / files.SPLIT, lines.getvalue())

    def read_split(self, split: Split) -> list[str]:
        """Paths of the photos of a split, in the order of the cache's rows."""
        text = (self.path / files.SPLIT).read_text(encoding="utf-8")
        return [row["path"] for row in csv.DictReader(io.StringIO(text)) if row["split"] == split]


def expand_folds(paths: Iterable[Path | str]) -> list[Path]:
    """The runs of paths: a folder of folds stands for all of its folds."""
    runs: list[Path] = []
    for path in map(Path, paths):
        folds = path / files.FOLDS
        if (path / files.CONFIG).exists() or not folds.is_dir():
            runs.append(path)
        else:
            runs += sorted(folds.iterdir(), key=lambda fold: (len(fold.name), fold.name))
    return runs


def _table(name: str, values: dict[str, Any]) -> str:
    return f"\n[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    """TOML's basic strings, numbers, booleans and arrays are JSON's, all but two spellings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
