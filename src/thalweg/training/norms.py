"""Statistics of batch norms for weights that no step has been made with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.modules.batchnorm import _BatchNorm


if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor, nn


@torch.no_grad()
def estimate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the running statistics to the mean over some batches; mode, momentum and everything else stay.

    Args:
        model: with batch norms or without, in which case nothing is done.
        batches: of what it is trained on, as it is trained on.

    Source: Izmailov et al. 2018 (SWA), section 3.2, https://arxiv.org/abs/1803.05407.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    if not norms:
        return
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
        norm.momentum = None  # torch's word for a mean over all batches
    try:
        for images_NCHW in batches:
            model(images_NCHW)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, mode in modes:
            module.training = mode
