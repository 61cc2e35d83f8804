"""The base of every optimizer: named hyper-parameters and a pure step."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

State = tuple[float, ...]
Step = tuple[float, float, State]


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """θ ← θ − η_t m_t / σ_t, for each coordinate separately.

    A formula calls the direction by its own name (m̂_t for `adam`), and where σ is 1, leaves it out.

    A subclass has its hyper-parameters as fields, with torch.optim's names and defaults, and `step`, the formula of its
    paper, which computes m and σ.

    Args:
        maximize: climb instead of descend: g ← −g before the step.
    """

    maximize: bool = False

    name: ClassVar[str]
    """Its name in `get`."""
    torch_class: ClassVar[str | None] = None
    """The equivalent class of `torch.optim`; `None` if torch has none."""
    default_lr: ClassVar[float] = 1e-2
    """The default learning rate, that of torch.optim."""
    ranges: ClassVar[dict[str, tuple[float, float]]] = {}
    """The range of each number that has limits other than at least 0: its minimum, and its exclusive maximum."""
    step: ClassVar[Callable[[float, State, State, State], Step]]
    """(g, state, clock, hyper) → (m, σ, state): one coordinate, one step. Plain arithmetic, which Numba compiles."""

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check(field.name, getattr(self, field.name), field.default)

    @property
    def decays(self) -> tuple[float, float]:
        """The coupled λ, which adds λ θ to the gradient, and the decoupled λ, which subtracts η λ θ from θ."""
        return 0.0, 0.0

    def hyper(self) -> State:
        """The values that `step` unpacks from its last argument."""
        raise NotImplementedError

    def start(self, lr: Any) -> State:
        """The state of one coordinate before the first step, for one learning rate or an array of them."""
        raise NotImplementedError

    def clock(self, t_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """The values that depend only on time, at the steps t = 1, 2, ..., S; `step` unpacks those of its step."""
        return (t_S,)

    def torch_options(self) -> dict[str, Any]:
        """The keyword arguments, besides `lr`, that make `torch_class` this optimizer."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def _check(self, name: str, value: Any, default: Any) -> None:
        least, below = self.ranges.get(name, (0.0, math.inf))
        if isinstance(default, bool):
            right = isinstance(value, bool)
        elif isinstance(default, tuple):
            right = isinstance(value, tuple) and len(value) == len(default)
            right = right and all(_is_within(number, least, below) for number in value)
        else:
            right = _is_within(value, least, below)
        if not right:
            kind = {bool: "switch", tuple: "pair"}.get(type(default), "number")
            raise UsageError(
                f"optimizers.bad_{kind}", optimizer=self.name, name=name, value=value, least=least, below=below
            )


@dataclass(frozen=True, kw_only=True)
class DecayingOptimizer(Optimizer):
    """An optimizer with weight decay: g ← g + λ θ before the step.

    Args:
        weight_decay: λ, at least 0.
    """

    weight_decay: float = 0.0

    @property
    def decays(self) -> tuple[float, float]:
        """(λ, 0)."""
        return self.weight_decay, 0.0


@dataclass(frozen=True, kw_only=True)
class DecouplingOptimizer(DecayingOptimizer):
    """An optimizer whose weight decay may be decoupled: θ ← θ − η_t λ θ before the step.

    Args:
        decoupled_weight_decay: whether it is.

    Source:
        Loshchilov, Hutter, 2019, https://arxiv.org/abs/1711.05101
    """

    decoupled_weight_decay: bool = False

    @property
    def decays(self) -> tuple[float, float]:
        """(λ, 0), or (0, λ) when decoupled."""
        return (0.0, self.weight_decay) if self.decoupled_weight_decay else (self.weight_decay, 0.0)


def _is_within(value: Any, least: float, below: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < below


def correction(beta: float, t_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 − βᵗ) at each t, for β in [0, 1) and increasing t: the correction of a mean that starts at zero.

    βᵗ is computed with the exponential, which is faster in NumPy than the power, and only while it matters in float64.
    """
    correction_S = np.ones_like(t_S)
    if beta > 0.0:
        counting_T = t_S[: int(np.searchsorted(t_S, -54.0 * math.log(2.0) / math.log(beta)))]
        correction_S[: len(counting_T)] = 1.0 / (1.0 - np.exp(counting_T * math.log(beta)))
    return correction_S
