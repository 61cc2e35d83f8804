"""Softmax, for lessons about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def softmax(logits_NC: ArrayLike) -> NDArray[np.float64]:
    """exp(y_c) / Σ exp(y) over the last axis, each row shifted by its highest, so that nothing overflows.

    Example:
        >>> softmax([3.0, 1.0, -3.0]).round(2).tolist()
        [0.88, 0.12, 0.0]
    """
    logits_NC = np.asarray(logits_NC, dtype=np.float64)
    powers_NC = np.exp(logits_NC - logits_NC.max(axis=-1, keepdims=True))
    return powers_NC / powers_NC.sum(axis=-1, keepdims=True)
