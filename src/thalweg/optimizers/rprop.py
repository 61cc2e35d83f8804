"""Rprop: only the gradient's sign, and steps that adapt their own size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.errors import UsageError
from thalweg.optimizers.optimizer import Optimizer, State, Step


@dataclass(frozen=True, kw_only=True)
class Rprop(Optimizer):
    """A step that grows while the gradient keeps its sign; when the sign changes, it shrinks and skips one update.

    s_t = min(max(s_{t−1} {η₊, g_t d_{t−1} > 0; η₋, g_t d_{t−1} < 0; 1, g_t d_{t−1} = 0}, s_min), s_max);
    d_t = {0, g_t d_{t−1} < 0; g_t, g_t d_{t−1} ≥ 0}; θ_t = θ_{t−1} − (η_t / η₀) s_t sign(d_t). s_0 = η₀ is the
    learning rate, which is the first step's size and nothing else; in the code m_t = s_t sign(d_t), and σ_t = η₀.

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
