"""Prediction with an exported model, through onnxruntime instead of torch.

The file is self-contained: classes, thresholds, sizes and resizing are metadata; normalization, temperature, softmax or
sigmoid are in the graph.

Shape suffixes: N photos, H height, W width, C channels or classes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from thalweg.data import ImageSet, build_cache, open_photos
from thalweg.data.augmentation import Crops
from thalweg.data.cropping import crop_photos
from thalweg.data.rendering import Rendering
from thalweg.errors import MissingExtraError, RunError
from thalweg.prediction.crops import crop_weights, crops
from thalweg.prediction.ensemble import check_classes, thresholds_together, together
from thalweg.prediction.predictions import Predictions, in_order
from thalweg.runs import schema
from thalweg.runs.config import RESIZE_OF_FORMAT_1, Resize
from thalweg.runs.photos import affordable_batch


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from thalweg.data import BadImage, Cache
    from thalweg.data.segmented import Pixels
    from thalweg.data.sources import Note
    from thalweg.prediction.crops import Crop

FORMAT = 2
_FORMAT_OF_0_1 = 1  # it called resize fit
FORMAT_OF_SEVERAL = 3  # labels a photo: programs of before would take the most probable class for the answer
METADATA = "thalweg"
BATCH = 64

_SCHEMA = {
    "classes": schema.texts(fewest=2),
    "class_shares": schema.numbers(least=0.0),
    "thresholds": schema.numbers(least=0.0, required=False),
    "size": schema.whole(1, 4096),
    "stored": schema.whole(1, 8192),
    "resize": schema.one_of(*get_args(Resize)),
    **schema.RENDERING,
}


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An exported model, opened.

    Attributes:
        path: the file.
        facts: `classes`, `class_shares`, `thresholds` of several labels, `size` and `stored` in pixels, `resize`,
            `levels` and `ground`.
        session: onnxruntime's session.
    """

    path: Path
    facts: dict[str, Any]
    session: Any

    @classmethod
    def open(cls, path: Path) -> OnnxModel:
        """Open a file that `export_onnx` wrote.

        Raises:
            MissingExtraError: onnxruntime is not installed.
            RunError: the file is not ONNX, or this package did not export it.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("onnxruntime", "export") from error
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors: its warnings are about its own optimizations
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            raise RunError("prediction.no_onnx", path=path, reason=str(error).splitlines()[0]) from error
        facts = _facts(session.get_modelmeta().custom_metadata_map.get(METADATA, "{}"), path)
        _check_graph(session, facts, path)
        return cls(path, facts, session)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the columns."""
        return tuple(self.facts["classes"])

    @property
    def thresholds(self) -> tuple[float, ...] | None:
        """The probability from which on a photo is given each class; None: the most probable class is the answer."""
        return tuple(self.facts["thresholds"]) if "thresholds" in self.facts else None

    def probabilities(self, images_NHWC: Pixels, rows_N: NDArray[np.int64], crop: Crop) -> NDArray[np.float64]:
        """Return class probabilities (N, C) for one crop of each photo, holding one batch in memory at a time."""
        size = self.facts["size"]
        count = affordable_batch(size, BATCH)
        batches = (rows_N[start : start + count] for start in range(0, len(rows_N), count))
        parts = [self.answer(cropped(images_NHWC, rows, crop, size)) for rows in batches]
        return np.concatenate(parts).astype(np.float64)

    def answer(self, images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return class probabilities (N, C) for bytes (N, size, size, 3)."""
        return self.session.run(None, {self.session.get_inputs()[0].name: images_NHWC})[0]


def predict_onnx(
    models: Sequence[Path | str],
    photos: Path | str | Sequence[Path | str] | ImageSet,
    *,
    tta: int = 1,
    vote: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Classify photos with exported models; see `predict`. Torch is not imported.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        RunError: a file is not a model of this package, or the models have different classes.
        DataError: there are no photos, or none can be read.
        UsageError: `tta` is out of range.
    """
    opened = [OnnxModel.open(Path(path)) for path in models]
    thresholds = [model.thresholds for model in opened]
    check_classes([(model.path, model.classes, model.thresholds) for model in opened])
    for model in opened:
        crops(tta, model.facts["stored"])  # raises before any photo is decoded
    images = photos if isinstance(photos, ImageSet) else open_photos(photos)
    found: list[NDArray[np.float64]] = []
    bad: tuple[BadImage, ...] = ()
    notes: tuple[Note, ...] = images.notes
    for model in opened:
        cache = build_cache(
            images,
            size=model.facts["stored"],
            resize=model.facts["resize"],
            rendering=Rendering.from_facts(model.facts),
            progress=progress,
        )
        found.append(in_order(_probabilities(model, cache, tta), cache, images.photos, model.facts["class_shares"]))
        bad, notes = cache.bad, (*notes, *cache.notes)
    homework = all(model.facts.get("layout", "flat") == "flat" for model in opened)  # the rule of files of before
    joined_NC, common_C = together(found, vote=vote, thresholds=thresholds), thresholds_together(thresholds, vote=vote)
    return Predictions(images.photos, opened[0].classes, joined_NC, bad, notes, homework, common_C)


def _probabilities(model: OnnxModel, cache: Cache, tta: int) -> NDArray[np.float64]:
    """Return the weighted mean over the crops, aligned with the cache's photos."""
    rows_N = np.arange(len(cache.photos))
    total_NC = np.zeros((len(rows_N), len(model.classes)))
    for crop, weight in zip(crops(tta, cache.size), crop_weights(tta), strict=True):
        total_NC += weight * model.probabilities(cache.images_NHWC, rows_N, crop)
    return total_NC


def _facts(text: str, path: Path) -> dict[str, Any]:
    """Check the metadata and return it under the current names.

    Raises:
        RunError: the metadata is missing, foreign or damaged.
    """
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict) or facts.get("format") not in (FORMAT, _FORMAT_OF_0_1, FORMAT_OF_SEVERAL):
        raise RunError("prediction.foreign_onnx", path=path)
    if facts["format"] == _FORMAT_OF_0_1:
        facts["resize"] = RESIZE_OF_FORMAT_1.get(str(facts.get("fit")), facts.get("fit"))
    schema.checked(facts, _SCHEMA, path)
    lengths = {len(facts[name]) for name in ("classes", "class_shares", "thresholds") if name in facts}
    several = facts["format"] == FORMAT_OF_SEVERAL
    if len(lengths) > 1 or ("thresholds" in facts) != several or facts["size"] > facts["stored"]:
        raise RunError("prediction.foreign_onnx", path=path)
    return facts


def _check_graph(session: Any, facts: dict[str, Any], path: Path) -> None:
    """Refuse a graph that does not map bytes of photos to the probabilities of the classes.

    Raises:
        RunError: it has other inputs or outputs.
    """
    inputs, outputs = session.get_inputs(), session.get_outputs()
    size = facts["size"]
    right = (
        len(inputs) == len(outputs) == 1
        and inputs[0].type == "tensor(uint8)"
        and inputs[0].shape[1:] == [size, size, 3]
        and outputs[0].type == "tensor(float)"
        and outputs[0].shape[1:] == [len(facts["classes"])]
    )
    if not right:
        raise RunError("prediction.foreign_onnx", path=path)


def cropped(images_NHWC: Pixels, rows_N: NDArray[np.int64], crop: Crop, size: int) -> NDArray[np.uint8]:
    """Return the same crop of each photo, as bytes (N, size, size, 3)."""
    count = len(rows_N)
    boxes_N4 = np.tile(np.array(crop.box, dtype=np.int64), (count, 1))
    colors_N3, erased_N4 = np.ones((count, 3), np.float32), np.zeros((count, 4), np.int64)
    same = Crops(boxes_N4, np.full(count, crop.flip), colors_N3, erased_N4)
    return crop_photos(images_NHWC, rows_N, same, size)
