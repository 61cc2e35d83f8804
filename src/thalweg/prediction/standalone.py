"""What every exported file has: the network from bytes to probabilities, its facts, and a check against the run.

Shape suffixes: N photos, H height, W width, C channels or classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from thalweg.errors import DataError, RunError, UsageError
from thalweg.models import logits_of
from thalweg.prediction.crops import Crop
from thalweg.prediction.onnx_model import FORMAT, FORMAT_OF_SEVERAL, cropped
from thalweg.runs.photos import affordable_batch, evaluation_batches


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.data.segmented import Pixels
    from thalweg.runs import Run

    Answer = Callable[[NDArray[np.uint8]], NDArray[np.floating]]

CHECKED = 64  # real photos on which a file must agree with the run
TOLERANCE = 2e-3  # difference of a probability: the run may compute in another order


class Standalone(nn.Module):
    """A network from bytes to probabilities."""

    def __init__(self, model: nn.Module, run: Run) -> None:
        super().__init__()
        self.model, self.temperature, self.several = model, run.temperature, run.task.several
        mean, std = (torch.tensor(run.data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        self.scale, self.offset = 1 / (255 * std), mean / std

    def forward(self, images_NHWC: Tensor) -> Tensor:
        """Return probabilities (N, C) for bytes (N, size, size, 3)."""
        images_NCHW = images_NHWC.permute(0, 3, 1, 2).float() * self.scale - self.offset
        logits_NC = self.model(images_NCHW) / self.temperature
        return logits_NC.sigmoid() if self.several else logits_NC.softmax(dim=1)

    @classmethod
    def of(cls, run: Run) -> tuple[Standalone, Tensor]:
        """The network of a run, and an example of its input.

        Raises:
            RunError: the run has no weights.
        """
        model = run.load_network().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] - as elsewhere
        size = run.config.size
        return cls(model, run).eval(), torch.zeros(2, size, size, 3, dtype=torch.uint8)


def facts_of(run: Run) -> dict[str, object]:
    """What a file must know to prepare photos and to name classes, as JSON."""
    return {
        "format": FORMAT_OF_SEVERAL if run.task.several else FORMAT,
        "classes": list(run.classes),
        **({} if run.thresholds is None else {"thresholds": list(run.thresholds)}),
        "class_shares": run.data["class_shares"],
        "size": run.config.size,
        "stored": run.data["stored"],
        "resize": run.config.resize,
        "layout": run.data["layout"],
        **run.rendering.to_facts(),
        "model": run.config.model,
        "temperature": run.temperature,
        "thalweg": run.environment.get("thalweg", ""),
    }


def photos_to_check(run: Run, note: Callable[..., None] | None) -> NDArray[np.uint8]:
    """Photos of the validation split, decoded; if they cannot be used, noise, and a note says why."""
    try:
        cache = run.open_photos()
    except (DataError, RunError, UsageError) as error:
        if note is not None:
            note("prediction.exported_unseen", reason=error)
        shape = (affordable_batch(run.data["stored"], CHECKED), run.data["stored"], run.data["stored"], 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return np.ascontiguousarray(cache.images_NHWC[cache.rows("valid")[:CHECKED]])


def largest_difference(run: Run, answer: Answer, images_NHWC: Pixels) -> float:
    """Return the largest difference of a probability between the run and a file.

    Args:
        run: the run.
        answer: of the file: probabilities (N, C) for bytes (N, size, size, 3).
        images_NHWC: decoded photos.

    Raises:
        RunError: it is too large.
    """
    rows_N, stored, size = np.arange(len(images_NHWC)), images_NHWC.shape[1], run.config.size
    batches = evaluation_batches(images_NHWC, run.data, rows_N, size=size, batch_size=CHECKED)
    expected_NC = run.task.probabilities(logits_of(run.load_network(), batches).numpy(), run.temperature)
    whole, count = Crop((0, 0, stored, stored), flip=False), affordable_batch(size, CHECKED)
    parts = [rows_N[first : first + count] for first in range(0, len(rows_N), count)]
    found_NC = np.concatenate([answer(cropped(images_NHWC, rows, whole, size)) for rows in parts])
    difference = float(np.abs(found_NC - expected_NC).max())
    if not difference <= TOLERANCE:
        raise RunError("prediction.export_differs", run=run.path, difference=difference, most=TOLERANCE)
    return difference
