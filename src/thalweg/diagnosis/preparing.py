"""Inputs made better by statistics of the first batch: standardized, or uncorrelated.

Shape suffixes: N samples, F columns, K principal components.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from thalweg.probes.batches import Batch


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

BEYOND = 5.0  # deviations that normal numbers hardly reach
SMALLEST = 1e-6  # variance of a principal component relative to the largest, below which it is not enlarged further


def standardizing() -> Callable[[Batch], Batch]:
    """Subtract the mean and divide by the deviation of the first batch: of each column of a table, else of all.

    A column that is nearly always the same, as a pixel at the border, may have a tiny deviation in the first batch. No
    number of a batch of n lies beyond √(n - 1) of its own deviations, so those of later batches are cut there, or at
    five.

    Example:
        >>> prepare = standardizing()
        >>> prepare(Batch(torch.tensor([[1.0], [3.0]]), None)).inputs.flatten().tolist()
        [-1.0, 1.0]
    """
    known: list[tuple[Tensor, Tensor, float]] = []

    def prepare(batch: Batch) -> Batch:
        inputs = batch.inputs
        if not isinstance(inputs, torch.Tensor) or not inputs.is_floating_point():
            return batch
        finite = torch.nan_to_num(inputs)
        if not known:
            dims = (0,) if inputs.ndim == 2 else tuple(range(inputs.ndim))
            std, mean = torch.std_mean(finite, dim=dims, correction=0, keepdim=True)
            count = finite.numel() // max(1, std.numel())
            known.append((mean, torch.where(std > 0, std, 1.0), max(BEYOND, math.sqrt(max(0, count - 1)))))
        mean, std, most = known[0]
        return Batch(((finite - mean) / std).clamp(-most, most), batch.targets)

    return prepare


def decorrelating() -> Callable[[Batch], Batch]:
    """Turn the columns of a table into as many that are standardized and uncorrelated in the first batch.

    Example:
        >>> x = torch.linspace(0, 1, 50, dtype=torch.float64)[:, None]
        >>> inputs = decorrelating()(Batch(torch.cat([x, x**2], dim=1), None)).inputs
        >>> torch.corrcoef(inputs.T).round(decimals=6).abs().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    known: list[tuple[Tensor, Tensor]] = []

    def prepare(batch: Batch) -> Batch:
        inputs = batch.inputs
        if not isinstance(inputs, torch.Tensor) or not inputs.is_floating_point() or inputs.ndim != 2:
            return batch
        rows_NF = torch.nan_to_num(inputs).double()
        if not known:
            std_F, mean_F = torch.std_mean(rows_NF, dim=0, correction=0)
            std_F = torch.where(std_F > 0, std_F, 1.0)
            scaled_NF = (rows_NF - mean_F) / std_F
            value_K, vector_FK = torch.linalg.eigh(scaled_NF.T @ scaled_NF / len(scaled_NF))
            scale_K = value_K.clamp_min(SMALLEST * float(value_K[-1])).rsqrt()
            known.append((mean_F, vector_FK * scale_K / std_F[:, None]))
        mean_F, turn_FK = known[0]
        return Batch(((rows_NF - mean_F) @ turn_FK).to(inputs.dtype), batch.targets)

    return prepare
