"""RAdam: Adam that uses its scale only once it is reliable."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from thalweg.optimizers.optimizer import DecouplingOptimizer, State, Step, correction


if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class RAdam(DecouplingOptimizer):
    """Adam that uses its scale only once enough gradients support it: a warm-up without a schedule.

    m_t = β₁ m_{t−1} + (1 − β₁) g_t; v_t = β₂ v_{t−1} + (1 − β₂) g_t²; m̂_t = m_t / (1 − β₁ᵗ);
    ρ_∞ = 2 / (1 − β₂) − 1; ρ_t = ρ_∞ − 2 t β₂ᵗ / (1 − β₂ᵗ);
    r_t = √((ρ_t − 4) (ρ_t − 2) ρ_∞ / ((ρ_∞ − 4) (ρ_∞ − 2) ρ_t)); s_t = (√v_t + ε) / √(1 − β₂ᵗ);
    θ_t = θ_{t−1} − η_t {m̂_t, ρ_t ≤ 5; r_t m̂_t / s_t, ρ_t > 5}.

    Args:
        betas: (β₁, β₂), each in [0, 1).
        eps: ε, at least 0.

    Example:
        >>> RAdam().step(2.0, (0.0, 0.0), (10.0, 30.0, 0.0), RAdam().hyper())[1]
        1.0

    Source:
        Liu, Jiang, He, Chen, Liu, Gao, Han, 2020, https://arxiv.org/abs/1908.03265
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    name: ClassVar[str] = "radam"
    torch_class: ClassVar[str | None] = "RAdam"
    default_lr: ClassVar[float] = 1e-3
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0.0, 1.0)}

    def hyper(self) -> State:
        """(β₁, β₂, ε)."""
        return *self.betas, self.eps

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m, v)."""
        return 0.0, 0.0

    def clock(self, t_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """(1 / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ), r_t, which is 0 while ρ_t ≤ 5)."""
        beta1, beta2 = self.betas
        correction2_S = correction(beta2, t_S)
        end = 2.0 / (1.0 - beta2) - 1.0
        rho_S = np.maximum(end - 2.0 * t_S * (correction2_S - 1.0), 5.0)
        with np.errstate(divide="ignore", invalid="ignore"):  # if ρ_∞ itself is small, the scale is never used
            squared_S = (rho_S - 4.0) * (rho_S - 2.0) * end / ((end - 4.0) * (end - 2.0) * rho_S)
        rectifier_S = np.sqrt(np.where(rho_S > 5.0, squared_S, 0.0))
        return correction(beta1, t_S), np.sqrt(correction2_S), rectifier_S

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        mean, v = state
        correction1, correction2, rectifier = clock
        beta1, beta2, eps = hyper
        mean = mean + (1.0 - beta1) * (g - mean)
        v = beta2 * v + (1.0 - beta2) * g * g
        if rectifier == 0.0:
            return mean * correction1, 1.0, (mean, v)
        return rectifier * mean * correction1, (sqrt(v) + eps) * correction2, (mean, v)
