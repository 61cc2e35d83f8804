"""Adadelta: steps in the units of the weights."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class Adadelta(DecayingOptimizer):
    """The root mean square of recent steps over that of recent gradients.

    v_t = ρ v_{t−1} + (1 − ρ) g_t²; σ_t = √(v_t + ε); m_t = √(d_{t−1} + ε) g_t; θ_t = θ_{t−1} − η_t m_t / σ_t;
    d_t = ρ d_{t−1} + (1 − ρ) (m_t / σ_t)².

    Args:
        rho: ρ, in [0, 1).
        eps: ε, at least 0.

    Example:
        >>> Adadelta().step(2.0, (0.0, 0.0), (1.0,), Adadelta().hyper())[0]
        0.002

    Source:
        Zeiler, 2012, https://arxiv.org/abs/1212.5701
    """

    rho: float = 0.9
    eps: float = 1e-6

    name: ClassVar[str] = "adadelta"
    torch_class: ClassVar[str | None] = "Adadelta"
    default_lr: ClassVar[float] = 1.0
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"rho": (0.0, 1.0)}

    def hyper(self) -> State:
        """(ρ, ε)."""
        return self.rho, self.eps

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(v, d)."""
        return 0.0, 0.0

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:  # noqa: ARG004 - as for every optimizer
        """See the class."""
        v, d = state
        rho, eps = hyper
        v = rho * v + (1.0 - rho) * g * g
        sigma = sqrt(v + eps)
        m = sqrt(d + eps) * g
        d = rho * d + (1.0 - rho) * (m / sigma) * (m / sigma)
        return m, sigma, (v, d)
