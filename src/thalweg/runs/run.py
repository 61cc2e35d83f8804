"""A run: the folder that training writes, with everything needed to use or repeat it.

```
run/
  config.toml              [training] the configuration, [data] what it was trained on, [environment] where
  classes.csv              the classes and their shares, if they are more than a hundred
  split.csv                path, split, label of every photo used; applied-corrections.csv: labels that were corrected
  data-check.json          warnings about the photos, and the first hundred of each kind of finding
  data-check.csv           all findings, if there are more
  history/steps, epochs, layers   append-only columns (see thalweg.history)
  checkpoints/last, best   .safetensors: to resume from, and to predict with
  checkpoints/epoch-0001   .safetensors: weights of every epoch (0000: initial), with `save_every_epoch`
  evaluation.safetensors   validation split: logits or answers, labels, features at the mid and top taps
  summary.json             the results, and how long they took
  class-scores.csv         precision, recall and F1 of every class on the validation split
  *.png, report.html       figures and the report
```
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from thalweg._files import write_text
from thalweg._notebook import drawn_as, shown_as
from thalweg.data.addresses import address_of, may_be_there, without_password
from thalweg.data.builtin import ARCHIVE
from thalweg.data.photos import SPLITS
from thalweg.data.rendering import Rendering
from thalweg.errors import DataError, RunError, UnknownNameError, UsageError
from thalweg.history import HistoryLog
from thalweg.runs import files, schema
from thalweg.runs.answers import filled, large_array
from thalweg.runs.class_table import checked_data, write_classes
from thalweg.runs.config import SettledConfig, translated
from thalweg.runs.photos import decode_photos, evaluation_batches, find_photos
from thalweg.runs.split_table import read_split_table, split_text
from thalweg.runs.tasks import task_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import torch
    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from thalweg.data import Cache, ImageSet, Photo
    from thalweg.data.building import Builders
    from thalweg.data.photos import Split
    from thalweg.history import History
    from thalweg.runs.tasks import Task


@dataclass(frozen=True, slots=True)
class Run:
    """A run's folder, opened.

    Attributes:
        path: the folder.
        config: the configuration, with its size known.
        data: `path`, `layout`, `classes` and their `class_shares`, `fingerprint`, `stored` (side in the cache, in
            pixels), `levels` and `ground` (see `rendering`), `mean`, `std`, the number of photos in `train`, `valid`,
            `test`, `weights`: what it started from, if not from random weights; and `corrections`: the digest and
            the counts of the table that corrected labels, if there was one.
        environment: versions, machine, `threads`, `precision`, `layout`, `device`.
    """

    path: Path
    config: SettledConfig
    data: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)

    _repr_html_ = shown_as("run")

    def draw(self, name: str = "curves") -> Figure:
        """Draw one of the run's pictures, to show it in a notebook or to change it with matplotlib.

        Args:
            name: `curves`, `layers`, `confusion`, `mistakes`, `reliability`, `tsne-mid` or `tsne-top`.

        Raises:
            UnknownNameError: there is no such picture.
            RunError: the run lacks what it shows.
            DataError: the photos are gone.
        """
        return drawn_as("run")(self, name)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __fspath__(self) -> str:
        """The folder: a run may be given wherever the path of one is taken."""
        return str(self.path)

    @classmethod
    def open(cls, path: Path | str, *, photos: Path | str | None = None) -> Self:
        """Open a run.

        Args:
            path: the folder of the run.
            photos: where its photos are now, if they have moved.

        Raises:
            RunError: the folder is not a run, holds the runs of folds, has another version, or is damaged; the
                message names the damage.
        """
        path = Path(path)
        file = path / files.CONFIG
        if not file.is_file() and (path / files.FOLDS).is_dir():
            raise RunError("runs.is_folds", path=path, first=path / files.FOLDS / "0")
        if not file.is_file():
            raise RunError("runs.not_a_run", path=path, reason=files.CONFIG)
        facts = schema.read_toml(file)
        if facts.get("format") not in (files.FORMAT, files.FORMAT_OF_0_1):
            raise RunError("runs.other_run", path=path, found=facts.get("format"), expected=files.FORMAT)
        data = checked_data(facts.get("data"), path)
        schema.check_sizes(facts.get("training"), data["stored"], file)
        environment = schema.checked(facts.get("environment"), schema.ENVIRONMENT, file, "environment")
        training = schema.checked(facts.get("training"), {"size": schema.whole(1, 4096)}, file, "training")
        try:
            training = translated(training) if facts["format"] == files.FORMAT_OF_0_1 else training
            config = SettledConfig.from_dict(training)
        except UsageError as error:
            raise RunError("runs.not_readable", path=file, reason=error) from error
        if photos is not None:
            data["path"] = address_of(photos)
        return cls(path, config, data, environment)

    def save(self) -> None:
        """Write `config.toml`, and before it `classes.csv` of many classes."""
        data = write_classes(self.data, self.path)
        tables = {"training": self.config.to_dict(), "data": data, "environment": self.environment}
        write_text(self.path / files.CONFIG, schema.to_toml(files.FORMAT, tables))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the logits."""
        return tuple(self.data["classes"])

    @property
    def task(self) -> Task:
        """Whether a photo has one class or several, and what follows from that."""
        return task_of(self.config.loss)

    @property
    def rendering(self) -> Rendering:
        """How numbers of more than 8 bits and transparency became colors; runs of before have the rule of before."""
        return Rendering.from_facts(self.data)

    def checkpoint(self, which: str | int) -> Path:
        """Return the file of a checkpoint.

        Args:
            which: `last`, to resume from; `best`, to predict with; or an epoch, 0 for the initial weights.
        """
        name = f"{files.EPOCH}{which:04}" if isinstance(which, int) else which
        return self.path / files.CHECKPOINTS / f"{name}.safetensors"

    @property
    def last(self) -> Path:
        """The checkpoint to resume from."""
        return self.checkpoint(files.LAST)

    @property
    def best(self) -> Path:
        """The weights to predict with."""
        return self.checkpoint(files.BEST)

    def saved_epochs(self) -> list[int]:
        """Return the epochs whose weights were kept, in order; 0 means the initial weights."""
        found = (self.path / files.CHECKPOINTS).glob("epoch-*.safetensors")
        return sorted(int(name) for path in found if (name := path.stem.removeprefix(files.EPOCH)).isdecimal())

    @property
    def evaluation(self) -> Path:
        """The file with logits, labels and features of the validation split."""
        return self.path / files.EVALUATION

    def outputs(self) -> dict[str, NDArray[Any]]:
        """Read `evaluation`: `logits` (N, C), or what `answers` keeps of large ones; `labels`; `mid` and `top` (N, D).

        Raises:
            RunError: it is missing or damaged.
        """
        try:
            arrays = load_file(self.evaluation)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:  # numpy has no bf16
            raise RunError("runs.no_outputs", path=self.evaluation, reason=error) from error
        found = schema.check_outputs(arrays, len(self.classes), self.evaluation)
        if (found["labels"].ndim > 1) != self.task.several:
            raise RunError("runs.outputs_do_not_fit", path=self.evaluation)
        return found

    def probabilities(self, split: Split = "valid") -> NDArray[np.float64]:
        """Return the class probabilities of each photo in a split, with the run's temperature.

        The validation split is read from the run, if that keeps logits; other photos go through the network.

        Args:
            split: `train`, `valid` or `test`.

        Returns:
            (N, C), in the order of the cache's rows, on disk if above 200 MB; each row sums to 1 of one label a photo.

        Raises:
            UnknownNameError: there is no such split.
            RunError: nothing was evaluated, or the photos have changed.
        """
        if split not in SPLITS:
            raise UnknownNameError("split", split, SPLITS)
        if split == "valid" and "logits" in (outputs := self.outputs()):
            return self.task.probabilities(outputs["logits"], self.temperature)
        from thalweg.models import logits_in_blocks

        cache, task, temperature = self.open_photos(), self.task, self.temperature
        found_NC = large_array((len(cache.rows(split)), len(self.classes)), np.float64, self.path)
        blocks = logits_in_blocks(self.load_network(), self.batches(cache, cache.rows(split)))
        return filled(found_NC, (task.probabilities(logits_RC.numpy(), temperature) for logits_RC in blocks))

    @property
    def corrections(self) -> Path | None:
        """The table of corrections that the labels follow: the run's copy, else the one that was given; or None."""
        if self.config.corrections is None:
            return None
        return copy if (copy := self.path / files.APPLIED).exists() else Path(self.config.corrections)

    def find_photos(self) -> ImageSet:
        """Find the run's photos, with its classes, splits, fold and corrections; decode none.

        Raises:
            DataError: the photos are gone.
        """
        photos: Path | str = self.data["path"]
        if not may_be_there(photos) and Path(photos).name == ARCHIVE.name:
            photos = ARCHIVE  # the built-in set of another installation
        if not may_be_there(photos):
            raise DataError("runs.photos_gone", path=without_password(str(photos)), run=self.path)
        return find_photos(photos, self.config, classes=self.classes, corrections=self.corrections)

    def open_photos(
        self, *, progress: Callable[[int, int], None] | None = None, builders: Builders | None = None
    ) -> Cache:
        """Open the photos that the run was trained on, decoded, with its classes, splits and fold.

        Args:
            progress: called with (photos decoded, all photos) if they are no longer in the cache.
            builders: the processes that decode them together; None: this one.

        Raises:
            DataError: the photos are gone.
            RunError: the photos have changed.
        """
        images, stored, rendering = self.find_photos(), self.data["stored"], self.rendering
        cache = decode_photos(images, self.config, stored, progress, rendering=rendering, builders=builders)
        if cache.fingerprint != self.data["fingerprint"]:
            photos = without_password(str(self.data["path"]))
            if (table := self.corrections) is not None:
                raise RunError("runs.corrections_changed", table=table, path=photos, run=self.path)
            raise RunError("runs.photos_changed", path=photos, run=self.path)
        return cache

    def batches(self, cache: Cache, rows_N: NDArray[np.int64], **options: Any) -> Iterator[torch.Tensor]:
        """Yield batches of photos as the network sees them in evaluation.

        Args:
            cache: decoded photos of the run's stored size, not only the run's own.
            rows_N: indices of the photos.
            **options: `batch_size`, `flip` and `box` of `evaluation_batches`.

        Yields:
            images_NCHW, float32, on the CPU; valid until the next batch.
        """
        return evaluation_batches(cache.images_NHWC, self.data, rows_N, size=self.config.size, **options)

    def load_network(self, which: str | int = files.BEST) -> nn.Module:
        """Load the network with the weights of a checkpoint, on the CPU, in evaluation mode.

        Args:
            which: as for `checkpoint`.

        Raises:
            RunError: there is no such checkpoint, or it belongs to another network.
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
        """Load the weights and buffers of a checkpoint, by the network's own names.

        Raises:
            RunError: no such checkpoint.
        """
        from thalweg.runs.checkpoint import names_of_model

        return names_of_model(self._tensors(which))

    def _tensors(self, which: str | int) -> dict[str, Tensor]:
        from thalweg.runs import checkpoint

        path = self.checkpoint(which)
        if not path.exists():
            key = "runs.no_weights" if which == files.BEST else "runs.no_such_checkpoint"
            raise RunError(key, run=self.path, name=which)
        return checkpoint.load(path)[0]

    def steps(self) -> History:
        """The history of the steps."""
        return self._history(files.STEPS, files.STEP_UNITS)

    def epochs(self) -> History:
        """The history of the epochs."""
        return self._history(files.EPOCHS, self.task.epoch_units(len(self.classes)))

    def layers(self) -> History:
        """The history of the layers: gradient norm, update ratio and weight norm of each, at the measured steps."""
        return HistoryLog.read(self.path / files.LAYERS)

    def processes(self) -> History | None:
        """The history of the processes, photos per second of each; None: only one trained."""
        return self._history(files.PROCESSES, files.PROCESS_UNITS) if (self.path / files.PROCESSES).exists() else None

    def _history(self, name: str, units: Mapping[str, str]) -> History:
        history = HistoryLog.read(self.path / name)
        expected = list(units)[: len(history.units)]  # an older version had fewer columns at the end
        if list(history.units) != expected:
            raise RunError("history.other_columns", path=self.path / name, found=list(history.units), expected=expected)
        return history

    def summary(self) -> dict[str, Any]:
        """The results when training last stopped; empty before that.

        Raises:
            RunError: the file is damaged.
        """
        path = self.path / files.SUMMARY
        return schema.checked(schema.read_json(path), schema.SUMMARY, path) if path.exists() else {}

    @property
    def temperature(self) -> float:
        """The number that divides logits before the softmax; 1 before it is fitted."""
        return float(self.summary().get("temperature", 1.0))

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """The probability from which on a photo is given each class; None: the most probable class is the answer.

        Before they are chosen at the end of the training, each is 0.5.

        Raises:
            RunError: the summary has another number of them.
        """
        if not self.task.several:
            return None
        found, wanted = self.summary().get("thresholds", [0.5] * len(self.classes)), len(self.classes)
        if len(found) == wanted:
            return tuple(found)
        path = self.path / files.SUMMARY
        raise RunError("runs.damaged", path=path, name="thresholds", value=len(found), wanted=wanted)

    def write_json(self, name: str, content: Any) -> None:
        """Write a JSON document to the folder."""
        write_text(self.path / name, json.dumps(content, ensure_ascii=False, indent=2) + "\n")

    def write_split(self, photos: Iterable[Photo]) -> None:
        """Record the split of every photo."""
        write_text(self.path / files.SPLIT, split_text(photos, self.classes))

    def read_split(self, split: Split) -> list[str]:
        """Return the paths of the photos in a split, in the order of the cache's rows.

        Raises:
            RunError: the file is missing or damaged.
        """
        return [path for path, of_split, _ in read_split_table(self.path / files.SPLIT) if of_split == split]

    def read_labels(self) -> dict[str, str]:
        """Return the label of each photo that has one, by path.

        Raises:
            RunError: the file is missing or damaged.
        """
        return {path: label for path, _, label in read_split_table(self.path / files.SPLIT) if label}
