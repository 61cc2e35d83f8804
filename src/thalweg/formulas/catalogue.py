"""The formulas by name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from thalweg import optimizers
from thalweg.errors import UnknownNameError
from thalweg.formulas import losses
from thalweg.formulas.optimizers import formula_of_optimizer
from thalweg.formulas.orthogonal_rules import muon
from thalweg.formulas.schedules import formula_of_schedule
from thalweg.schedules import names as schedule_names
from thalweg.schedules import parse


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.formulas.formula import Formula

_OTHERS: Final[dict[str, Callable[[], Formula]]] = {
    "binary_cross_entropy": losses.binary_cross_entropy,
    "cross_entropy": losses.cross_entropy,
    "mse": losses.mse,
    "muon": muon,
    "sigmoid": losses.sigmoid,
    "softmax": losses.softmax,
}
_NEEDED: Final = {
    "exponential": "exponential(0.5)",
    "multi_step": "multi_step(50%, 75%)",
    "step": "step(30%)",
    "warmup": "warmup(5%)",
    "cosine_restarts": "cosine_restarts(20%)",
}
"""Schedules that have no meaning without an argument, with one."""


def names() -> tuple[str, ...]:
    """The names of all formulas: of the lab's optimizers, muon, the schedules, the losses, and what losses are made of.

    Example:
        >>> {"adam", "cosine", "softmax"} <= set(names())
        True
    """
    return tuple(sorted({*optimizers.names(), *schedule_names(), *_OTHERS}))


def get(name: str) -> Formula:
    """A formula by name, an optimizer's or a schedule's with its default settings.

    Args:
        name: one of `names()`; `-` may stand for `_`.

    Raises:
        UnknownNameError: no such formula.

    Example:
        >>> print(get("cross-entropy").texts[0])
        L = −∑_{c=1}^C t_c ln(p_c)
    """
    spelled = name.replace("-", "_")
    if spelled in _OTHERS:
        return _OTHERS[spelled]()
    if spelled in optimizers.names():
        return formula_of_optimizer(optimizers.get(spelled))
    if spelled in schedule_names():
        return replace(formula_of_schedule(parse(_NEEDED.get(spelled, spelled))), name=spelled)
    raise UnknownNameError("formula", name, names())
