"""A drop when the metric stops improving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.schedules.arguments import Kind, Number, Word
from thalweg.schedules.schedule import Moment, Schedule


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiply by γ whenever the metric has not improved for more than `patience` values.

    a_n = {0, v_n < (1 − h) b_{n−1}; 0, c_{n−1} > 0; w_{n−1} + 1, c_{n−1} = 0};
    F_n = {max(γ F_{n−1}, ℓ), a_n > p; F_{n−1}, a_n ≤ p}; w_n = {0, a_n > p; a_n, a_n ≤ p};
    c_n = {C, a_n > p; max(c_{n−1} − 1, 0), a_n ≤ p};
    b_n = {v_n, v_n < (1 − h) b_{n−1}; b_{n−1}, v_n ≥ (1 − h) b_{n−1}}.

    F_n is the factor after n values v, a_n the number of values without improvement, w_n the same after a drop, c_n
    what remains of the cooldown C, b_n the best value. With an absolute threshold, v_n < b_{n−1} − h is better;
    with `mode=max`, what is higher. NaN is not better. This is the only schedule that depends on the metric's
    values, and it is a pure function of their list: a resumed run needs nothing else.

    Args:
        gamma: γ, above 0, below 1.
        patience: p, number of tolerated values without improvement, 0 or more.
        threshold: h, at least 0.
        threshold_mode: `rel` or `abs`.
        cooldown: C, number of values after a drop that do not count, 0 or more.
        lowest: ℓ; the factor never falls below this, 0 to 1.
        mode: `min` for a loss, `max` for an accuracy.

    Example:
        >>> Plateau(gamma=0.5, patience=1)(30, 100, values=[3.0, 2.0, 2.0, 2.0])
        0.5

    Source:
        `torch.optim.lr_scheduler.ReduceLROnPlateau` (without its `eps`).
    """

    name: ClassVar[str] = "plateau"
    takes: ClassVar[Mapping[str, Kind]] = {
        "gamma": Number(0, 1, above_low=True, below_high=True),
        "patience": Number(0, whole=True),
        "threshold": Number(0),
        "threshold_mode": Word(("rel", "abs")),
        "cooldown": Number(0, whole=True),
        "lowest": Number(0, 1),
        "mode": Word(("min", "max")),
    }

    gamma: float = 0.1
    patience: float = 10
    threshold: float = 1e-4
    threshold_mode: str = "rel"
    cooldown: float = 0
    lowest: float = 0.0
    mode: str = "min"

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return np.full_like(at.step, self._after(at.values))

    def _after(self, values: Sequence[float]) -> float:
        """The factor once `values` have been seen."""
        factor, bad, cooling = 1.0, 0, 0
        best = np.inf if self.mode == "min" else -np.inf
        for value in values:
            better = self._better(value, best)
            best = value if better else best
            bad = 0 if better or cooling else bad + 1
            cooling = max(cooling - 1, 0)
            if bad > self.patience:
                factor = max(factor * self.gamma, self.lowest)
                bad, cooling = 0, self.cooldown
        return factor

    def _better(self, value: float, best: float) -> bool:
        h = self.threshold
        if self.mode == "min":
            return value < (best * (1 - h) if self.threshold_mode == "rel" else best - h)
        return value > (best * (1 + h) if self.threshold_mode == "rel" else best + h)
