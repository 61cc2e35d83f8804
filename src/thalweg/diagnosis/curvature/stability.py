"""The largest curvature at which an optimizer is stable, and the curvature of the loss.

On a quadratic, an update is linear, and it grows without bound once an eigenvalue of the Hessian exceeds a threshold
that depends on learning rate and momentum. Full-batch training raises the largest eigenvalue to that threshold and
hovers there, at the edge of stability; with small batches it stays below.

Shape suffix: P entries of all parameters in question, concatenated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from thalweg.diagnosis.curvature.lanczos import Extremes, extremes
from thalweg.diagnosis.curvature.operator import HessianOperator


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.curvature.lanczos import Eigenvalue
    from thalweg.diagnosis.curvature.objective import Mode

Kind = Literal["gradient_descent", "heavy_ball", "nesterov", "adam", "rmsprop", "adagrad"]


@dataclass(frozen=True, slots=True, eq=False)
class Threshold:
    """The largest eigenvalue at which an optimizer is stable.

    Attributes:
        value: the largest stable eigenvalue of `P^-1/2 (H + D) P^-1/2`.
        kind: the optimizer whose formula it is.
        formula: its key in the catalogue.
        preconditioner_P: the diagonal of P, shape (P,); infinite for a parameter that does not move. None: the
            identity.
        decay_P: the diagonal of D, the weight decay that is part of the gradient; None: no such decay.
    """

    value: float
    kind: Kind
    formula: str
    preconditioner_P: Tensor | None
    decay_P: Tensor | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sharpness:
    """The largest eigenvalue and the optimizer's stability threshold.

    Attributes:
        largest: of the Hessian, preconditioned as the threshold's formula requires.
        threshold: None if no formula is known or the optimizer has made no step; `largest` is then that of the plain
            Hessian.
        ratio: largest / threshold; above 1, the update overshoots along that eigenvector. None without a threshold.
        extremes: both ends, as a start for the next search.
    """

    largest: Eigenvalue
    threshold: Threshold | None
    ratio: float | None
    extremes: Extremes


def sharpness(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: Callable[[Any, Any], Tensor],
    batches: Any,
    *,
    mode: Mode = "keep",
    tolerance: float = 1e-2,
    most: int = 40,
    start: Extremes | None = None,
    seed: int = 0,
) -> Sharpness:
    """Compare the largest Hessian eigenvalue of the loss with the optimizer's stability threshold.

    Args:
        model: as for `HessianOperator`; it does not change.
        optimizer: from torch.optim, over the model's parameters.
        loss_fn: `loss_fn(model(inputs), targets)` is a scalar, a mean over the batch.
        batches: as for `HessianOperator`. The curvature of one small batch is not that of the data set.
        mode: as for `HessianOperator`.
        tolerance: as for `extremes`.
        most: the maximum number of products.
        start: `extremes` of an earlier check.
        seed: as for `extremes`.

    Returns:
        Eigenvalue, threshold and their ratio.

    Raises:
        UsageError: see `HessianOperator` and `extremes`.
        TrainingError: the loss is not finite.

    Example:
        >>> layer = torch.nn.Linear(2, 1, bias=False)  # the loss is (w·x)², its Hessian 2 x xᵀ
        >>> square = lambda outputs, targets: (outputs - targets).square().mean()
        >>> descent = torch.optim.SGD(layer.parameters(), lr=0.2)  # stable up to an eigenvalue of 10
        >>> found = sharpness(layer, descent, square, [(torch.tensor([[1.0, 3.0]]), torch.zeros(1, 1))])
        >>> round(found.ratio, 3)
        2.0

    Source: Cohen et al. 2021, https://arxiv.org/abs/2103.00065; Cohen et al. 2022, https://arxiv.org/abs/2207.14484.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    threshold = stability_threshold(optimizer, parameters)
    with HessianOperator(model, loss_fn, batches, parameters=parameters, mode=mode) as hessian:
        decay_P = None if threshold is None else threshold.decay_P
        found = extremes(
            hessian if decay_P is None else _WithDecay(hessian, decay_P),
            which="largest",
            tolerance=tolerance,
            most=most,
            start=start,
            seed=seed,
            preconditioner_P=None if threshold is None else threshold.preconditioner_P,
        )
    ratio = None if threshold is None else found.largest.value / threshold.value
    return Sharpness(found.largest, threshold, ratio, found)


def stability_threshold(optimizer: Optimizer, parameters: Iterable[Tensor] | None = None) -> Threshold | None:
    """The largest eigenvalue of the (preconditioned) Hessian at which the optimizer's update does not grow.

    With learning rate η, momentum β, and the preconditioner P of the optimizer's current state:

    - gradient descent: `2 / η`; heavy ball: `2 (1 + β) / η`; Nesterov: `(2 + 2β) / ((1 + 2β) η)`
    - Adam, AdamW: `(2 + 2β₁) / ((1 − β₁) η)`, which is 38 / η at β₁ = 0.9, with `P = √v̂ + ε`; decoupled decay λ
      makes it `(2 − ηλ) (1 + β₁) / ((1 − β₁) η)`
    - RMSprop: `2 (1 + μ) / η` with `P = √v + ε`; Adagrad: `2 / η` with `P = √Σg² + ε`

    Weight decay that is part of the gradient adds curvature, which `decay_P` holds. Groups of parameters may differ in
    learning rate and decay: η is the largest rate, and slower parameters have a larger P.

    Args:
        optimizer: from torch.optim.
        parameters: in the order of the Hessian's rows; None: the optimizer's own order.

    Returns:
        The threshold; None for other optimizers, for `maximize`, for groups with different momenta, and before the
        first step of an optimizer whose preconditioner depends on its steps.

    Example:
        >>> weight = torch.nn.Parameter(torch.ones(3))
        >>> stability_threshold(torch.optim.SGD([weight], lr=0.125, momentum=0.5)).value
        24.0

    Source: Cohen et al. 2021, https://arxiv.org/abs/2103.00065, appendix B; Cohen et al. 2022,
    https://arxiv.org/abs/2207.14484, section 2.
    """
    groups = [group for group in optimizer.param_groups if group["params"]]
    formula = _FORMULAS.get(type(optimizer))
    if formula is None or not groups or any(group.get("maximize") for group in groups):
        return None
    rates = [_rate(group, optimizer) for group in groups]
    fastest = max(rates)
    kinds = {formula(group) for group in groups}
    if len(kinds) != 1 or not fastest > 0:
        return None
    kind, factor = kinds.pop()
    group_of = {id(parameter): group for group in groups for parameter in group["params"]}
    order = list(parameters) if parameters is not None else [p for group in groups for p in group["params"]]
    if kind not in _PLAIN and not any(_has_stepped(optimizer.state.get(parameter)) for parameter in order):
        return None
    scales = [_scale(optimizer, group_of.get(id(parameter)), parameter, fastest) for parameter in order]
    plain = kind in _PLAIN and all(bool((scale == 1).all()) for scale in scales)
    decays = [_coupled_decay(group_of.get(id(parameter))) for parameter in order]
    return Threshold(
        (2 - fastest * max(map(_decoupled_decay, groups))) * factor / fastest,
        kind,
        f"curvature.formula_{kind}",
        None if plain else torch.cat([scale.reshape(-1) for scale in scales]),
        None
        if not any(decays)
        else torch.cat([torch.full_like(p.detach(), d).reshape(-1) for p, d in zip(order, decays, strict=True)]),
    )


class _WithDecay:
    """A Hessian with a diagonal added."""

    def __init__(self, hessian: HessianOperator, decay_P: Tensor) -> None:
        self._hessian, self._decay_P = hessian, decay_P
        self.dtype, self.device, self.size = hessian.dtype, hessian.device, hessian.size

    @property
    def gradient_P(self) -> Tensor:  # noqa: N802 - a shape suffix
        return self._hessian.gradient_P

    def matvec(self, vector_P: Tensor) -> Tensor:
        return self._hessian.matvec(vector_P).addcmul_(self._decay_P, vector_P.to(self.dtype))


def _sgd(group: dict[str, Any]) -> tuple[Kind, float]:
    momentum = group["momentum"]
    if not momentum:
        return "gradient_descent", 1.0
    if group["nesterov"]:
        return "nesterov", (1 + momentum) / (1 + 2 * momentum)
    return "heavy_ball", (1 + momentum) / (1 - group["dampening"])


def _adam(group: dict[str, Any]) -> tuple[Kind, float]:
    beta = float(group["betas"][0])
    return "adam", (1 + beta) / (1 - beta)


def _rmsprop(group: dict[str, Any]) -> tuple[Kind, float]:
    return "rmsprop", 1 + group["momentum"]


def _adagrad(_group: dict[str, Any]) -> tuple[Kind, float]:
    return "adagrad", 1.0


_FORMULAS: dict[type[Optimizer], Callable[[dict[str, Any]], tuple[Kind, float]]] = {
    torch.optim.SGD: _sgd,
    torch.optim.Adam: _adam,
    torch.optim.AdamW: _adam,
    torch.optim.RMSprop: _rmsprop,
    torch.optim.Adagrad: _adagrad,
}
_PLAIN = {"gradient_descent", "heavy_ball", "nesterov"}


def _rate(group: dict[str, Any], optimizer: Optimizer) -> float:
    """The learning rate of the next step."""
    rate = float(group["lr"])
    if isinstance(optimizer, torch.optim.Adagrad):
        steps = max((float(optimizer.state[p]["step"]) for p in group["params"] if optimizer.state.get(p)), default=0.0)
        return rate / (1 + steps * group["lr_decay"])
    return rate


def _scale(optimizer: Optimizer, group: dict[str, Any] | None, parameter: Tensor, fastest: float) -> Tensor:
    """A parameter's part of P, larger where its group is slower."""
    flat = parameter.detach()
    if group is None:
        return torch.full_like(flat, float("inf"))
    rate = _rate(group, optimizer)
    slower = fastest / rate if rate > 0 else float("inf")
    if isinstance(optimizer, torch.optim.SGD):
        return torch.full_like(flat, slower)
    state: dict[str, Any] = optimizer.state.get(parameter) or {}
    if not _has_stepped(state):  # it has had no gradient yet
        return torch.full_like(flat, float("inf"))
    return _root(optimizer, group, state).add(group["eps"]).mul(slower)


def _has_stepped(state: dict[str, Any] | None) -> bool:
    return bool(state) and float(state.get("step", 0)) > 0


def _root(optimizer: Optimizer, group: dict[str, Any], state: dict[str, Any]) -> Tensor:
    if isinstance(optimizer, torch.optim.Adagrad):
        return state["sum"].sqrt()
    if isinstance(optimizer, torch.optim.RMSprop):
        mean = state["grad_avg"] if group["centered"] else 0.0
        return (state["square_avg"] - mean**2).clamp_(min=0).sqrt()
    correction = 1 - float(group["betas"][1]) ** float(state["step"])
    squares = state["max_exp_avg_sq"] if group["amsgrad"] else state["exp_avg_sq"]
    return (squares / correction).sqrt()


def _coupled_decay(group: dict[str, Any] | None) -> float:
    if group is None or group.get("decoupled_weight_decay"):
        return 0.0
    return float(group["weight_decay"])


def _decoupled_decay(group: dict[str, Any]) -> float:
    return float(group["weight_decay"]) if group.get("decoupled_weight_decay") else 0.0
