"""Gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thalweg.optimizers.sgd import SGD


@dataclass(frozen=True, kw_only=True)
class Momentum(SGD):
    """`sgd` with momentum 0.9: it keeps the direction of the gradients before.

    m_t = μ m_{t−1} + g_t; θ_t = θ_{t−1} − η_t m_t.

    Example:
        >>> Momentum().step(2.0, (1.0,), (2.0,), Momentum().hyper())[0]
        2.9

    Source:
        Polyak, 1964, https://doi.org/10.1016/0041-5553(64)90137-5
    """

    momentum: float = 0.9

    name: ClassVar[str] = "momentum"
