"""The rules of the optimizers with moments (Adam and its kin) and of those that follow signs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from thalweg.formulas.rule import Rule, mixed, rooted
from thalweg.formulas.symbols import (
    ANY,
    EPSILON,
    FIRST_BETA,
    GRADIENT,
    ITEM,
    MEAN_SQUARE,
    MOMENTUM,
    RECORDED,
    SCALE,
    SECOND_BETA,
    STEP,
)
from thalweg.formulas.tree import Fence, Line, Node, Symbol, Term, call, cases, root, series, when


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thalweg.optimizers.adam import Adam
    from thalweg.optimizers.adamax import Adamax
    from thalweg.optimizers.lion import Lion
    from thalweg.optimizers.nadam import NAdam
    from thalweg.optimizers.radam import RAdam
    from thalweg.optimizers.sign_sgd import SignSGD

t, g, s, v = STEP, GRADIENT, SCALE, MEAN_SQUARE
b1, b2 = FIRST_BETA, SECOND_BETA
m = Symbol("m", meaning="mean_gradient")
m_hat = Symbol("m", mark="hat", meaning="corrected_mean")
v_hat = Symbol("v", mark="hat", meaning="corrected_square")

_MEAN = Line(m[t], mixed(b1 * m[t - 1], (1 - b1) * g[t], "mean"))
_SQUARE = Line(v[t], mixed(b2 * v[t - 1], (1 - b2) * g[t] ** 2, "square"))
_MEAN_HAT = Line(m_hat[t], m[t] / (1 - b1**t))
_SQUARE_HAT = Line(v_hat[t], v[t] / (1 - b2**t))
_START = {m.key: 0.0, v.key: 0.0}
_UNSCALED: Node = (s[t] - EPSILON) ** 2


def _betas(betas: tuple[float, float], eps: float | None = None) -> Mapping[str, float]:
    return {b1.key: betas[0], b2.key: betas[1], **({} if eps is None else {EPSILON.key: eps})}


def adam(optimizer: Adam) -> Rule:
    """The rule of `Adam`."""
    lines, start = [_MEAN, _SQUARE], dict(_START)
    recovered: dict[str, Node] = {m.key: RECORDED[t] * (1 - b1**t), m_hat.key: RECORDED[t]}
    if optimizer.amsgrad:
        most, most_hat = Symbol("u", meaning="most_square"), Symbol("u", mark="hat", meaning="corrected_most")
        lines.append(Line(most[t], call("max", most[t - 1], v[t])))
        lines += [_MEAN_HAT, Line(most_hat[t], most[t] / (1 - b2**t)), Line(s[t], rooted(most_hat[t]))]
        start[most.key] = 0.0
        recovered |= {most.key: _UNSCALED * (1 - b2**t), most_hat.key: _UNSCALED}
    else:
        lines += [_MEAN_HAT, _SQUARE_HAT, Line(s[t], rooted(v_hat[t]))]
        recovered |= {v.key: _UNSCALED * (1 - b2**t), v_hat.key: _UNSCALED}
    settings = _betas(optimizer.betas, optimizer.eps)
    return Rule(m_hat[t], s[t], lines=tuple(lines), settings=settings, start=start, recovered=recovered)


def adamax(optimizer: Adamax) -> Rule:
    """The rule of `Adamax`."""
    largest = call("max", Term(b2 * s[t - 1], "largest", "old"), Term(Fence(g[t], "||") + EPSILON, "largest", "new"))
    return Rule(
        m_hat[t],
        s[t],
        lines=(_MEAN, _MEAN_HAT, Line(s[t], largest)),
        settings=_betas(optimizer.betas, optimizer.eps),
        start={m.key: 0.0, s.key: 0.0},
        recovered={m.key: RECORDED[t] * (1 - b1**t), m_hat.key: RECORDED[t]},
    )


def nadam(optimizer: NAdam) -> Rule:
    """The rule of `NAdam`."""
    psi, mu = Symbol("ψ", meaning="momentum_decay"), Symbol("μ", meaning="warming")
    so_far, next_too = (1 - series("∏", ITEM, 1, last, mu[ITEM]) for last in (t, t + 1))
    return Rule(
        m_hat[t],
        s[t],
        lines=(
            _MEAN,
            _SQUARE,
            Line(mu[ANY], b1 * (1 - 0.96 ** (ANY * psi) / 2)),
            Line(m_hat[t], mixed(mu[t + 1] * m[t] / next_too, (1 - mu[t]) * g[t] / so_far, "ahead")),
            _SQUARE_HAT,
            Line(s[t], rooted(v_hat[t])),
        ),
        settings={**_betas(optimizer.betas, optimizer.eps), psi.key: optimizer.momentum_decay},
        start=_START,
        recovered={m_hat.key: RECORDED[t], v.key: _UNSCALED * (1 - b2**t), v_hat.key: _UNSCALED},
    )


def radam(optimizer: RAdam) -> Rule:
    """The rule of `RAdam`."""
    rho, end = Symbol("ρ", meaning="degrees"), Symbol("ρ", "∞", meaning="last_degrees")
    trust, scale = Symbol("r", meaning="trust"), Symbol("s", meaning="scale")  # a trace records 1 while ρ_t ≤ 5
    share = ((rho[t] - 4) * (rho[t] - 2) * end) / ((end - 4) * (end - 2) * rho[t])
    move = cases(
        (Term(m_hat[t], "trusted", "no"), when(rho[t], "≤", 5)),
        (Term(trust[t] * m_hat[t] / scale[t], "trusted", "yes"), when(rho[t], ">", 5)),
    )
    return Rule(
        move,
        lines=(
            _MEAN,
            _SQUARE,
            _MEAN_HAT,
            Line(end, 2 / (1 - b2) - 1),
            Line(rho[t], end - 2 * t * b2**t / (1 - b2**t)),
            Line(trust[t], root(share)),
            Line(scale[t], (root(v[t]) + EPSILON) / root(1 - b2**t)),
        ),
        settings=_betas(optimizer.betas, optimizer.eps),
        start=_START,
    )


def lion(optimizer: Lion) -> Rule:
    """The rule of `Lion`."""
    look = Symbol("c", meaning="look_ahead")
    return Rule(
        call("sign", look[t]),
        lines=(Line(look[t], mixed(b1 * m[t - 1], (1 - b1) * g[t], "look")),),
        after=(Line(m[t], mixed(b2 * m[t - 1], (1 - b2) * g[t], "mean")),),
        settings=_betas(optimizer.betas),
        start={m.key: 0.0},
    )


def sign_sgd(optimizer: SignSGD) -> Rule:
    """The rule of `SignSGD`."""
    if optimizer.momentum == 0:
        return Rule(call("sign", g[t]))
    mean = mixed(MOMENTUM * m[t - 1], (1 - MOMENTUM) * g[t], "mean")
    settings = {MOMENTUM.key: optimizer.momentum}
    return Rule(call("sign", m[t]), lines=(Line(m[t], mean),), settings=settings, start={m.key: 0.0})
