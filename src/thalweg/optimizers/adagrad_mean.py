"""AdaGrad as the course writes it: the root of the mean of all squared gradients."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class AdagradMean(DecayingOptimizer):
    """Each coordinate divided by the root mean square of all its gradients so far.

    σ_t = √((1 / t) ∑_{i=1}^t g_i²) + ε; θ_t = θ_{t−1} − η_t g_t / σ_t. Unlike `adagrad`, σ falls where gradients
    stay small: along a valley the steep coordinate's σ sinks until η × curvature / σ passes 2, and the step bursts.

    Args:
        eps: ε, at least 0.

    Example:
        >>> AdagradMean().step(2.0, (4.0,), (2.0,), AdagradMean().hyper())
        (2.0, 2.0000000001, (8.0,))

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    eps: float = 1e-10

    name: ClassVar[str] = "adagrad_mean"

    def hyper(self) -> State:
        """(ε,)."""
        return (self.eps,)

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(the sum of the squares,)."""
        return (0.0,)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        (total,) = state
        (t,) = clock
        (eps,) = hyper
        total = total + g * g
        return g, sqrt(total / t) + eps, (total,)
