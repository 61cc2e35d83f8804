"""The rules of the optimizers without two moments: SGD, those that scale its steps, and Rprop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.formulas.rule import Rule, mixed, rooted
from thalweg.formulas.symbols import (
    DIRECTION,
    EPSILON,
    FIRST_RATE,
    GRADIENT,
    ITEM,
    MEAN_SQUARE,
    MOMENTUM,
    RATE,
    RECORDED,
    SCALE,
    STEP,
)
from thalweg.formulas.tree import Fraction, Line, Node, Symbol, call, cases, node, root, series, when


if TYPE_CHECKING:
    from thalweg.optimizers.adadelta import Adadelta
    from thalweg.optimizers.adagrad import Adagrad
    from thalweg.optimizers.adagrad_mean import AdagradMean
    from thalweg.optimizers.rmsprop import RMSprop
    from thalweg.optimizers.rprop import Rprop
    from thalweg.optimizers.sgd import SGD

t, g, m, s, v = STEP, GRADIENT, DIRECTION, SCALE, MEAN_SQUARE


def sgd(optimizer: SGD) -> Rule:
    """The rule of `SGD`."""
    if optimizer.momentum == 0:
        return Rule(g[t])
    damping = Symbol("τ", meaning="dampening")
    new = (1 - damping) * g[t] if optimizer.dampening else g[t]
    mean = mixed(MOMENTUM * m[t - 1], new, "mean")
    if optimizer.dampening:
        mean = cases((g[t], when(t, "=", 1)), (mean, when(t, ">", 1)))
    settings = {MOMENTUM.key: optimizer.momentum}
    if optimizer.dampening:
        settings[damping.key] = optimizer.dampening
    ahead = optimizer.nesterov
    return Rule(
        g[t] + MOMENTUM * m[t] if ahead else m[t],
        lines=(Line(m[t], mean),),
        settings=settings,
        start={m.key: 0.0},
        recovered={m.key: (RECORDED[t] - g[t]) / MOMENTUM if ahead else RECORDED[t]},
    )


def adagrad(optimizer: Adagrad) -> Rule:
    """The rule of `Adagrad`."""
    squares: Node = series("∑", ITEM, 1, t, g[ITEM] ** 2)
    settings: dict[str, Any] = {EPSILON.key: optimizer.eps}
    lines: tuple[Line, ...] = ()
    if optimizer.initial_accumulator_value:
        first = Symbol("s", meaning="first_sum")
        squares, settings[first.key] = first[0] + squares, {0: optimizer.initial_accumulator_value}
    if optimizer.lr_decay:
        delta = Symbol("δ", meaning="rate_decay")
        lines, settings[delta.key] = (Line(m[t], g[t] / (1 + (t - 1) * delta)),), optimizer.lr_decay
    return Rule(m[t] if lines else g[t], s[t], lines=(*lines, Line(s[t], rooted(squares))), settings=settings)


def adagrad_mean(optimizer: AdagradMean) -> Rule:
    """The rule of `AdagradMean`."""
    mean = Fraction(node(1), t) * series("∑", ITEM, 1, t, g[ITEM] ** 2)
    return Rule(g[t], s[t], lines=(Line(s[t], rooted(mean)),), settings={EPSILON.key: optimizer.eps})


def rmsprop(optimizer: RMSprop) -> Rule:
    """The rule of `RMSprop`."""
    alpha, mean = Symbol("α", meaning="alpha"), Symbol("g", mark="bar", meaning="mean_gradient")
    settings = {alpha.key: optimizer.alpha, EPSILON.key: optimizer.eps}
    lines = [Line(v[t], mixed(alpha * v[t - 1], (1 - alpha) * g[t] ** 2, "square"))]
    start, recovered = {v.key: 0.0}, {v.key: (s[t] - EPSILON) ** 2}
    variance: Node = v[t]
    if optimizer.centered:
        lines.append(Line(mean[t], mixed(alpha * mean[t - 1], (1 - alpha) * g[t], "mean")))
        variance, recovered = v[t] - mean[t] ** 2, {}
        start[mean.key] = 0.0
    lines.append(Line(s[t], rooted(variance)))
    if optimizer.momentum == 0:
        return Rule(g[t], s[t], lines=tuple(lines), settings=settings, start=start, recovered=recovered)
    lines.append(Line(m[t], mixed(MOMENTUM * m[t - 1], g[t] / s[t], "momentum")))
    settings[MOMENTUM.key], start[m.key] = optimizer.momentum, 0.0
    recovered[m.key] = RECORDED[t] / s[t]
    return Rule(m[t], lines=tuple(lines), settings=settings, start=start, recovered=recovered)


def adadelta(optimizer: Adadelta) -> Rule:
    """The rule of `Adadelta`."""
    rho, moves = Symbol("ρ", meaning="rho"), Symbol("d", meaning="mean_move")
    return Rule(
        m[t],
        s[t],
        lines=(
            Line(v[t], mixed(rho * v[t - 1], (1 - rho) * g[t] ** 2, "square")),
            Line(s[t], root(v[t] + EPSILON)),
            Line(m[t], root(moves[t - 1] + EPSILON) * g[t]),
        ),
        after=(Line(moves[t], rho * moves[t - 1] + (1 - rho) * (m[t] / s[t]) ** 2),),
        settings={rho.key: optimizer.rho, EPSILON.key: optimizer.eps},
        start={v.key: 0.0, moves.key: 0.0},
        recovered={v.key: s[t] ** 2 - EPSILON, m.key: RECORDED[t]},
    )


def rprop(optimizer: Rprop) -> Rule:
    """The rule of `Rprop`."""
    size, seen = Symbol("s", meaning="step_size"), Symbol("d", meaning="kept_gradient")
    shrink, grow = Symbol("η", "−", meaning="shrink"), Symbol("η", "+", meaning="grow")
    least, most = Symbol("s", "min", meaning="least_size"), Symbol("s", "max", meaning="most_size")
    turn = g[t] * seen[t - 1]
    factor = cases((grow, when(turn, ">", 0)), (shrink, when(turn, "<", 0)), (1, when(turn, "=", 0)))
    return Rule(
        call("sign", seen[t]),
        rate=Fraction(RATE[t], FIRST_RATE) * size[t],
        lines=(
            Line(size[t], call("min", call("max", size[t - 1] * factor, least), most)),
            Line(seen[t], cases((0, when(turn, "<", 0)), (g[t], when(turn, "≥", 0)))),
        ),
        settings={
            shrink.key: optimizer.etas[0],
            grow.key: optimizer.etas[1],
            least.key: optimizer.step_sizes[0],
            most.key: optimizer.step_sizes[1],
        },
        start={seen.key: 0.0},
    )
