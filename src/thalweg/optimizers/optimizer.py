"""What every optimizer is: named hyper-parameters and a pure step."""

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
    """θ ← θ − η_t m_t / σ_t, for each coordinate by itself.

    A subclass has the hyper-parameters as fields, with torch.optim's names and defaults, and `step`, the formula of its
    paper, which says what m and σ are.

    Args:
        maximize: climb instead of descend: g ← −g before the step.
    """

    maximize: bool = False

    name: ClassVar[str]
    """What `get` calls it."""
    torch_class: ClassVar[str | None] = None
    """The class of `torch.optim` that does the same; `None` when torch has none."""
    default_lr: ClassVar[float] = 1e-2
    """The learning rate when none is given: torch.optim's."""
    ranges: ClassVar[dict[str, tuple[float, float]]] = {}
    """The range of each number that is not simply at least 0: its minimum, and the bound it stays below."""
    step: ClassVar[Callable[[float, State, State, State], Step]]
    """(g, state, clock, hyper) → (m, σ, state): one coordinate, one step. Plain arithmetic, which Numba compiles."""

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check(field.name, getattr(self, field.name), field.default)

    @property
    def decays(self) -> tuple[float, float]:
        """λ that adds λ θ to the gradient before the step, and λ that takes η λ θ from θ itself."""
        return 0.0, 0.0

    def hyper(self) -> State:
        """What `step` unpacks as its last argument."""
        raise NotImplementedError

    def start(self, lr: Any) -> State:
        """The state of one coordinate before the first step, given the learning rate, one or an array of them."""
        raise NotImplementedError

    def clock(self, t_S: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
        """What depends on the time alone, at the steps t = 1, 2, ..., S; `step` unpacks one moment of it."""
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
    """An optimizer whose weight decay may leave the gradient alone: θ ← θ − η_t λ θ before the step.

    Args:
        decoupled_weight_decay: whether it does.

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
    """1 / (1 − βᵗ) at each t, for β in [0, 1) and rising t: what a mean that began at zero is multiplied by.

    βᵗ is taken by the exponential, which NumPy has faster than the power, and only as long as it counts in float64.
    """
    correction_S = np.ones_like(t_S)
    if beta > 0.0:
        counting_T = t_S[: int(np.searchsorted(t_S, -54.0 * math.log(2.0) / math.log(beta)))]
        correction_S[: len(counting_T)] = 1.0 / (1.0 - np.exp(counting_T * math.log(beta)))
    return correction_S
