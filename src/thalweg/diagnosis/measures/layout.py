"""Whether memory was read in the wrong order: a `reshape` or `view` where dimensions had to be permuted.

Neighbouring numbers of a photo, and successive numbers of a series, are alike. Where a tensor's neighbours are far less
alike than they are with the same memory read in another order, that other order is the data's own.

Shape suffixes: N samples, C channels, H height, W width, T times, F columns.
"""

from __future__ import annotations

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
        images with channels last, (N, H, W, C), or of series with times first, (T, N, F). Nothing for other inputs.

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
    if x.ndim == 4:
        samples, channels, height, width = x.shape
        if not 1 < channels <= MOST_CHANNELS or min(height, width) < FEWEST:
            return {}
        given, other = (2, 3), x.reshape(samples, height, width, channels)
        return _compared(x, given, other, (1, 2))
    samples, times, columns = x.shape
    if min(samples, times) < FEWEST or not samples % times or not times % samples:
        return {}  # the other order would compare the same time of several samples, which may be alike
    return _compared(x, (1,), x.reshape(times, samples, columns), (0,))


def _compared(one: Tensor, along: tuple[int, ...], other: Tensor, along_other: tuple[int, ...]) -> dict[str, float]:
    if not bool(one.isfinite().all()) or float(one.var()) < _FLAT:
        return {}
    smooth = max(_difference(other, dim) for dim in along_other)
    return {"misread": max(_difference(one, dim) for dim in along) / max(smooth, _FLAT)}


def _difference(x: Tensor, dim: int) -> float:
    """The mean square difference of neighbours along a dimension."""
    return float(x.diff(dim=dim).square().mean())
