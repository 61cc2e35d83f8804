"""What a network answers on a split of one label a photo, and where the logits of all photos are too large to keep.

Up to 200 MB, a run keeps the logits of its validation split; above, the ten most probable classes of each photo, the
rank of its class, and what the pictures need. Both are read here, so that nothing else has to know which it is.

Shape suffixes: N photos, R some of them, C classes, K classes that are kept.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg._files import unnamed_file
from thalweg.runs.probabilities import blocks, most_probable, ranks, softmax


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from numpy.typing import DTypeLike, NDArray

LARGEST: Final = 200_000_000  # bytes of an array that is kept, or held in memory, whole
KEPT: Final = 10  # classes of each photo


class Answers:
    """The answer for each photo, read from the arrays of an evaluation, with logits or without.

    Args:
        arrays: from `Run.outputs`.
        classes: C.
        temperature: of the run; without logits, the one that it had when they were written.

    Attributes:
        labels_N: the true classes.
        classes: C.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], classes: int, temperature: float = 1.0) -> None:
        self._arrays, self._logits_NC, self._temperature = arrays, arrays.get("logits"), temperature
        self.labels_N, self.classes = arrays["labels"], classes

    @cached_property
    def predicted_N(self) -> NDArray[np.int64]:  # noqa: N802 - shape suffix
        """The most probable classes."""
        return self._arrays["top_classes"][:, 0] if self._logits_NC is None else self._logits_NC.argmax(axis=1)

    @cached_property
    def plain_N(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """The probability of the predicted class that the network itself gives, in [0, 1]."""
        return self._arrays["plain"] if self._logits_NC is None else most_probable(self._logits_NC)[1]

    @cached_property
    def probability_N(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """The same with the temperature."""
        if self._logits_NC is None:
            return self._arrays["top_probabilities"][:, 0]
        return most_probable(self._logits_NC, self._temperature)[1]

    @cached_property
    def rank_N(self) -> NDArray[np.int64]:  # noqa: N802 - shape suffix
        """The rank of the true class, 0 for the most probable."""
        return self._arrays["rank"] if self._logits_NC is None else ranks(self._logits_NC, self.labels_N)

    @property
    def right_N(self) -> NDArray[np.bool_]:  # noqa: N802 - shape suffix
        """Which photos are classified correctly."""
        return self.predicted_N == self.labels_N


def without_logits(
    logits_NC: NDArray[np.floating], labels_N: NDArray[np.integer], temperature: float
) -> dict[str, NDArray[Any]]:
    """What is kept of logits that are too large: `top_classes` and `top_probabilities` (N, K), `plain` and `rank` (N).

    Example:
        >>> found = without_logits(np.log([[0.1, 0.2, 0.7]]), np.array([1]), 1.0)
        >>> found["top_classes"].tolist(), found["rank"].tolist()
        ([[2, 1, 0]], [1])
    """
    count, kept = len(logits_NC), min(KEPT, logits_NC.shape[1])
    top_NK, probability_NK = np.empty((count, kept), dtype=np.int64), np.empty((count, kept))
    for some in blocks(logits_NC):
        top_RK = most(logits_NC[some], kept)
        top_NK[some] = top_RK
        probability_NK[some] = np.take_along_axis(softmax(logits_NC[some], temperature), top_RK, axis=1)
    return {
        "top_classes": top_NK,
        "top_probabilities": probability_NK,
        "plain": most_probable(logits_NC)[1],
        "rank": ranks(logits_NC, labels_N),
    }


def most(logits_RC: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """The classes with the largest logits of each photo, from the largest down; of equal ones, the first comes first.

    Example:
        >>> most(np.array([[0.0, 2.0, 1.0, 2.0]]), 3).tolist()
        [[1, 3, 2]]
    """
    least_R1 = -np.partition(-logits_RC, count - 1, axis=1)[:, count - 1 : count]
    row_M, class_M = np.nonzero(logits_RC >= least_R1)  # more than `count` of a photo if some are equal
    order_M = np.lexsort((class_M, -logits_RC[row_M, class_M], row_M))
    place_M = np.arange(len(row_M)) - np.searchsorted(row_M, row_M)
    return class_M[order_M][place_M < count].reshape(len(logits_RC), count)


def large_array(shape: tuple[int, ...], dtype: DTypeLike, folder: Path, *, bound: int | None = None) -> NDArray[Any]:
    """An array to fill: in memory, or above a bound in a file without a name, which ends with the array.

    Args:
        shape: of the array.
        dtype: of its values.
        folder: where the file is; the system's folder for temporary files if nothing can be written there.
        bound: bytes in memory, at most; None: 200 MB.

    Raises:
        StorageError: the disk is full.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if size <= (LARGEST if bound is None else bound):
        return np.empty(shape, dtype=dtype)
    with unnamed_file(folder, size) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def filled(array_NC: NDArray[Any], parts: Iterable[NDArray[Any]]) -> NDArray[Any]:
    """Write parts into the rows of an array, one after the other, and return it.

    Example:
        >>> filled(np.empty((3, 1)), (np.full((rows, 1), rows) for rows in (1, 2))).ravel().tolist()
        [1.0, 2.0, 2.0]
    """
    done = 0
    for part_RC in parts:
        array_NC[done : done + len(part_RC)] = part_RC
        done += len(part_RC)
    return array_NC
