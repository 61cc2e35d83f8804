"""Adamax: Adam with the largest recent gradient as scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step, correction


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Adamax(DecayingOptimizer):
    """Adam with the infinity norm in place of the root mean square.

    m_t = β₁ m_{t−1} + (1 − β₁) g_t; m̂_t = m_t / (1 − β₁ᵗ); σ_t = max(β₂ σ_{t−1}, |g_t| + ε);
    θ_t = θ_{t−1} − η_t m̂_t / σ_t.

    Args:
        betas: (β₁, β₂), each in [0, 1).
        eps: ε, at least 0.

    Example:
        >>> Adamax().step(2.0, (0.0, 5.0), (10.0,), Adamax().hyper())[1]
        4.995

    Source:
        Kingma, Ba, 2015, section 7.1, https://arxiv.org/abs/1412.6980
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    name: ClassVar[str] = "adamax"
    torch_class: ClassVar[str | None] = "Adamax"
    default_lr: ClassVar[float] = 2e-3
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0.0, 1.0)}

    def hyper(self) -> State:
        """(β₁, β₂, ε)."""
        return *self.betas, self.eps

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m, σ)."""
        return 0.0, 0.0

    def clock(self, t_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """(1 / (1 − β₁ᵗ),)."""
        return (correction(self.betas[0], t_S),)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        mean, sigma = state
        (correction1,) = clock
        beta1, beta2, eps = hyper
        mean = mean + (1.0 - beta1) * (g - mean)
        sigma = max(beta2 * sigma, abs(g) + eps)
        return mean * correction1, sigma, (mean, sigma)
