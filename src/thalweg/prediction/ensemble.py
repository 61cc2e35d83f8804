"""Several runs that decide together.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import RunError
from thalweg.training.run import FOLDS


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TIE_BREAK = 1e-3  # share of the mean probability beside whole votes: decides where votes are equal, and nowhere else


def expanded(paths: Sequence[Path | str]) -> list[Path]:
    """The runs of paths: a folder of folds stands for all of its folds."""
    runs: list[Path] = []
    for path in map(Path, paths):
        folds = path / FOLDS
        if (path / "config.toml").exists() or not folds.is_dir():
            runs.append(path)
        else:
            runs += sorted(folds.iterdir(), key=lambda fold: (len(fold.name), fold.name))
    return runs


def check_classes(runs: Sequence[tuple[Path, tuple[str, ...]]]) -> None:
    """Refuse to let runs decide together that know other classes, or the same in another order.

    Raises:
        RunError: which run, and which classes are only in one of them.
    """
    first, classes = runs[0]
    for other, theirs in runs[1:]:
        if theirs != classes:
            different = sorted(set(classes) ^ set(theirs)) or list(theirs)
            raise RunError("prediction.other_classes", first=first, other=other, names=", ".join(different[:3]))


def together(found: Sequence[NDArray[np.float64]], *, vote: bool = False) -> NDArray[np.float64]:
    """The probabilities of all runs made one: their mean, or the shares of their votes.

    Args:
        found: of each run, (N, C).
        vote: count the most probable classes.

    Returns:
        (N, C), rows adding up to 1.

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
