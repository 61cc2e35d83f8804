"""Measures of gradients and curvature: noise, both ends of the Hessian's spectrum, sharpness."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.curvature import HessianOperator, extremes, sharpness, stability_threshold
from thalweg.diagnosis.measures.budget import TooSlowError
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor, nn

    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.probes.copies import Copy

MOST_PRODUCTS, FEWEST_PRODUCTS = 40, 5
A_PRODUCT = 3.0  # a product of a batch with the Hessian, in training steps on it
SHARE = 0.3  # of the seconds


def curvature_of(
    copied: Copy,
    batches: Sequence[Batch],
    *,
    scale: float,
    a_step: float = 0.0,
    seconds: float = math.inf,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Measure the ends of the spectrum, the sharpness relative to the optimizer's threshold, and what a step can gain.

    `decrease_possible` is `|G|²/(2 λ_max)` as a share of `scale`: the gain of the best single step along the gradient
    in the quadratic model. It says whether the gradient is small compared with the curvature.

    Args:
        copied: only its model runs.
        batches: all of them where that is affordable, else the first.
        scale: of the loss.
        a_step: seconds that a training step takes.
        seconds: of the diagnosis; the products get a part of them.
        clock: gives seconds.

    Raises:
        TooSlowError: that part is too short for `FEWEST_PRODUCTS` products.
    """
    model, optimizer, loss_fn = copied.model, copied.optimizer, copied.loss_fn
    affordable = seconds / max(A_PRODUCT * a_step, 1e-9)
    if affordable < 2 * MOST_PRODUCTS * len(batches):
        batches = batches[:1]
    products = MOST_PRODUCTS
    threshold = stability_threshold(optimizer)
    plain = threshold is None or (threshold.preconditioner_P is None and threshold.decay_P is None)
    until, searches = clock() + SHARE * seconds, 1 if plain else 2
    if a_step > until - clock():
        raise TooSlowError
    with HessianOperator(model, loss_fn, batches, mode="train") as operator:
        gradient = float(operator.gradient_P.norm())
        if SHARE * affordable < 2 * MOST_PRODUCTS:  # a second derivative may cost twice as much as this says, or half
            products = _affordable(operator, until, clock)
            if products < FEWEST_PRODUCTS:
                raise TooSlowError
            searches = min(searches, products // FEWEST_PRODUCTS)
            products = min(MOST_PRODUCTS, products // searches)
        spectrum = extremes(operator, which="both", tolerance=1e-2, most=products)
        most, least = spectrum.largest.value, spectrum.smallest.value
        found = {
            "largest_eigenvalue": most,
            "smallest_eigenvalue": least,
            "negative_curvature": float(spectrum.negative_certified),
            "negative_share": -least / most if most > 0 else math.inf if least < 0 else 0.0,
            "decrease_possible": gradient**2 / (2 * most) / scale if most > 0 else math.nan,
        }
    if threshold is None or not threshold.value > 0:
        return found
    if plain:
        return found | {"sharpness_ratio": most / threshold.value}
    if searches < 2:  # there is no time for another search
        return found
    scaled = sharpness(model, optimizer, loss_fn, batches, mode="train", most=min(products, MOST_PRODUCTS // 2))
    return found if scaled.ratio is None else found | {"sharpness_ratio": scaled.ratio}


def _affordable(operator: HessianOperator, until: float, clock: Callable[[], float]) -> int:
    """The number of products until a time, by the clock: one is made."""
    began = clock()
    operator.matvec(operator.gradient_P)
    now = clock()
    return int((until - now) / max(now - began, 1e-9))


def noise_of(model: nn.Module, loss_fn: LossFunction, batches: Sequence[Batch], *, parts: int = 4) -> dict[str, float]:
    """Measure how much of the gradient is noise, from the gradients of parts of the first batch.

    With g_k the gradients of K equal parts of b samples, G their mean and s² their mean squared distance to it, the
    noise of one sample is `tr Σ ≈ b s² K/(K-1)`, and the squared norm of the true gradient is `|G|² - s²/(K-1)`. Their
    ratio is the simple noise scale, in samples: the gradient of a smaller batch is mostly noise.

    Source: McCandlish et al. 2018, https://arxiv.org/abs/1812.06162.
    """
    twin = copy.deepcopy(model)
    parameters = [parameter for parameter in twin.parameters() if parameter.requires_grad]
    inputs, targets = batches[0].inputs, batches[0].targets
    count = batches[0].size
    if not parameters or not isinstance(inputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        return {}
    parts = min(parts, count)
    if parts < 2:
        return {}
    for module in twin.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # noqa: SLF001 - its output depends on the rest of the batch
            module.eval()
    size = count // parts
    gradients: list[Tensor] = []
    matrices: list[float] = []
    with own_randomness(0), torch.enable_grad():
        for part in range(parts):
            chosen = slice(part * size, (part + 1) * size)
            loss = loss_fn(twin(inputs[chosen]), targets[chosen])
            if not loss.requires_grad:
                return {}
            made = torch.autograd.grad(loss, parameters, allow_unused=True)
            gradients.append(torch.cat([g.reshape(-1).float() for g in made if g is not None]))
            matrices.append(sum(float(g.square().sum()) for g in made if g is not None and g.ndim > 1))
    stacked_KP = torch.stack(gradients)
    mean_P = stacked_KP.mean(dim=0)
    spread = float((stacked_KP - mean_P).square().sum(dim=1).mean())
    signal = float(mean_P.square().sum()) - spread / (parts - 1)
    noise = size * spread * parts / (parts - 1)
    return {
        "matrix_gradient": math.sqrt(sum(matrices) / max(float(stacked_KP.square().sum()), 1e-30)),
        "noise_scale": noise / signal if signal > 0 else math.inf,
    }
