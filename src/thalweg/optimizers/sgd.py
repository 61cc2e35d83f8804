"""Stochastic gradient descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.errors import UsageError
from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class SGD(DecayingOptimizer):
    """Gradient descent, optionally with momentum.

    θ_t = θ_{t−1} − η_t g_t. With momentum, m_t = μ m_{t−1} + g_t; θ_t = θ_{t−1} − η_t m_t; with dampening,
    m_t = {g_t, t = 1; μ m_{t−1} + (1 − τ) g_t, t > 1}; with Nesterov's look-ahead,
    θ_t = θ_{t−1} − η_t (g_t + μ m_t).

    Args:
        momentum: μ, at least 0.
        dampening: τ.
        nesterov: use Nesterov's look-ahead; needs momentum and no dampening.

    Example:
        >>> SGD().step(2.0, (0.0,), (1.0,), SGD().hyper())
        (2.0, 1.0, (0.0,))

    Source:
        Sutskever, Martens, Dahl, Hinton, 2013, https://proceedings.mlr.press/v28/sutskever13.html
    """

    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False

    name: ClassVar[str] = "sgd"
    torch_class: ClassVar[str | None] = "SGD"
    default_lr: ClassVar[float] = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and not (self.momentum > 0 and self.dampening == 0):
            raise UsageError("optimizers.nesterov_needs_momentum", momentum=self.momentum, dampening=self.dampening)

    def hyper(self) -> State:
        """(μ, τ, nesterov)."""
        return self.momentum, self.dampening, float(self.nesterov)

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m,)."""
        return (0.0,)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:
        """See the class."""
        momentum, dampening, nesterov = hyper
        if momentum == 0.0:
            return g, 1.0, state
        (buffer,) = state
        (t,) = clock
        buffer = momentum * buffer + (1.0 - dampening) * g if t > 1.0 else g
        m = g + momentum * buffer if nesterov else buffer
        return m, 1.0, (buffer,)
