"""The trained network on new photos: probabilities, and the homework's submission.

Photos are decoded and shown to the network by the very code that training used, with the sizes, the fit and the
normalization that the run wrote down, so that validation and prediction cannot differ.
"""

from thalweg._lazy import lazy_names


_homes = {
    "Predictions": ".predictor",
    "predict": ".predictor",
    "submission_text": ".submission",
    "write_submission": ".submission",
}

__all__ = sorted(_homes)  # noqa: PLE0605 - computed, so that it cannot differ from what loads

__getattr__, __dir__ = lazy_names(__name__, _homes)
