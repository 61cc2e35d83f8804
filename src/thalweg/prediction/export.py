"""Export a run as one self-contained file: ONNX, TorchScript, or torch's exported program; or as OpenVINO's two."""

from __future__ import annotations

import json
import shutil
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from thalweg._files import replacing
from thalweg._quiet import errors_only
from thalweg.errors import MissingExtraError, UsageError
from thalweg.prediction.onnx_model import METADATA, OnnxModel
from thalweg.prediction.standalone import Standalone, facts_of, largest_difference, photos_to_check


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from thalweg.runs import Run

OPSET = 18
_ENDINGS: Final = {"onnx": ".onnx", "torchscript": ".pt", "pt2": ".pt2", "openvino": ".xml"}


def export_run(run: Run, kind: str, path: Path | str, *, note: Callable[..., None] | None = None) -> float:
    """Write a run's network as a file of a kind, after checking it against the run.

    Args:
        run: a run with weights.
        kind: `onnx`, `torchscript`, `pt2` (torch.export) or `openvino`.
        path: the file to write; its ending is that of the kind, and OpenVINO writes a second one, `.bin`, beside it.
        note: as for `export_onnx`.

    Returns:
        The largest difference between two probabilities.

    Raises:
        UsageError: the file has another ending.
        MissingExtraError: a library is not installed.
        RunError: the run has no weights, or the file disagrees with it.
        StorageError: the file cannot be written.
    """
    path, ending = Path(path), _ENDINGS[kind]
    if path.suffix.lower() != ending and kind != "onnx":
        raise UsageError("prediction.export_ending", path=path, ending=ending)
    return _EXPORTS[kind](run, path, note=note)


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
    network, example = Standalone.of(run)
    with warnings.catch_warnings(), errors_only("torch.onnx"), replacing(path) as temporary:
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["images"],
            output_names=["probabilities"],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes=_any_number(),
            verbose=False,
        )
        assert program is not None, "the dynamo exporter returns a program"  # noqa: S101 - for the type checker
        proto = program.model_proto
        onnx.helper.set_model_props(proto, {METADATA: json.dumps(facts_of(run), ensure_ascii=False)})
        temporary.write_bytes(proto.SerializeToString())
        return largest_difference(run, OnnxModel.open(temporary).answer, photos_to_check(run, note))


def _export_torchscript(run: Run, path: Path, *, note: Callable[..., None] | None) -> float:
    network, example = Standalone.of(run)
    with replacing(path) as temporary:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Converting a tensor")  # sides become constants: the file has one size
            traced: Any = torch.jit.trace(network, example)
        torch.jit.save(traced, temporary, _extra_files={f"{METADATA}.json": json.dumps(facts_of(run))})
        loaded = torch.jit.load(temporary)
        return largest_difference(run, _answer_of(loaded), photos_to_check(run, note))


def _export_pt2(run: Run, path: Path, *, note: Callable[..., None] | None) -> float:
    network, example = Standalone.of(run)
    with tempfile.TemporaryDirectory() as folder, replacing(path) as temporary:
        program = torch.export.export(network, (example,), dynamic_shapes=_any_number())
        written = Path(folder) / "program.pt2"  # torch asks for the ending
        torch.export.save(program, written, extra_files={f"{METADATA}.json": json.dumps(facts_of(run))})
        difference = largest_difference(run, _answer_of(program.module()), photos_to_check(run, note))
        shutil.copyfile(written, temporary)
    return difference


def _export_openvino(run: Run, path: Path, *, note: Callable[..., None] | None) -> float:
    """Through ONNX: OpenVINO reads that itself, and asks nobody."""
    try:
        openvino: Any = import_module("openvino")
    except ImportError as error:
        raise MissingExtraError("openvino", "openvino") from error
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(run, Path(folder) / "model.onnx", note=note)
        core = openvino.Core()
        model = core.read_model(Path(folder) / "model.onnx")
        model.set_rt_info(json.dumps(facts_of(run)), METADATA)
        written = Path(folder) / "model.xml"
        openvino.save_model(model, written, compress_to_fp16=False)
        compiled = core.compile_model(written, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        difference = largest_difference(run, lambda images: compiled(images)[0], photos_to_check(run, None))
        for ending in (".bin", ".xml"):  # the one that refers to the other comes last
            with replacing(path.with_suffix(ending)) as temporary:
                shutil.copyfile(written.with_suffix(ending), temporary)
    return difference


def _any_number() -> Any:
    return ({0: torch.export.Dim("photos")},)


def _answer_of(module: Any) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    def answer(images_NHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return module(torch.from_numpy(np.ascontiguousarray(images_NHWC))).numpy()

    return answer


_EXPORTS: Final[dict[str, Callable[..., float]]] = {
    "onnx": export_onnx,
    "torchscript": _export_torchscript,
    "pt2": _export_pt2,
    "openvino": _export_openvino,
}
