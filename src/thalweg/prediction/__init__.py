"""The trained network on new photos: probabilities, and the homework's submission.

Photos are decoded and prepared by the same code as in training, with the sizes, the resizing and the normalization
that the run recorded, so that validation and prediction cannot differ.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.prediction.export import export_onnx
    from thalweg.prediction.onnx_model import predict_onnx
    from thalweg.prediction.predictions import Predictions, submission_text, write_submission
    from thalweg.prediction.predictor import predict

_homes = {
    "Predictions": ".predictions",
    "export_onnx": ".export",
    "predict": ".predictor",
    "predict_onnx": ".onnx_model",
    "submission_text": ".predictions",
    "write_submission": ".predictions",
}

__all__ = ["Predictions", "export_onnx", "predict", "predict_onnx", "submission_text", "write_submission"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
