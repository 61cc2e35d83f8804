"""Adam with decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from thalweg.optimizers.adam import Adam


@dataclass(frozen=True, kw_only=True)
class AdamW(Adam):
    """`adam` with weight decay that shrinks θ itself, independent of σ.

    m_t = β₁ m_{t−1} + (1 − β₁) g_t; v_t = β₂ v_{t−1} + (1 − β₂) g_t²; m̂_t = m_t / (1 − β₁ᵗ);
    v̂_t = v_t / (1 − β₂ᵗ); σ_t = √v̂_t + ε; θ_t = (1 − η_t λ) θ_{t−1} − η_t m̂_t / σ_t.

    Example:
        >>> AdamW().decays
        (0.0, 0.01)

    Source:
        Loshchilov, Hutter, 2019, https://arxiv.org/abs/1711.05101
    """

    weight_decay: float = 1e-2
    decoupled_weight_decay: bool = True

    name: ClassVar[str] = "adamw"
    torch_class: ClassVar[str | None] = "AdamW"

    def torch_options(self) -> dict[str, Any]:
        """As for every optimizer, without the flag: torch's class always decouples."""
        options = super().torch_options()
        del options["decoupled_weight_decay"]
        return options
