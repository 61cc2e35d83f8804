"""Whether memory was read in the wrong order: a `reshape` or `view` where dimensions had to be permuted.

Neighbouring numbers of a photo, and successive numbers of a series, are alike. Where a tensor's neighbours are far less
alike than they are with the same memory read in another order, that other order is the data's own.

Shape suffixes: N samples, C channels, H height, W width, T times, F columns.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

from thalweg.probes.batches import first_tensor


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.probes.batches import Batch

MOST_CHANNELS = 16
FEWEST = 8  # numbers along a dimension
_FLAT = 1e-9  # variance


def layout_measures(batch: Batch) -> dict[str, float]:
    """Measure how much rougher the inputs are than the same memory read in another order.

    Args:
        batch: whose first tensor counts: images, (N, C, H, W), or series, (N, T, F).

    Returns:
        `misread`, in times: the mean square difference of neighbours, of the dimension where it is larger, by that of
        images with channels last, (N, H, W, C), or of series with times first, (T, N, F). Where numbers may take turns
        along a dimension, such as x and y, both dimensions of an image have to be rough, and so do distances up to 7
        of a series. Nothing for other inputs.

    Example:
        >>> import torch
        >>> from thalweg.probes.batches import Batch
        >>> ramp_NHWC = torch.linspace(0, 1, 16)[:, None, None].expand(4, 16, 16, 3) + torch.tensor([0.0, 2.0, 5.0])
        >>> read_NCHW = ramp_NHWC.reshape(4, 3, 16, 16)
        >>> layout_measures(Batch(read_NCHW, None))["misread"] > 10
        True
        >>> layout_measures(Batch(ramp_NHWC.permute(0, 3, 1, 2), None))["misread"] < 1
        True
    """
    x = first_tensor(batch.inputs)
    if x is None or x.ndim not in (3, 4) or x.is_complex() or not x.numel():
        return {}
    x = x.detach().float()
    if not bool(x.isfinite().all()) or float(x.var()) < _FLAT:
        return {}
    return _of_images(x) if x.ndim == 4 else _of_series(x)


def _of_images(x: Tensor) -> dict[str, float]:
    samples, channels, height, width = x.shape
    if not 1 < channels <= MOST_CHANNELS or min(height, width) < FEWEST:
        return {}
    if not channels % height or not channels % width:
        return {}  # the other order would compare the same place of several rows, or of several channels
    other = x.reshape(samples, height, width, channels)
    smooth = max(_difference(other, dim) for dim in (1, 2))
    fewer, more = sorted(_difference(x, dim) for dim in (2, 3))
    # Numbers that take turns, as x and y of several points do, are alike at a distance of C; then only one dimension
    # is rough.
    takes_turns = max(gcd(channels, height), gcd(channels, width)) > 1
    return _ratio(fewer if takes_turns and fewer < smooth else more, smooth)


def _of_series(x: Tensor) -> dict[str, float]:
    samples, times, columns = x.shape
    if min(samples, times) < FEWEST or not samples % times or not times % samples:
        return {}  # the other order would compare the same time of several samples, which may be alike
    # What takes turns, as states and actions do, is alike at a distance of a few.
    rough = min(_difference(x, 1, distance) for distance in range(1, FEWEST))
    return _ratio(rough, _difference(x.reshape(times, samples, columns), 0))


def _ratio(rough: float, smooth: float) -> dict[str, float]:
    return {"misread": rough / max(smooth, _FLAT)}


def _difference(x: Tensor, dim: int, distance: int = 1) -> float:
    """The mean square difference of numbers at a distance along a dimension."""
    length = x.shape[dim] - distance
    return float((x.narrow(dim, distance, length) - x.narrow(dim, 0, length)).square().mean())
