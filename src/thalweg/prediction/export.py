"""A run as one ONNX file, with all that is needed to use it elsewhere.

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
from thalweg.data import build_cache
from thalweg.data.augmenters import HostAugmenter
from thalweg.data.batches import plain_batches
from thalweg.errors import MissingExtraError, RunError
from thalweg.prediction.onnx_model import FORMAT, METADATA, OnnxModel
from thalweg.prediction.predictor import best_model
from thalweg.prediction.views import View
from thalweg.training.calibration import probabilities
from thalweg.training.evaluation import logits_of
from thalweg.training.preparation import opened


if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from thalweg.training import Run

OPSET = 18
CHECKED = 64  # real photos on which the file must say what the run says
TOLERANCE = 2e-3  # of a probability: the run may compute in another order


class _Standalone(nn.Module):
    """From bytes to probabilities."""

    def __init__(self, model: nn.Module, run: Run) -> None:
        super().__init__()
        self.model, self.temperature = model, run.temperature
        mean, std = (torch.tensor(run.data[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
        self.scale, self.offset = 1 / (255 * std), mean / std

    def forward(self, images_NHWC: Tensor) -> Tensor:
        """Probabilities (N, C) of bytes (N, size, size, 3)."""
        images_NCHW = images_NHWC.permute(0, 3, 1, 2).float() * self.scale - self.offset
        return (self.model(images_NCHW) / self.temperature).softmax(dim=1)


def export_onnx(run: Run, path: Path) -> float:
    """Write a run's network as ONNX, whole or not at all, and compare it with the run on the run's own photos.

    The graph takes `images`, bytes of shape (photos, size, size, 3), RGB, and gives `probabilities`, (photos,
    classes). The metadata `thalweg` is JSON: classes, sizes, and how a photo becomes a square.

    Args:
        run: with weights.
        path: the file.

    Returns:
        The largest difference of a probability.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime is not installed.
        RunError: the run has no weights, or the file does not say what the run says.
        DataError: its photos are no longer there.
        StorageError: the file cannot be written.
    """
    try:
        import onnx
        import onnxruntime  # type: ignore[import-not-found]  # noqa: F401 - asked for before the long work
        import onnxscript  # type: ignore[import-not-found]  # noqa: F401 - torch exports by it
    except ImportError as error:
        raise MissingExtraError(error.name or "onnx", "export") from error
    model = best_model(run).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload] - as elsewhere
    size = run.config.sizes[-1]
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
        assert program is not None, "the exporter by dynamo gives a program"  # noqa: S101 - for the type checker
        proto = program.model_proto
        onnx.helper.set_model_props(proto, {METADATA: json.dumps(_facts(run), ensure_ascii=False)})
        temporary.write_bytes(proto.SerializeToString())
        return _difference(run, temporary)


def _facts(run: Run) -> dict[str, object]:
    return {
        "format": FORMAT,
        "classes": list(run.classes),
        "class_shares": run.data["class_shares"],
        "size": run.config.sizes[-1],
        "stored": run.data["stored"],
        "resize": run.config.resize,
        "model": run.config.model,
        "temperature": run.temperature,
        "thalweg": run.environment.get("thalweg", ""),
    }


def _difference(run: Run, path: Path) -> float:
    """The largest difference between run and file on photos of the validation split.

    Raises:
        RunError: it is too large.
    """
    cache = build_cache(opened(run.data["path"], run.config), size=run.data["stored"], resize=run.config.resize)
    rows, size = cache.rows("valid")[:CHECKED], run.config.sizes[-1]
    augmenter = HostAugmenter(cache.images_NHWC, run.data["mean"], run.data["std"])
    (images_NCHW,) = plain_batches(augmenter, rows, size=size, batch_size=CHECKED)
    expected_NC = probabilities(logits_of(best_model(run), [images_NCHW]).numpy(), run.temperature)
    whole = View((0, 0, cache.size, cache.size), flip=False)
    found_NC = OnnxModel.open(path).probabilities(cache, rows, whole)
    difference = float(np.abs(found_NC - expected_NC).max())
    if not difference <= TOLERANCE:
        raise RunError("prediction.export_differs", run=run.path, difference=difference, most=TOLERANCE)
    return difference
