"""RMSprop: each coordinate divided by the root mean square of its recent gradients."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class RMSprop(DecayingOptimizer):
    """A rate for each coordinate, based on recent gradients.

    v_t = α v_{t−1} + (1 − α) g_t²; σ_t = √v_t + ε; θ_t = θ_{t−1} − η_t g_t / σ_t. With momentum,
    m_t = μ m_{t−1} + g_t / σ_t; θ_t = θ_{t−1} − η_t m_t. Centered, ḡ_t = α ḡ_{t−1} + (1 − α) g_t;
    σ_t = √(v_t − ḡ_t²) + ε.

    Args:
        alpha: α, in [0, 1).
        eps: ε, at least 0.
        momentum: μ, at least 0.
        centered: whether to divide by the standard deviation instead.

    Example:
        >>> RMSprop().step(2.0, (0.0, 0.0, 0.0), (1.0,), RMSprop().hyper())[:2]
        (2.0, 0.2000000100000001)

    Source:
        Tieleman, Hinton, 2012, Neural Networks for Machine Learning, lecture 6e,
        https://www.cs.toronto.edu/~hinton/coursera/lecture6/lec6.pdf; centered: Graves, 2013,
        https://arxiv.org/abs/1308.0850
    """

    alpha: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False

    name: ClassVar[str] = "rmsprop"
    torch_class: ClassVar[str | None] = "RMSprop"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"alpha": (0.0, 1.0)}

    def hyper(self) -> State:
        """(α, ε, μ, centered)."""
        return self.alpha, self.eps, self.momentum, float(self.centered)

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(v, ḡ, m)."""
        return 0.0, 0.0, 0.0

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:  # noqa: ARG004 - as for every optimizer
        """See the class."""
        v, mean, buffer = state
        alpha, eps, momentum, centered = hyper
        v = alpha * v + (1.0 - alpha) * g * g
        if centered:
            mean = mean + (1.0 - alpha) * (g - mean)
        sigma = sqrt(v - mean * mean if centered else v) + eps
        if momentum == 0.0:
            return g, sigma, (v, mean, buffer)
        buffer = momentum * buffer + g / sigma
        return sigma * buffer, sigma, (v, mean, buffer)
