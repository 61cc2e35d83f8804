"""Several runs that predict together.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import RunError
from thalweg.runs.tasks import ONE, SEVERAL


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

TIE_BREAK = 1e-3  # weight of the mean probability relative to a vote: it breaks ties and decides nothing else


def check_classes(runs: Sequence[tuple[Path, tuple[str, ...], tuple[float, ...] | None]]) -> None:
    """Reject runs with different classes, with the same classes in another order, or of one label and of several.

    Args:
        runs: path, classes and thresholds of each.

    Raises:
        RunError: they differ; the message names the run, and the classes that only one of them has.
    """
    first, classes, thresholds_C = runs[0]
    for other, theirs, others_C in runs[1:]:
        if (others_C is None) != (thresholds_C is None):
            raise RunError("prediction.other_labels", first=first, other=other)
        if theirs != classes:
            different = sorted(set(classes) ^ set(theirs)) or list(theirs)
            raise RunError("prediction.other_classes", first=first, other=other, names=", ".join(different[:3]))


def together(
    found: Sequence[NDArray[np.float64]],
    *,
    vote: bool = False,
    thresholds: Sequence[tuple[float, ...] | None] = (None,),
) -> NDArray[np.float64]:
    """Combine the probabilities of all runs: their mean, or the fractions of their votes.

    Args:
        found: probabilities of each run, (N, C).
        vote: count what each run gives a photo instead: its most probable class, or the classes that reach their
            thresholds.
        thresholds: of each run.

    Returns:
        (N, C); each row sums to 1, if a photo has one label.

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
    task = ONE if thresholds[0] is None else SEVERAL
    each = thresholds if task.several else [None] * len(found)
    votes_NC = np.mean([task.decided(one_NC, own_C) for one_NC, own_C in zip(found, each, strict=True)], axis=0)
    return (votes_NC + TIE_BREAK * mean_NC) / (1 + TIE_BREAK)


def thresholds_together(
    thresholds: Sequence[tuple[float, ...] | None], *, vote: bool = False
) -> tuple[float, ...] | None:
    """The thresholds of what `together` returns: the mean of the runs' own, or half of the votes.

    None: the runs have none.

    Example:
        >>> thresholds_together([(0.25, 0.5), (0.75, 0.5)]), thresholds_together([None])
        ((0.5, 0.5), None)
    """
    known = [one for one in thresholds if one is not None]
    if not known:
        return None
    return (0.5,) * len(known[0]) if vote and len(known) > 1 else tuple(np.mean(known, axis=0).tolist())
