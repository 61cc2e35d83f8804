"""Export a run as one self-contained ONNX file.

Shape suffixes: N photos, H height, W width, C channels or classes.
"""

from __future__ import annotations

import json
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from thalweg._files import replacing
from thalweg.errors import DataError, MissingExtraError, RunError, UsageError
from thalweg.models import logits_of
from thalweg.prediction.crops import Crop
from thalweg.prediction.onnx_model import FORMAT, METADATA, OnnxModel
from thalweg.runs import softmax
from thalweg.runs.photos import affordable_batch, evaluation_batches


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.runs import Run

OPSET = 18
CHECKED = 64  # real photos on which the file must agree with the run
TOLERANCE = 2e-3  # difference of a probability: the run may compute in another order


class _Standalone(nn.Module):
    """A network from bytes to probabilities."""

    def __init__(self, model: nn.Module, run: Run) -> None:
        super().__init__()
        self.model, self.temperature = model, run.temperature
        mean, std = (torch.tensor(run.data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        self.scale, self.offset = 1 / (255 * std), mean / std

    def forward(self, images_NHWC: Tensor) -> Tensor:
        """Return probabilities (N, C) for bytes (N, size, size, 3)."""
        images_NCHW = images_NHWC.permute(0, 3, 1, 2).float() * self.scale - self.offset
        return (self.model(images_NCHW) / self.temperature).softmax(dim=1)


def export_onnx(run: Run, path: Path | str, *, note: Callable[..., None] | None = None) -> float:
    """Write a run's network as ONNX, atomically, after checking it against the run.

    The check uses the run's own photos; if they are gone or have changed, photos of noise take their place.

    The graph maps `images`, RGB bytes of shape (photos, size, size, 3), to `probabilities`, (photos, classes). The
    metadata entry `thalweg` is JSON: classes, sizes, and how a photo becomes square.

    Args:
        run: a run with weights.
        path: the file to write.
        note: called with (key, **values) of the catalogue if the run's photos cannot be used.

    Returns:
        The largest difference between two probabilities.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        RunError: the run has no weights, or the file disagrees with it.
        StorageError: the file cannot be written.
    """
    try:
        import onnx
        import onnxruntime  # type: ignore[import-not-found]  # noqa: F401 - asked for before the long work
        import onnxscript  # type: ignore[import-not-found]  # noqa: F401 - torch exports by it
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "export") from error
    model = run.load_network().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] - as elsewhere
    size = run.config.size
    example = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    with warnings.catch_warnings(), replacing(path) as temporary:
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            _Standalone(model, run).eval(),
            (example,),
            input_names=["images"],
            output_names=["probabilities"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("photos")},),
            verbose=False,
        )
        assert program is not None, "the dynamo exporter returns a program"  # noqa: S101 - for the type checker
        proto = program.model_proto
        onnx.helper.set_model_props(proto, {METADATA: json.dumps(_facts(run), ensure_ascii=False)})
        temporary.write_bytes(proto.SerializeToString())
        return _difference(run, temporary, _photos_to_check(run, note))


def _facts(run: Run) -> dict[str, object]:
    return {
        "format": FORMAT,
        "classes": list(run.classes),
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


def _photos_to_check(run: Run, note: Callable[..., None] | None) -> NDArray[np.uint8]:
    """Photos of the validation split, decoded; if they cannot be used, noise."""
    try:
        cache = run.open_photos()
    except (DataError, RunError, UsageError) as error:
        if note is not None:
            note("prediction.exported_unseen", reason=error)
        shape = (affordable_batch(run.data["stored"], CHECKED), run.data["stored"], run.data["stored"], 3)
        return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return np.ascontiguousarray(cache.images_NHWC[cache.rows("valid")[:CHECKED]])


def _difference(run: Run, path: Path, images_NHWC: NDArray[np.uint8]) -> float:
    """Return the largest difference between run and file on some photos.

    Raises:
        RunError: the difference is too large.
    """
    rows_N, stored = np.arange(len(images_NHWC)), images_NHWC.shape[1]
    batches = evaluation_batches(images_NHWC, run.data, rows_N, size=run.config.size, batch_size=CHECKED)
    expected_NC = softmax(logits_of(run.load_network(), batches).numpy(), run.temperature)
    whole = Crop((0, 0, stored, stored), flip=False)
    found_NC = OnnxModel.open(path).probabilities(images_NHWC, rows_N, whole)
    difference = float(np.abs(found_NC - expected_NC).max())
    if not difference <= TOLERANCE:
        raise RunError("prediction.export_differs", run=run.path, difference=difference, most=TOLERANCE)
    return difference
