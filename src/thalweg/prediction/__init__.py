"""The trained network on new photos: probabilities, and the homework's submission.

Photos are decoded and shown to the network by the very code that training used, with the sizes, the resize and the
normalization that the run wrote down, so that validation and prediction cannot differ.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.prediction.export import export_onnx
    from thalweg.prediction.onnx_model import predict_onnx
    from thalweg.prediction.predictions import Predictions
    from thalweg.prediction.predictor import predict
    from thalweg.prediction.submission import submission_text, write_submission

_homes = {
    "Predictions": ".predictions",
    "export_onnx": ".export",
    "predict": ".predictor",
    "predict_onnx": ".onnx_model",
    "submission_text": ".submission",
    "write_submission": ".submission",
}

__all__ = ["Predictions", "export_onnx", "predict", "predict_onnx", "submission_text", "write_submission"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
