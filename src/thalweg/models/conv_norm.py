"""A convolution and its batch norm, computed as one convolution wherever the statistics of the batch norm stay.

Shape suffixes: N photos, C channels, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn


if TYPE_CHECKING:
    from torch import Tensor


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")  # torch's names


class ConvNorm(nn.Sequential):
    """`γ·(w∗x - μ)/√(σ² + ε) + β`; with kept statistics, as `(s·w)∗x + (β - s·μ)`, where `s = γ/√(σ² + ε)`.

    Both are the same function of every weight, so gradients are the same as well; the second reads and writes
    the maps once, not three times, and keeps none of them for the backward pass. In training mode, where the statistics
    are those of the batch, nothing changes, nor where somebody listens to one of the two layers.

    Args:
        conv: a convolution without bias.
        norm: the batch norm of its maps.

    Example:
        >>> layers = ConvNorm(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).eval()
        >>> images = torch.ones(1, 3, 8, 8)
        >>> torch.allclose(layers(images), layers[1](layers[0](images)), atol=1e-6)
        True
    """

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
        super().__init__(conv, norm)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Return the maps, (N, C, H, W)."""
        conv, norm = self[0], self[1]
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d) or not _folds(conv, norm):
            return super().forward(input)
        mean_C, variance_C = norm.running_mean, norm.running_var
        if mean_C is None or variance_C is None:
            return super().forward(input)
        scale_C = norm.weight * torch.rsqrt(variance_C + norm.eps)
        weight, shift_C = conv.weight * scale_C[:, None, None, None], norm.bias - scale_C * mean_C
        return conv._conv_forward(input, weight, shift_C)  # noqa: SLF001 - torch's own, for subclasses with other padding


def _folds(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether the statistics stay, and nobody wants what is between the layers."""
    if norm.training or not norm.affine or conv.bias is not None:
        return False
    return not _is_heard(conv) and not _is_heard(norm) and not torch.compiler.is_compiling()


def _is_heard(module: nn.Module) -> bool:
    own = vars(module)
    return "forward" in own or any(own[name] for name in _HOOKS)
