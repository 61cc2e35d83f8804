"""Gradient descent with Nesterov's momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thalweg.optimizers.sgd import SGD


@dataclass(frozen=True, kw_only=True)
class Nesterov(SGD):
    """`momentum` with a look-ahead: the gradient counts once more.

    m_t = μ m_{t−1} + g_t; θ_t = θ_{t−1} − η_t (g_t + μ m_t).

    Example:
        >>> Nesterov().step(2.0, (0.0,), (1.0,), Nesterov().hyper())[0]
        3.8

    Source:
        Nesterov, 1983, Soviet Mathematics Doklady 27; the form of Sutskever et al., 2013,
        https://proceedings.mlr.press/v28/sutskever13.html
    """

    momentum: float = 0.9
    nesterov: bool = True

    name: ClassVar[str] = "nesterov"
