"""Lion: the sign of a momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class Lion(DecayingOptimizer):
    """Every coordinate moves by η, up or down; weight decay is decoupled.

    c_t = β₁ m_{t−1} + (1 − β₁) g_t; θ_t = θ_{t−1} − η_t sign(c_t); m_t = β₂ m_{t−1} + (1 − β₂) g_t.

    Args:
        betas: (β₁, β₂), each in [0, 1).

    Example:
        >>> Lion().step(-2.0, (0.0,), (1.0,), Lion().hyper())[:2]
        (-1.0, 1.0)

    Source:
        Chen et al., 2023, https://arxiv.org/abs/2302.06675
    """

    betas: tuple[float, float] = (0.9, 0.99)

    name: ClassVar[str] = "lion"
    default_lr: ClassVar[float] = 1e-4
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"betas": (0.0, 1.0)}

    @property
    def decays(self) -> tuple[float, float]:
        """(0, λ)."""
        return 0.0, self.weight_decay

    def hyper(self) -> State:
        """(β₁, β₂)."""
        return self.betas

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m,)."""
        return (0.0,)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:  # noqa: ARG004 - as for every optimizer
        """See the class."""
        (mean,) = state
        beta1, beta2 = hyper
        mixed = beta1 * mean + (1.0 - beta1) * g
        mean = beta2 * mean + (1.0 - beta2) * g
        m = 1.0 if mixed > 0.0 else -1.0 if mixed < 0.0 else mixed
        return m, 1.0, (mean,)
