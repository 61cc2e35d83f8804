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

TIE_BREAK = 1e-3  # weight of the mean probability beside whole votes: it breaks ties and decides nothing else


def check_classes(runs: Sequence[tuple[Path, tuple[str, ...]]]) -> None:
    """Refuse runs with different classes, or the same classes in another order.

    Raises:
        RunError: names the run, and the classes that only one of them has.
    """
    first, classes = runs[0]
    for other, theirs in runs[1:]:
        if theirs != classes:
            different = sorted(set(classes) ^ set(theirs)) or list(theirs)
            raise RunError("prediction.other_classes", first=first, other=other, names=", ".join(different[:3]))


def together(found: Sequence[NDArray[np.float64]], *, vote: bool = False) -> NDArray[np.float64]:
    """The probabilities of all runs combined: their mean, or the fractions of their votes.

    Args:
        found: of each run, (N, C).
        vote: count the most probable classes instead.

    Returns:
        (N, C), whose rows add up to 1.

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
