"""The mean over a window of steps, which a line of noisy losses is drawn by. Needs no matplotlib.

Shape suffix: N values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np


if TYPE_CHECKING:
    from numpy.typing import NDArray


def window_of(count: int) -> int:
    """Length of the running mean: odd, about two percent of all steps; 1 (no smoothing) below 100 steps.

    Example:
        >>> window_of(99), window_of(100), window_of(5_000)
        (1, 3, 101)
    """
    return 1 if count < 100 else 2 * (count // 100) + 1


def smooth(
    values_N: NDArray[np.float64], window: int, *, mean: Literal["arithmetic", "geometric"] = "arithmetic"
) -> NDArray[np.float64]:
    """The mean of the finite values in the `window` around each; shorter at the ends.

    Args:
        values_N: values that are not finite are left out; so are those of 0 or less if the mean is `geometric`.
        window: number of values, odd.
        mean: `arithmetic`, or `geometric` for a logarithmic axis.

    Returns:
        (N,); NaN if the window has no value.

    Example:
        >>> smooth(np.array([1.0, 2.0, np.nan, 6.0]), 3).tolist()
        [1.5, 1.5, 4.0, 6.0]
    """
    if mean == "geometric":
        positive_N = np.where(values_N > 0, values_N, np.nan)
        return np.exp(smooth(np.log(positive_N), window))
    finite_N = np.isfinite(values_N)
    sums_N = _window_sums(np.where(finite_N, values_N, 0.0), window)
    counts_N = _window_sums(finite_N.astype(float), window)
    return np.divide(sums_N, counts_N, out=np.full(len(values_N), np.nan), where=counts_N > 0)


def _window_sums(values_N: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Sums over the window around each value, in linear time and without a subtraction.

    After one huge value, a difference of running sums would lose all later digits. So the values are cut into blocks
    as long as the window, and a window covers the end of one block and the start of the next.

    Source: van Herk 1992 and Gil and Werman 1993, who compute maxima this way, https://doi.org/10.1016/0167-8655(92)90069-C.
    """
    count = len(values_N)
    padded = np.zeros(-(-(count + window - 1) // window) * window)
    padded[window // 2 :][:count] = values_N
    blocks = padded.reshape(-1, window)
    to_here = blocks.cumsum(axis=1).ravel()
    from_here = blocks[:, ::-1].cumsum(axis=1)[:, ::-1].ravel()
    first = np.arange(count)
    last = first + window - 1
    return to_here[last] + np.where(first % window == 0, 0.0, from_here[first])
