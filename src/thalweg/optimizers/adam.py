"""Adam: momentum, and a rate for each coordinate."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from thalweg.optimizers.optimizer import DecouplingOptimizer, State, Step, correction


if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Adam(DecouplingOptimizer):
    """Both moments of recent gradients, each corrected for its start at zero.

    m_t = β₁ m_{t−1} + (1 − β₁) g_t; v_t = β₂ v_{t−1} + (1 − β₂) g_t²; m̂_t = m_t / (1 − β₁ᵗ);
    v̂_t = v_t / (1 − β₂ᵗ); σ_t = √v̂_t + ε; θ_t = θ_{t−1} − η_t m̂_t / σ_t. With `amsgrad`, the largest v so far
    takes the place of v.

    Args:
        betas: (β₁, β₂), each in [0, 1).
        eps: ε, at least 0.
        amsgrad: whether σ uses the largest v so far.

    Example:
        >>> Adam().step(2.0, (0.0, 0.0, 0.0), (10.0, 1000**0.5), Adam().hyper())[0]
        1.9999999999999996

    Source:
        Kingma, Ba, 2015, https://arxiv.org/abs/1412.6980; Reddi, Kale, Kumar, 2018,
        https://openreview.net/forum?id=ryQu7f-RZ
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    amsgrad: bool = False

    name: ClassVar[str] = "adam"
    torch_class: ClassVar[str | None] = "Adam"
    default_lr: ClassVar[float] = 1e-3
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0.0, 1.0)}

    def hyper(self) -> State:
        """(β₁, β₂, ε, amsgrad)."""
        return *self.betas, self.eps, float(self.amsgrad)

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m, v, the largest v)."""
        return 0.0, 0.0, 0.0

    def clock(self, t_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """(1 / (1 − β₁ᵗ), 1 / √(1 − β₂ᵗ)): divisions are slow, and these are the same for both coordinates."""
        beta1, beta2 = self.betas
        return correction(beta1, t_S), np.sqrt(correction(beta2, t_S))

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        mean, v, largest = state
        correction1, correction2 = clock
        beta1, beta2, eps, amsgrad = hyper
        mean = beta1 * mean + (1.0 - beta1) * g
        v = beta2 * v + (1.0 - beta2) * g * g
        if amsgrad:
            largest = max(largest, v)
        sigma = sqrt(largest if amsgrad else v) * correction2 + eps
        return mean * correction1, sigma, (mean, v, largest)
