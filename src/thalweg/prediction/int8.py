"""A quantized ONNX file: convolutions and matrix products in 8 bits, and what that costs and gains.

Scales come from photos of the training split. Weights keep 7 bits: processors without VNNI add two products of 8 bits
in 16, which overflows. Everything else stays in floats.

Shape suffixes: N photos, H height, W width, C channels or classes.

Source: Jacob et al. 2018, https://arxiv.org/abs/1712.05877; onnxruntime.quantization.
"""

from __future__ import annotations

import json
import platform
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg._files import replacing, write_text
from thalweg._quiet import errors_only
from thalweg.errors import RunError
from thalweg.prediction.crops import Crop
from thalweg.prediction.onnx_model import OnnxModel, cropped
from thalweg.prediction.standalone import CHECKED, largest_difference
from thalweg.runs.photos import affordable_batch


if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from thalweg.data import Cache
    from thalweg.runs import Run

_CALIBRATION: Final = 128  # photos
_BATCH: Final = 32
_QUANTIZED: Final = ("Conv", "Gemm", "MatMul")
_SECONDS: Final = 2.0  # of measuring
_FEWEST: Final = 5  # timings of each kind


@dataclass(frozen=True, slots=True)
class Measured:
    """One file on this machine.

    Attributes:
        accuracy: on the validation split; of several labels, mean average precision.
        photos_per_second: in batches of 32, best of several.
        milliseconds: of one photo alone, best of several.
        bytes: size of the file.
    """

    accuracy: float
    photos_per_second: float
    milliseconds: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A quantized file beside the one that it was made from.

    Attributes:
        path: the quantized file.
        floats: the file that it was made from.
        int8: the quantized file.
        photos: photos of the validation split.
        same: fraction of them that both files put into the same class, or give the same labels.
        calibrated_on: photos of the training split.
        processor: of this machine.
        onnxruntime: its version.
        several: whether photos have several labels, so that `accuracy` is mean average precision.
    """

    path: str
    floats: Measured
    int8: Measured
    photos: int
    same: float
    calibrated_on: int
    processor: str
    onnxruntime: str
    several: bool = False


def quantize_onnx(run: Run, onnx: Path | str) -> Comparison:
    """Write `NAME.int8.onnx` beside an exported file, and `NAME.int8.json` with what was measured.

    Args:
        run: the run that the file was exported from, with its photos.
        onnx: the file.

    Raises:
        DataError: the photos are gone.
        MissingExtraError: onnxruntime is not installed.
        RunError: the photos have changed, or the file is not an exported one, or another run's.
        StorageError: a file cannot be written.
    """
    onnx = Path(onnx)
    plain = OnnxModel.open(onnx)
    cache = run.open_photos()
    _check_origin(plain, run, cache)
    path = onnx.with_suffix(".int8.onnx")
    rows_N = cache.rows("train")
    rows_N = rows_N[np.linspace(0, len(rows_N) - 1, min(_CALIBRATION, len(rows_N))).astype(int)]
    with replacing(path) as temporary:
        _write(onnx, temporary, list(_batches(run, cache, rows_N)))
        small = OnnxModel.open(temporary)
        valid_N, labels = cache.rows("valid"), cache.labels("valid")
        answers = [_answers(model, run, cache, valid_N) for model in (plain, small)]
        times = _times((plain, small), next(_batches(run, cache, valid_N)))
        measured = [
            Measured(_score(run, found_NC, labels), *timed, bytes=file.stat().st_size)
            for found_NC, timed, file in zip(answers, times, (onnx, temporary), strict=True)
        ]
    import onnxruntime

    first_NC, second_NC = (run.task.decided(found_NC, run.thresholds) for found_NC in answers)
    found = Comparison(
        str(path),
        *measured,
        photos=len(valid_N),
        same=float((first_NC == second_NC).all(axis=1).mean()),
        calibrated_on=len(rows_N),
        processor=_processor(),
        onnxruntime=onnxruntime.__version__,
        several=run.task.several,
    )
    write_text(path.with_suffix(".json"), json.dumps(asdict(found), indent=2) + "\n")
    return found


def _check_origin(model: OnnxModel, run: Run, cache: Cache) -> None:
    """Refuse the file of another run, or of this one before it was resumed.

    Raises:
        RunError: it is such a file.
    """
    foreign = RunError("prediction.other_run", path=model.path, run=run.path)
    if model.facts["size"] != run.config.size or model.classes != tuple(run.classes):
        raise foreign
    try:
        images_NHWC = np.ascontiguousarray(cache.images_NHWC[cache.rows("valid")[:CHECKED]])
        largest_difference(run, model.answer, images_NHWC)
    except RunError as error:
        raise (foreign if error.key == "prediction.export_differs" else error) from error


def _write(source: Path, out: Path, batches: list[NDArray[np.uint8]]) -> None:
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
        shape_inference,
    )

    class Reader(CalibrationDataReader):
        """Gives the batches, one after another."""

        def __init__(self) -> None:
            self._left = iter(batches)

        def get_next(self) -> Any:
            batch = next(self._left, None)
            return None if batch is None else {"images": batch}

    # it advises to prepare the file, after that was done
    with errors_only(), tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(out),
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_QUANTIZED),
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def _batches(run: Run, cache: Cache, rows_N: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    size, whole = run.config.size, Crop((0, 0, cache.size, cache.size), flip=False)
    count = affordable_batch(size, _BATCH)
    for first in range(0, len(rows_N), count):
        yield cropped(cache.images_NHWC, rows_N[first : first + count], whole, size)


def _answers(model: OnnxModel, run: Run, cache: Cache, rows_N: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.concatenate([model.answer(images) for images in _batches(run, cache, rows_N)])


def _score(run: Run, probability_NC: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Accuracy, or mean average precision of several labels."""
    scores = run.task.scores(probability_NC, labels, run.thresholds)
    return scores.get("mean_average_precision", scores["accuracy"])


def _times(models: tuple[OnnxModel, ...], images_NHWC: NDArray[np.uint8]) -> list[tuple[float, float]]:
    """Photos per second of a batch, and milliseconds of one photo, for each model; the models take turns."""
    best = [[float("inf"), float("inf")] for _ in models]
    began, rounds = time.monotonic(), 0
    while rounds < _FEWEST or time.monotonic() - began < _SECONDS:
        for model, times in zip(models, best, strict=True):
            for kind, batch in enumerate((images_NHWC, images_NHWC[:1])):
                start = time.perf_counter()
                model.answer(batch)
                times[kind] = min(times[kind], time.perf_counter() - start)
        rounds += 1
    return [(len(images_NHWC) / batch, 1e3 * one) for batch, one in best]


def _processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
