"""The trained network on new photos: probabilities, and the homework's submission.

Photos are decoded and shown to the network by the very code that training used, with the sizes, the fit and the
normalization that the run wrote down, so that validation and prediction cannot differ.
"""

from typing import TYPE_CHECKING

from thalweg._lazy import lazy_names


if TYPE_CHECKING:
    from thalweg.prediction.predictor import Predictions, predict
    from thalweg.prediction.submission import submission_text, write_submission

_homes = {
    "Predictions": ".predictor",
    "predict": ".predictor",
    "submission_text": ".submission",
    "write_submission": ".submission",
}

__all__ = ["Predictions", "predict", "submission_text", "write_submission"]

__getattr__, __dir__ = lazy_names(__name__, _homes)
