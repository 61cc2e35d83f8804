"""Prediction on new photos: probabilities, and the homework's submission.

The code of training decodes and prepares the photos, with the sizes, resizing and normalization that the run recorded,
so validation and prediction cannot differ.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.prediction.export import export_onnx
    from thalweg.prediction.onnx_model import predict_onnx
    from thalweg.prediction.predictions import (
        Predictions,
        submission_notes,
        submission_text,
        write_submission,
    )
    from thalweg.prediction.predictor import predict

_homes = {
    "Predictions": ".predictions",
    "export_onnx": ".export",
    "predict": ".predictor",
    "predict_onnx": ".onnx_model",
    "submission_notes": ".predictions",
    "submission_text": ".predictions",
    "write_submission": ".predictions",
}

__all__ = [
    "Predictions",
    "export_onnx",
    "predict",
    "predict_onnx",
    "submission_notes",
    "submission_text",
    "write_submission",
]

__getattr__, __dir__ = lazy_names(__name__, _homes)
