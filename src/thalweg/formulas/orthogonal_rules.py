"""The formula of muon, which moves whole matrices: momentum, with each matrix made nearly orthogonal."""

from __future__ import annotations

from typing import Final

from thalweg.formulas.formula import Formula
from thalweg.formulas.symbols import DECAY, GRADIENT, MOMENTUM, RATE, STEP, WEIGHT
from thalweg.formulas.tree import Line, Symbol, call, root


_MOMENT: Final = Symbol("m", meaning="direction")
_VALUE: Final = Symbol("s", meaning="singular_value")
_ORTHOGONAL: Final = Symbol("O", meaning="orthogonalized")
_ROWS: Final = Symbol("R", meaning="rows")
_COLUMNS: Final = Symbol("K", meaning="columns")


def muon(momentum: float | None = None, weight_decay: float | None = None) -> Formula:
    """The step of muon for a matrix of R rows and K columns; biases, norms and the classifier have that of AdamW.

    O_t is the matrix g_t + μ m_t with other singular values: instead of each, relative to the matrix's norm, that which
    comes from applying f five times, which is near 1. No line says so, because a formula knows no singular values.

    Args:
        momentum: μ; None: not known.
        weight_decay: λ; None: not known.

    Example:
        >>> print(muon(0.95, 0.05).texts[-1])
        θ_t = (1 − η_t λ) θ_{t−1} − 0.2 η_t √max(R, K) O_t

    Source:
        Jordan et al., 2024, https://kellerjordan.github.io/posts/muon; Liu et al., 2025,
        https://arxiv.org/abs/2502.16982, for the factor
    """
    t, s = STEP, _VALUE
    settings = {MOMENTUM.key: momentum, DECAY.key: weight_decay}
    return Formula(
        "muon",
        (
            Line(_MOMENT[t], MOMENTUM * _MOMENT[t - 1] + GRADIENT[t]),
            Line(call("f", s), 3.4445 * s - 4.775 * s**3 + 2.0315 * s**5),
            Line(
                WEIGHT[t],
                (1 - RATE[t] * DECAY) * WEIGHT[t - 1]
                - 0.2 * RATE[t] * root(call("max", _ROWS, _COLUMNS)) * _ORTHOGONAL[t],
            ),
        ),
        {key: value for key, value in settings.items() if value is not None},
        start={_MOMENT.key: 0.0},
    )
