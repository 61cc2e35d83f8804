"""NAdam: Adam with Nesterov's look-ahead."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from thalweg.optimizers.optimizer import DecouplingOptimizer, State, Step, correction


if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class NAdam(DecouplingOptimizer):
    """Adam whose momentum already includes the current gradient, and warms up.

    m_t = β₁ m_{t−1} + (1 − β₁) g_t; v_t = β₂ v_{t−1} + (1 − β₂) g_t²; μ_k = β₁ (1 − 0.96^(k ψ) / 2);
    m̂_t = μ_{t+1} m_t / (1 − ∏_{i=1}^(t+1) μ_i) + (1 − μ_t) g_t / (1 − ∏_{i=1}^t μ_i); v̂_t = v_t / (1 − β₂ᵗ);
    σ_t = √v̂_t + ε; θ_t = θ_{t−1} − η_t m̂_t / σ_t.

    Args:
        betas: (β₁, β₂), each in [0, 1).
        eps: ε, at least 0.
        momentum_decay: ψ, at least 0.

    Example:
        >>> NAdam().step(2.0, (0.0, 0.0), (1.0, 0.5, 1000.0), NAdam().hyper())[0]
        2.1

    Source:
        Dozat, 2016, https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    momentum_decay: float = 4e-3

    name: ClassVar[str] = "nadam"
    torch_class: ClassVar[str | None] = "NAdam"
    default_lr: ClassVar[float] = 2e-3
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0.0, 1.0)}

    def hyper(self) -> State:
        """(β₁, β₂, ε)."""
        return *self.betas, self.eps

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m, v)."""
        return 0.0, 0.0

    def clock(self, t_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """The factors of g_t, m_t and v_t."""
        beta1, beta2 = self.betas
        warming = self.momentum_decay * np.log(0.96)
        mu_S, next_S = (beta1 * (1.0 - 0.5 * np.exp(t * warming)) for t in (t_S, t_S + 1.0))
        product_S = np.cumprod(mu_S)
        return (1.0 - mu_S) / (1.0 - product_S), next_S / (1.0 - product_S * next_S), correction(beta2, t_S)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        mean, v = state
        share_of_g, share_of_mean, correction2 = clock
        beta1, beta2, eps = hyper
        mean = mean + (1.0 - beta1) * (g - mean)
        v = beta2 * v + (1.0 - beta2) * g * g
        return share_of_g * g + share_of_mean * mean, sqrt(v * correction2) + eps, (mean, v)
