"""The formula of an optimizer, with its settings: of sgd with momentum, that of momentum.

Every one has its update, θ_t = θ_{t−1} − η_t m / σ, of a direction m and a scale σ.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from thalweg.formulas import moment_rules, scale_rules
from thalweg.formulas.formula import Formula
from thalweg.formulas.symbols import DECAY, GRADIENT, RATE, STEP, WEIGHT
from thalweg.formulas.tree import Cases, Line, Minus, Node, Term, call
from thalweg.optimizers.adadelta import Adadelta
from thalweg.optimizers.adagrad import Adagrad
from thalweg.optimizers.adagrad_mean import AdagradMean
from thalweg.optimizers.adam import Adam
from thalweg.optimizers.adamax import Adamax
from thalweg.optimizers.lion import Lion
from thalweg.optimizers.nadam import NAdam
from thalweg.optimizers.radam import RAdam
from thalweg.optimizers.rmsprop import RMSprop
from thalweg.optimizers.rprop import Rprop
from thalweg.optimizers.sgd import SGD
from thalweg.optimizers.sign_sgd import SignSGD


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.formulas.rule import Rule
    from thalweg.optimizers import Optimizer

t, g = STEP, GRADIENT

_RULES: Final[dict[type, Callable[[Any], Rule]]] = {
    Adadelta: scale_rules.adadelta,
    Adagrad: scale_rules.adagrad,
    AdagradMean: scale_rules.adagrad_mean,
    Adam: moment_rules.adam,
    Adamax: moment_rules.adamax,
    Lion: moment_rules.lion,
    NAdam: moment_rules.nadam,
    RAdam: moment_rules.radam,
    RMSprop: scale_rules.rmsprop,
    Rprop: scale_rules.rprop,
    SGD: scale_rules.sgd,
    SignSGD: moment_rules.sign_sgd,
}
"""Class to its rule; a subclass has that of its base, with its own settings."""


@lru_cache(maxsize=64)
def formula_of_optimizer(optimizer: Optimizer) -> Formula:
    """The formula of an optimizer with its settings, weight decay included.

    Args:
        optimizer: from `optimizers.get`.

    Raises:
        TypeError: no formula of its class is known.

    Example:
        >>> from thalweg import optimizers
        >>> print(formula_of_optimizer(optimizers.get("sgd", weight_decay=0.1)).text)
        g_t = ∇L(θ_{t−1}) + λ θ_{t−1}; θ_t = θ_{t−1} − η_t g_t
    """
    rule = _rule_of(optimizer)
    coupled, decoupled = optimizer.decays
    shrink = (1 - RATE[t] * DECAY) if decoupled else None
    settings = {**rule.settings, **({DECAY.key: coupled or decoupled} if coupled or decoupled else {})}
    update = Line(WEIGHT[t], _kept(shrink) - _move(rule))
    return Formula(
        name=optimizer.name,
        lines=(*_gradient(coupled, climbs=optimizer.maximize), *rule.lines, update, *rule.after),
        settings=settings,
        start=rule.start,
        recovered=rule.recovered,
    )


def _kept(shrink: Node | None) -> Node:
    return WEIGHT[t - 1] if shrink is None else shrink * WEIGHT[t - 1]


def _move(rule: Rule) -> Node:
    if isinstance(rule.direction, Cases):  # its cases are lit themselves
        return rule.rate * rule.direction
    direction = Term(rule.direction, "change", "direction")
    top = Term(rule.rate, "change", "rate") * direction
    return top if rule.scale is None else top / Term(rule.scale, "change", "scale")


def _gradient(coupled: float, *, climbs: bool) -> tuple[Line, ...]:
    """The line of the gradient, where it is not simply the slope."""
    slope = call("∇L", WEIGHT[t - 1])
    if not coupled and not climbs:
        return ()
    slope = Minus(slope) if climbs else slope
    return (Line(g[t], slope + DECAY * WEIGHT[t - 1] if coupled else slope),)


def _rule_of(optimizer: Optimizer) -> Rule:
    for kind in type(optimizer).__mro__:
        if kind in _RULES:
            return _RULES[kind](optimizer)
    raise TypeError(optimizer)
