"""Sign-SGD: only the gradient's sign."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.optimizers.optimizer import DecayingOptimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class SignSGD(DecayingOptimizer):
    """Every coordinate moves by η, up or down: by the sign of the gradient, or with momentum, of its mean.

    a_t = μ a_{t−1} + (1 − μ) g_t; m_t = sign(a_t); σ_t = 1.

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
        """(a,)."""
        return (0.0,)

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:  # noqa: ARG004 - as for every optimizer
        """See the class."""
        (a,) = state
        (momentum,) = hyper
        a = momentum * a + (1.0 - momentum) * g
        m = 1.0 if a > 0.0 else -1.0 if a < 0.0 else a
        return m, 1.0, (a,)
