"""Several runs that predict together.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import RunError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TIE_BREAK = 1e-3  # weight of the mean probability relative to a vote: it breaks ties and decides nothing else


def check_classes(runs: Sequence[tuple[Path, tuple[str, ...]]]) -> None:
    """Reject runs with different classes, or the same classes in another order.

    Raises:
        RunError: the classes differ; the message names the run and the classes that only one of them has.
    """
    first, classes = runs[0]
    for other, theirs in runs[1:]:
        if theirs != classes:
            different = sorted(set(classes) ^ set(theirs)) or list(theirs)
            raise RunError("prediction.other_classes", first=first, other=other, names=", ".join(different[:3]))


def together(found: Sequence[NDArray[np.float64]], *, vote: bool = False) -> NDArray[np.float64]:
    """Combine the probabilities of all runs: their mean, or the fractions of their votes.

    Args:
        found: probabilities of each run, (N, C).
        vote: count the most probable class of each run instead.

    Returns:
        (N, C); each row sums to 1.

    Example:
        >>> sure, unsure = np.array([[0.9, 0.1]]), np.array([[0.4, 0.6]])
        >>> together([sure, unsure, unsure]).round(2).tolist()
        [[0.57, 0.43]]
        >>> together([sure, unsure, unsure], vote=True).round(2).tolist()
        [[0.33, 0.67]]
    """
    mean_NC = np.mean(found, axis=0)
    if not vote or len(found) == 1:
        return mean_NC
    classes = mean_NC.shape[1]
    votes_NC = np.mean([np.eye(classes)[one_NC.argmax(axis=1)] for one_NC in found], axis=0)
    return (votes_NC + TIE_BREAK * mean_NC) / (1 + TIE_BREAK)
