"""Prediction on new photos: probabilities, and the homework's submission.

The code of training decodes and prepares the photos, with the sizes, resizing and normalization that the run recorded,
so validation and prediction cannot differ.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.prediction.classifier import Classifier, load
    from thalweg.prediction.export import export_onnx, export_run
    from thalweg.prediction.int8 import quantize_onnx
    from thalweg.prediction.onnx_model import predict_onnx
    from thalweg.prediction.predictions import (
        Predictions,
        submission_notes,
        submission_text,
        write_submission,
    )
    from thalweg.prediction.predictor import predict
    from thalweg.prediction.sorting import sort_photos

_homes = {
    "Classifier": ".classifier",
    "Predictions": ".predictions",
    "export_onnx": ".export",
    "export_run": ".export",
    "load": ".classifier",
    "predict": ".predictor",
    "predict_onnx": ".onnx_model",
    "quantize_onnx": ".int8",
    "sort_photos": ".sorting",
    "submission_notes": ".predictions",
    "submission_text": ".predictions",
    "write_submission": ".predictions",
}

__all__ = [
    "Classifier",
    "Predictions",
    "export_onnx",
    "export_run",
    "load",
    "predict",
    "predict_onnx",
    "quantize_onnx",
    "sort_photos",
    "submission_notes",
    "submission_text",
    "write_submission",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)
