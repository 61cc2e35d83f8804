"""From logits to probabilities, with temperature, for run, page, report and prediction: one softmax, one sigmoid.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

COLDEST: Final = 0.05
HOTTEST: Final = 20.0
_BISECTIONS: Final = 60


def softmax(logits_NC: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """`softmax(logits / temperature)`, of shape (N, C).

    Example:
        >>> softmax(np.array([[0.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """
    scaled_NC = np.asarray(logits_NC, dtype=np.float64) / temperature
    powers_NC = np.exp(scaled_NC - scaled_NC.max(axis=1, keepdims=True))
    return powers_NC / powers_NC.sum(axis=1, keepdims=True)


def sigmoid(logits_NC: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """`1 / (1 + exp(-logits / temperature))`, of shape (N, C).

    Example:
        >>> sigmoid(np.array([[0.0, 1000.0]])).tolist()
        [[0.5, 1.0]]
    """
    scaled_NC = np.asarray(logits_NC, dtype=np.float64) / temperature
    return 0.5 * (1 + np.tanh(scaled_NC / 2))


def fitted_temperature(logits_NC: NDArray[np.floating], labels_N: NDArray[np.integer]) -> float:
    """Fit the temperature `T` in [0.05, 20] that minimizes the mean cross-entropy of `softmax(logits / T)`.

    The cross-entropy is convex in `1/T`, and its slope is `mean over n of (Σ_c p_nc·z_nc - z_n,label)`; bisection
    finds the root. A single temperature changes no prediction, so accuracy stays the same.

    Args:
        logits_NC: the network's outputs on photos outside the training split.
        labels_N: their classes.

    Example:
        >>> logits = np.log([[0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2], [0.8, 0.2]])
        >>> round(fitted_temperature(2 * logits, np.array([0, 0, 0, 0, 1])), 3)  # overconfident by a factor of two
        2.0

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    logits_NC = np.asarray(logits_NC, dtype=np.float64)
    wanted = logits_NC[np.arange(len(labels_N)), labels_N].mean()
    return _root(lambda warmth: (softmax(logits_NC, warmth) * logits_NC).sum(axis=1).mean() - wanted)


def fitted_temperature_of_sigmoid(logits_NC: NDArray[np.floating], labels_NC: NDArray[np.integer]) -> float:
    """Fit the temperature `T` in [0.05, 20] that minimizes the mean binary cross-entropy of `sigmoid(logits / T)`.

    As for the softmax, it is convex in `1/T`; its slope is `mean over n and c of (p_nc - t_nc)·z_nc`.

    Args:
        logits_NC: the network's outputs on photos outside the training split.
        labels_NC: 1 for each class of a photo, 0 for the others.

    Example:
        >>> logits = np.log([[4.0], [4.0], [4.0], [4.0], [4.0]])  # a probability of 0.8, which is right
        >>> round(fitted_temperature_of_sigmoid(2 * logits, np.array([[1], [1], [1], [1], [0]])), 3)
        2.0
    """
    logits_NC = np.asarray(logits_NC, dtype=np.float64)
    wanted = (labels_NC * logits_NC).mean()
    return _root(lambda warmth: (sigmoid(logits_NC, warmth) * logits_NC).mean() - wanted)


def _root(slope_at: Callable[[float], float]) -> float:
    """The temperature at which a slope in `1/T`, which grows with it, is zero."""
    low, high = 1 / HOTTEST, 1 / COLDEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if slope_at(1 / middle) > 0 else (middle, high)
    return 2 / (low + high)
