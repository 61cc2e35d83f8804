"""A small torch network that learns a sine wave."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from thalweg.errors import ThalwegError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

_HIDDEN = 8
_POINTS = 64


@dataclass(frozen=True)
class Training:
    """The record of gradient descent.

    Args:
        loss_S: mean squared error at each step, before its update.
        norm_S: length of the gradient at each step.
        cosine_S: of the angle between each gradient and the one before it; 0 for the first.
        weights: all weights after the last update, shape (97,).
        curvature: the largest eigenvalue of the loss's Hessian at `weights`.
    """

    loss_S: NDArray[np.float64]
    norm_S: NDArray[np.float64]
    cosine_S: NDArray[np.float64]
    weights: NDArray[np.float64]
    curvature: float


def train(learning_rate: float, steps: int, *, seed: int = 0, weights: NDArray[np.float64] | None = None) -> Training:
    """Fit sin(3πx) at 64 points by gradient descent over all of them, in float64.

    Args:
        learning_rate: constant.
        steps: number of updates.
        seed: of the first weights.
        weights: continue from these instead.

    Raises:
        ThalwegError: torch is not installed.
    """
    if find_spec("torch") is None:
        raise ThalwegError("lessons.needs_torch")
    import torch

    loss_of = _loss()
    point = torch.from_numpy(_first_weights(seed) if weights is None else weights)
    before = torch.zeros_like(point)
    rows = []
    with one_thread():
        for _ in range(steps):
            point.requires_grad_()
            loss = loss_of(point)
            (gradient,) = torch.autograd.grad(loss, point)
            cosine = torch.nn.functional.cosine_similarity(gradient, before, dim=0)
            rows.append((loss.item(), gradient.norm().item(), cosine.item()))
            point, before = point.detach() - learning_rate * gradient, gradient
        hessian = torch.autograd.functional.hessian(loss_of, point)
        curvature = float(torch.linalg.eigvalsh(hessian)[-1])
    loss_S, norm_S, cosine_S = np.array(rows).T
    return Training(loss_S, norm_S, cosine_S, point.numpy(), curvature)


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread: products of 64 × 8 matrices end before a second thread wakes up."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _loss() -> Callable[[Tensor], Tensor]:
    """The error of a network with two hidden layers as a function of its concatenated weights."""
    import torch

    x_N1 = torch.linspace(-1, 1, _POINTS, dtype=torch.float64)[:, None]
    target_N1 = torch.sin(3 * torch.pi * x_N1)

    def loss(weights: torch.Tensor) -> torch.Tensor:
        parts = torch.split(weights, [_HIDDEN, _HIDDEN, _HIDDEN * _HIDDEN, _HIDDEN, _HIDDEN, 1])
        in_weight, in_bias, mid_weight, mid_bias, out_weight, out_bias = parts
        hidden_NH = torch.tanh(x_N1 * in_weight + in_bias)
        hidden_NH = torch.tanh(hidden_NH @ mid_weight.view(_HIDDEN, _HIDDEN) + mid_bias)
        return ((hidden_NH @ out_weight[:, None] + out_bias - target_N1) ** 2).mean()

    return loss


def _first_weights(seed: int) -> NDArray[np.float64]:
    """Draw weights from normal distributions that preserve the scale of the outputs from layer to layer."""
    draw = np.random.default_rng(seed).normal
    narrow = _HIDDEN**-0.5
    return np.concatenate(
        [
            draw(0, 2, _HIDDEN),
            draw(0, 1, _HIDDEN),
            draw(0, narrow, _HIDDEN * _HIDDEN),
            np.zeros(_HIDDEN),
            draw(0, narrow, _HIDDEN),
            np.zeros(1),
        ]
    )
