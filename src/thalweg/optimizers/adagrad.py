"""AdaGrad: each coordinate divided by the root of the sum of its squared gradients."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class Adagrad(DecayingOptimizer):
    """A rate for each coordinate that never rises.

    σ_t = √(∑_{i=1}^t g_i²) + ε; θ_t = θ_{t−1} − η_t g_t / σ_t. With a first sum, σ_t = √(s₀ + ∑_{i=1}^t g_i²) + ε;
    with δ, m_t = g_t / (1 + (t − 1) δ) takes the place of g_t in the update.

    Args:
        lr_decay: δ, at least 0.
        initial_accumulator_value: s_0, at least 0.
        eps: ε, at least 0.

    Example:
        >>> Adagrad().step(2.0, (0.0,), (1.0,), Adagrad().hyper())
        (2.0, 2.0000000001, (4.0,))

    Source:
        Duchi, Hazan, Singer, 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    lr_decay: float = 0.0
    initial_accumulator_value: float = 0.0
    eps: float = 1e-10

    name: ClassVar[str] = "adagrad"
    torch_class: ClassVar[str | None] = "Adagrad"

    def hyper(self) -> State:
        """(δ, ε)."""
        return self.lr_decay, self.eps

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(s_0,)."""
        return (self.initial_accumulator_value,)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        (total,) = state
        (t,) = clock
        lr_decay, eps = hyper
        total = total + g * g
        return g / (1.0 + (t - 1.0) * lr_decay), sqrt(total) + eps, (total,)
