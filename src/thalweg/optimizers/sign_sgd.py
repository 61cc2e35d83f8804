"""Sign-SGD: only the gradient's sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class SignSGD(DecayingOptimizer):
    """Every coordinate moves by η, up or down: by the sign of the gradient, or with momentum, of its mean.

    θ_t = θ_{t−1} − η_t sign(g_t). With momentum, m_t = μ m_{t−1} + (1 − μ) g_t; θ_t = θ_{t−1} − η_t sign(m_t).

    Args:
        momentum: μ, in [0, 1); above 0 it is called Signum.

    Example:
        >>> SignSGD().step(-2.0, (0.0,), (1.0,), SignSGD().hyper())[:2]
        (-1.0, 1.0)

    Source:
        Bernstein, Wang, Azizzadenesheli, Anandkumar, 2018, https://arxiv.org/abs/1802.04434
    """

    momentum: float = 0.0

    name: ClassVar[str] = "sign_sgd"
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"momentum": (0.0, 1.0)}

    def hyper(self) -> State:
        """(μ,)."""
        return (self.momentum,)

    def start(self, lr: Any) -> State:  # noqa: ARG002 - as for every optimizer
        """(m,)."""
        return (0.0,)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:  # noqa: ARG004 - as for every optimizer
        """See the class."""
        (mean,) = state
        (momentum,) = hyper
        mean = momentum * mean + (1.0 - momentum) * g
        m = 1.0 if mean > 0.0 else -1.0 if mean < 0.0 else mean
        return m, 1.0, (mean,)
