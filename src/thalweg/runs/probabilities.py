"""From logits to probabilities, with temperature, for run, page, report and prediction: one softmax, one sigmoid.

Shape suffixes: N photos, R some of them, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

COLDEST: Final = 0.05
HOTTEST: Final = 20.0
_CLOSE: Final = 1e-13  # of the root
_VALUES: Final = 4_000_000  # in memory at a time


def softmax(logits_NC: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """`softmax(logits / temperature)`, of shape (N, C).

    Example:
        >>> softmax(np.array([[0.0, 0.0]])).tolist()
        [[0.5, 0.5]]
    """
    powers_NC = np.asarray(logits_NC, dtype=np.float64) / temperature
    powers_NC -= powers_NC.max(axis=1, keepdims=True)  # in place: of many classes, each copy takes hundreds of MB
    np.exp(powers_NC, out=powers_NC)
    powers_NC /= powers_NC.sum(axis=1, keepdims=True)
    return powers_NC


def most_probable(
    logits_NC: NDArray[np.floating], temperature: float = 1.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The most probable class of each photo and its probability, without the probabilities of all photos in memory.

    Example:
        >>> predicted, probability = most_probable(np.log([[0.25, 0.75], [0.8, 0.2]]))
        >>> predicted.tolist(), probability.round(6).tolist()
        ([1, 0], [0.75, 0.8])
    """
    predicted_N, probability_N = np.empty(len(logits_NC), dtype=np.int64), np.empty(len(logits_NC))
    for some in blocks(logits_NC):
        part_RC = softmax(logits_NC[some], temperature)
        predicted_N[some] = part_RC.argmax(axis=1)
        probability_N[some] = part_RC.max(axis=1)
    return predicted_N, probability_N


def ranks(logits_NC: NDArray[np.floating], labels_N: NDArray[np.integer]) -> NDArray[np.int64]:
    """The rank of each photo's class, (N,): 0 for the largest logit; of equal ones, the first class comes first.

    A logit that is not a number is above all others, so that no photo counts as right by it.

    Example:
        >>> ranks(np.array([[0.0, 2.0, 1.0], [1.0, 1.0, 0.0]]), np.array([2, 1])).tolist()
        [1, 1]
    """
    rank_N = np.empty(len(logits_NC), dtype=np.int64)
    for some in blocks(logits_NC):
        part_RC, labels_R1 = logits_NC[some], labels_N[some, None]
        own_R1 = np.take_along_axis(part_RC, labels_R1, axis=1)
        before_RC = (part_RC == own_R1) & (np.arange(part_RC.shape[1]) < labels_R1)
        rank_N[some] = np.count_nonzero(~(part_RC <= own_R1) | before_RC, axis=1)
    return rank_N


def blocks(values_NC: NDArray[Any]) -> Iterator[slice]:
    """Rows that are worked on at a time: of many classes, a copy of all rows takes hundreds of MB."""
    rows = max(1, _VALUES // values_NC.shape[1])
    return (slice(start, start + rows) for start in range(0, len(values_NC), rows))


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

    The cross-entropy is convex in `1/T`, and its slope is `mean over n of (Σ_c p_nc·z_nc - z_n,label)`; Brent's method
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
    wanted = logits_NC[np.arange(len(labels_N)), labels_N].mean(dtype=np.float64)
    return _root(lambda temperature: _mean_logit(logits_NC, temperature) - wanted)


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
    return _root(lambda temperature: float((sigmoid(logits_NC, temperature) * logits_NC).mean() - wanted))


def _root(slope_at: Callable[[float], float]) -> float:
    """The temperature at which a slope in `1/T`, which grows with it, is zero."""
    from scipy.optimize import root_scalar  # scikit-learn brings scipy

    def slope(inverse: float) -> float:
        return slope_at(1 / inverse)

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return 1 / float(root_scalar(slope, bracket=(low, high), method="brentq", xtol=_CLOSE, rtol=_CLOSE).root)


def _mean_logit(logits_NC: NDArray[np.floating], temperature: float) -> float:
    """The mean over photos of the expected logit, `Σ_c p_nc·z_nc`."""
    parts = (logits_NC[some] for some in blocks(logits_NC))
    return sum(float(np.vdot(softmax(part_RC, temperature), part_RC)) for part_RC in parts) / len(logits_NC)
