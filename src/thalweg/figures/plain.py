"""A plot of plain characters for the terminal, and the choice of steps that a plot must show. Needs no matplotlib."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray


def text_plot(values_N: NDArray[np.float64], *, width: int = 60, height: int = 13) -> str:
    """Plot values with plain characters, from 0 at the bottom to the highest value at the top.

    Args:
        values_N: at least 0; shape (N,).
        width: columns of the plot, without the labels.
        height: lines of the plot, at least 2.

    Example:
        >>> print(text_plot(np.array([0.0, 1.0, 2.0, 1.0]), width=4, height=3))
                2 |  *
                1 | * *
                0 |*
                  +----
    """
    top = float(values_N.max()) or 1.0
    edges = np.linspace(0, len(values_N), width + 1).round().astype(int)
    rows = np.rint(values_N / top * (height - 1)).astype(int)
    grid = np.full((height, width), " ")
    for column, (begin, end) in enumerate(zip(edges, np.maximum(edges[1:], edges[:-1] + 1), strict=False)):
        bucket = rows[min(begin, len(rows) - 1) : end]
        grid[bucket.min() : bucket.max() + 1, column] = "*"
    labels = {height - 1: f"{top:.3g}", (height - 1) // 2: f"{top * ((height - 1) // 2) / (height - 1):.3g}", 0: "0"}
    lines = [f"{labels.get(row, ''):>9} |{''.join(grid[row]).rstrip()}" for row in reversed(range(height))]
    return "\n".join([*lines, f"{'':>9} +{'-' * width}"])


def telling_steps(values_N: NDArray[np.float64], buckets: int) -> NDArray[np.int64]:
    """The steps that a line must visit to look like the whole: the first, highest and lowest of each bucket.

    Args:
        values_N: shape (N,).
        buckets: number of equal ranges of steps.

    Returns:
        The steps in increasing order, with the first and the last; all steps if there are few.

    Example:
        >>> telling_steps(np.array([0.0, 0.0, 5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), 2).tolist()
        [0, 2, 5, 9]
    """
    if len(values_N) <= 3 * buckets:
        return np.arange(len(values_N))
    edges = np.linspace(0, len(values_N), buckets + 1).round().astype(int)
    kept = [
        begin + offset
        for begin, end in pairwise(edges)
        for offset in (0, int(np.argmax(values_N[begin:end])), int(np.argmin(values_N[begin:end])))
    ]
    return np.unique([*kept, len(values_N) - 1])
