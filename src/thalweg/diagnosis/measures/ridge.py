"""Kernel ridge regression on a few hundred samples: what plain predictors make of inputs, without any network.

Shape suffixes: K samples, F features, D numbers or classes.

Source: Saunders, Gammerman and Vovk 1998, Ridge regression learning algorithm in dual variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from thalweg.probes.batches import Batch

MOST = 512  # samples
SHORTEST = 8  # text; of a few numbers, such as a user's and a film's, only their combination may tell anything
OFTEN = 8  # times that a word, a user or a film must come, so that it can be learned


def features_of(samples: Batch, most: int = MOST) -> Tensor | None:
    """The inputs of the first samples as standardized columns.

    Args:
        samples: with one tensor of inputs.
        most: number of rows.

    Returns:
        (K, F) with at most so many rows; of words, and of other whole numbers, how often each comes. None for inputs of
        another form, and for numbers that are too seldom to be learned from so few samples.
    """
    inputs = samples.inputs
    if not isinstance(inputs, torch.Tensor) or inputs.ndim < 2 or inputs.is_complex():
        return None
    flat = inputs.reshape(len(inputs), -1)[:most]
    if not flat.is_floating_point():
        kinds, words = flat.unique(return_inverse=True)
        often = int(words.reshape(-1).bincount().median())
        if flat.shape[1] < SHORTEST or often < OFTEN:
            return None
        counts = torch.zeros(len(words), len(kinds), dtype=torch.long, device=flat.device)
        flat = counts.scatter_add_(1, words, torch.ones_like(words))
    return standardized(flat)


def standardized(columns_KF: Tensor) -> Tensor:
    """The columns that vary, with mean 0 and standard deviation 1, in double precision."""
    columns_KF = columns_KF.double()
    spread_F = columns_KF.std(dim=0)
    varied_KF = columns_KF[:, spread_F > 0]
    return (varied_KF - varied_KF.mean(dim=0)) / spread_F[spread_F > 0]


def ridge(features_KF: Tensor, targets_KD: Tensor) -> Iterator[Tensor]:
    """Predict each fourth of the samples from the other three, by linear and Gaussian kernels with two penalties.

    Args:
        features_KF: standardized columns, in double precision.
        targets_KD: numbers, or 1 in the column of the class.

    Yields:
        (K, D) predictions of one kernel and penalty, without the mean of the three fourths.

    Example:
        >>> features_KF = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).double()
        >>> best = max(float(one[:, 0] @ features_KF[:, 0]) for one in ridge(features_KF, features_KF[:, :1]))
        >>> best > 0.9 * float(features_KF[:, 0].square().sum())
        True
    """
    targets_KD = targets_KD[: len(features_KF)].double()
    square_KK = torch.cdist(features_KF, features_KF).square()
    kernels = (features_KF @ features_KF.T / max(1, features_KF.shape[1]), (-square_KK / square_KK.median()).exp())
    fold_K = torch.randperm(len(features_KF), generator=torch.Generator().manual_seed(0)) % 4
    for kernel_KK in kernels:
        for penalty in (0.1, 10.0):
            yield _crossed(kernel_KK, targets_KD, fold_K.to(kernel_KK.device), penalty)


def _crossed(kernel_KK: Tensor, targets_KD: Tensor, fold_K: Tensor, penalty: float) -> Tensor:
    predicted_KD = torch.zeros_like(targets_KD)
    for fold in range(4):
        out, rest = fold_K == fold, fold_K != fold
        mean_D = targets_KD[rest].mean(dim=0)
        inner = kernel_KK[rest][:, rest] + penalty * torch.eye(int(rest.sum()), device=kernel_KK.device)
        weights = torch.linalg.solve(inner, targets_KD[rest] - mean_D)
        predicted_KD[out] = kernel_KK[out][:, rest] @ weights
    return predicted_KD
