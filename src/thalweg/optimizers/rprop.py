"""Rprop: only the gradient's sign, and steps that adapt their own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.errors import UsageError
from thalweg.optimizers.optimizer import Optimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class Rprop(Optimizer):
    """A step that grows while the gradient keeps its sign; when the sign changes, it shrinks and skips one update.

    s_t = s_{t−1} η₊ where g_t g_{t−1} > 0, s_{t−1} η₋ where it is < 0 (and then g_t counts as 0), within the limits;
    m_t = s_t sign(g_t); σ_t = η, the learning rate, which is the first step's size and nothing else.

    Args:
        etas: (η₋, η₊), below and above 1.
        step_sizes: the least and the largest s.

    Example:
        >>> Rprop().step(2.0, (1.0, 0.1, 0.1), (2.0,), Rprop().hyper())[0]
        0.12

    Source:
        Riedmiller, Braun, 1993, https://doi.org/10.1109/ICNN.1993.298623
    """

    etas: tuple[float, float] = (0.5, 1.2)
    step_sizes: tuple[float, float] = (1e-6, 50.0)

    name: ClassVar[str] = "rprop"
    torch_class: ClassVar[str | None] = "Rprop"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 < self.etas[0] < 1.0 < self.etas[1]:
            raise UsageError("optimizers.bad_etas", value=self.etas)

    def hyper(self) -> State:
        """(η₋, η₊, the least s, the largest s)."""
        return *self.etas, *self.step_sizes

    def start(self, lr: Any) -> State:
        """(the gradient before, s, η)."""
        return 0.0, lr, lr

    @staticmethod
    def step(g: float, state: State, clock: State, hyper: State) -> Step:  # noqa: ARG004 - as for every optimizer
        """See the class."""
        before, size, lr = state
        shrink, grow, least, largest = hyper
        turned = g * before < 0.0
        size = size * (shrink if turned else grow if g * before > 0.0 else 1.0)
        size = min(max(size, least), largest)
        g = 0.0 if turned else g
        sign = 1.0 if g > 0.0 else -1.0 if g < 0.0 else g
        return size * sign, lr, (g, size, lr)
