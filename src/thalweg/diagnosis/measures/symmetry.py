"""Units that are copies of one another: they get the same gradient and stay copies for ever.

Weights that start at one number, or at zero in more than one layer, make every unit of a layer the same; the layer then
computes one feature, however wide it is. Gradient descent keeps the symmetry but for rounding, so the weights show it
at any time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn


if TYPE_CHECKING:
    from torch import Tensor

FEWEST_UNITS = 4
_EQUAL = 1e-2  # relative to the rows' norm: rounding differs from unit to unit and grows


def symmetry_of(model: nn.Module, *, zeros: bool = True) -> dict[str, float]:
    """Measure the largest share of a layer's units whose weights equal those of another unit of the layer.

    Args:
        model: its matrices and kernels with at least four units are read; embeddings are no units.
        zeros: whether weights that are all zero count; the last layer of a residual branch may begin so.

    Returns:
        `twin_units`, in [0, 1]; nothing without such a layer.

    Example:
        >>> layer = nn.Linear(8, 16)
        >>> symmetry_of(layer)
        {'twin_units': 0.0}
        >>> _ = nn.init.constant_(layer.weight, 0.1)
        >>> symmetry_of(layer)
        {'twin_units': 1.0}
    """
    tables = {id(p) for module in model.modules() if isinstance(module, nn.Embedding) for p in module.parameters()}
    shares = [
        _share_of_twins(parameter.detach().reshape(len(parameter), -1))
        for parameter in model.parameters()
        if parameter.ndim > 1
        and parameter.requires_grad
        and len(parameter) >= FEWEST_UNITS
        and id(parameter) not in tables
        and (zeros or bool(parameter.any()))
    ]
    return {"twin_units": max(shares)} if shares else {}


def _share_of_twins(rows_UF: Tensor) -> float:
    """The share of rows that equal their neighbor in the order of a random projection, where equal rows meet."""
    rows_UF = rows_UF.double()
    if rows_UF.shape[1] < 2 or not bool(torch.isfinite(rows_UF).all()):
        return 0.0
    direction_F = torch.randn(rows_UF.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ordered_UF = rows_UF[(rows_UF @ direction_F.to(rows_UF.device)).argsort()]
    length_U = ordered_UF.norm(dim=1)
    same_U = (ordered_UF[1:] - ordered_UF[:-1]).norm(dim=1) <= _EQUAL * torch.maximum(length_U[1:], length_U[:-1])
    twin_U = torch.zeros(len(rows_UF), dtype=torch.bool, device=rows_UF.device)
    twin_U[1:] |= same_U
    twin_U[:-1] |= same_U
    return float(twin_U.float().mean())
