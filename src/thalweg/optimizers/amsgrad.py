"""Adam that never forgets a large gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from thalweg.optimizers.adam import Adam


@dataclass(frozen=True, kw_only=True)
class AMSGrad(Adam):
    """`adam` with the largest v so far in σ, so that the rate of a coordinate never grows.

    m_t = β₁ m_{t−1} + (1 − β₁) g_t; v_t = β₂ v_{t−1} + (1 − β₂) g_t²; u_t = max(u_{t−1}, v_t);
    m̂_t = m_t / (1 − β₁ᵗ); û_t = u_t / (1 − β₂ᵗ); σ_t = √û_t + ε; θ_t = θ_{t−1} − η_t m̂_t / σ_t.

    Example:
        >>> AMSGrad().amsgrad
        True

    Source:
        Reddi, Kale, Kumar, 2018, https://openreview.net/forum?id=ryQu7f-RZ
    """

    amsgrad: bool = True

    name: ClassVar[str] = "amsgrad"
