"""Curvature of the loss over the batches: both ends of the Hessian's spectrum, and what they bound."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from thalweg.diagnosis.curvature import HessianOperator, extremes, sharpness, stability_threshold


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.measures.twins import Batch, LossFunction

MOST_PRODUCTS = 40


def bends(
    model: nn.Module, optimizer: Optimizer, loss_fn: LossFunction, batches: Sequence[Batch], *, scale: float
) -> dict[str, float]:
    """Eigenvalues with their residual bounds, sharpness against the optimizer's own threshold, and what a step gains.

    `decrease_possible` is `|G|²/(2 λ_max)` as a share of `scale`: what the best single step along the gradient gains
    in the quadratic model. Where it is small, the gradient is small in the only sense that matters.
    """
    with HessianOperator(model, loss_fn, batches, mode="train") as operator:
        gradient = float(operator.gradient_P.norm())
        plain = extremes(operator, which="both", tolerance=1e-2, most=MOST_PRODUCTS)
        most, least = plain.largest.value, plain.smallest.value
        found = {
            "curvature_most": most,
            "curvature_most_residual": plain.largest.residual,
            "curvature_least": least,
            "curvature_least_residual": plain.smallest.residual,
            "negative_curvature": float(plain.negative_certified),
            "negative_share": -least / most if most > 0 else math.inf if least < 0 else 0.0,
            "gradient_exact": gradient,
            "decrease_possible": gradient**2 / (2 * most) / scale if most > 0 else math.nan,
            "products": float(plain.products),
        }
    threshold = stability_threshold(optimizer)
    if threshold is None or not threshold.value > 0:
        return found
    if threshold.preconditioner_P is None and threshold.decay_P is None:
        return found | {"sharpness_ratio": most / threshold.value}
    scaled = sharpness(model, optimizer, loss_fn, batches, mode="train", most=MOST_PRODUCTS // 2)
    return found if scaled.ratio is None else found | {"sharpness_ratio": scaled.ratio}
