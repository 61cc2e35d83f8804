"""Optimizers by name: torch.optim's, fused if possible; muon; schedule-free; and those of pytorch_optimizer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from thalweg import models
from thalweg.errors import MissingExtraError, UnknownNameError, UsageError
from thalweg.training.muon import Muon
from thalweg.training.schedule_free import ScheduleFree


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.runs import TrainingConfig

# LBFGS calls the loss several times per step, SparseAdam needs sparse gradients, torch's Muon takes matrices only.
_OTHER_KIND = {"LBFGS", "Muon", "SparseAdam", "Optimizer"}
_DECOUPLED = {"adamw", "adafactor", "muon", "schedule-free"}
DECOUPLED_DECAY = 0.05
EXTRA = "pytorch_optimizer:"  # prefix of a class name in that library


def optimizer_names() -> dict[str, type[Optimizer]]:
    """Map lower-case names to torch.optim's classes, for all that train any network with one gradient per step."""
    return {
        name.lower(): kind
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name not in _OTHER_KIND
    }


def build_optimizer(model: nn.Module, config: TrainingConfig) -> Optimizer:
    """Build a configuration's optimizer over all parameters of a model that are not frozen.

    With `layer_decay`, the groups of a stage have a `scale`, by which the learning rate of the classifier is
    multiplied. The classifier's groups come first.

    Decoupled weight decay skips biases and the gains of norms: they have one dimension, and shrinking them does not
    simplify the function. Coupled weight decay works as in torch.

    Raises:
        UnknownNameError: there is no such optimizer; the message suggests the nearest.
        MissingExtraError: the optimizer needs pytorch_optimizer, which is not installed.
        UsageError: momentum or weight decay is set for an optimizer that has none.
    """
    if config.optimizer == "muon":
        return _build_muon(*muon_split(model), config)
    return optimizer_over(model.parameters(), config, scales=stage_scales(model, config))


def stage_scales(model: nn.Module, config: TrainingConfig) -> list[float]:
    """Return the factor of the learning rate for each parameter of a model, in its order; empty if all are 1.

    Example:
        >>> from thalweg import models
        >>> from thalweg.runs import TrainingConfig
        >>> model = models.build("resnet-small", classes=3, size=32)
        >>> sorted(set(stage_scales(model, TrainingConfig(layer_decay=0.5))))
        [0.125, 0.25, 0.5, 1.0]
    """
    if config.layer_decay == 1:
        return []
    by_stage = models.stages(model)
    scale_of = {
        name: config.layer_decay ** (len(by_stage) - 1 - at) for at, names in enumerate(by_stage) for name in names
    }
    return [scale_of[name] for name, _ in model.named_parameters()]


def usual_rate(name: str) -> float:
    """Return the default learning rate of an optimizer's class.

    Raises:
        UnknownNameError: there is no such optimizer; the message suggests the nearest.
        MissingExtraError: the optimizer needs pytorch_optimizer, which is not installed.

    Example:
        >>> usual_rate("adamw")
        0.001
    """
    kind = Muon if name == "muon" else _kind(name)
    return float(inspect.signature(kind).parameters["lr"].default)


def optimizer_over(
    parameters: Iterable[nn.Parameter], config: TrainingConfig, *, scales: Sequence[float] = ()
) -> Optimizer:
    """Build a configuration's optimizer over parameters; muon treats the last matrix as the classifier.

    Args:
        parameters: those that are frozen are left out.
        config: the configuration.
        scales: a factor of the learning rate for each parameter, frozen ones included; empty: all 1.
    """
    parameters = list(parameters)
    scale_of = dict(zip(map(id, parameters), scales or [1.0] * len(parameters), strict=True))
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    if config.optimizer == "muon":
        matrices = [parameter for parameter in parameters if parameter.ndim > 1][:-1]
        chosen = {id(parameter) for parameter in matrices}
        return _build_muon(matrices, [parameter for parameter in parameters if id(parameter) not in chosen], config)
    kind = _kind(config.optimizer)
    accepted = inspect.signature(kind).parameters
    options: dict[str, Any] = {"lr": config.lr}
    if config.momentum is not None:
        if "momentum" not in accepted:
            raise UsageError("training.no_momentum", optimizer=config.optimizer)
        options["momentum"] = config.momentum
    if "fused" in accepted:
        options["fused"] = True
    elif "foreach" in accepted:
        options["foreach"] = True
    if "weight_decay" not in accepted:
        if config.weight_decay:
            raise UsageError("training.no_weight_decay", optimizer=config.optimizer)
        return kind(_scaled([{"params": parameters}], scale_of, config) if scales else parameters, **options)
    groups = _groups(parameters, config)
    return kind(_scaled(groups, scale_of, config) if scales else groups, **options)


def set_rate(optimizer: Optimizer, lr: float) -> None:
    """Set the learning rate of the classifier, and that of the other stages by their scale."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)


def _scaled(
    groups: list[dict[str, Any]], scale_of: Mapping[int, float], config: TrainingConfig
) -> list[dict[str, Any]]:
    """Split groups by the scale of their parameters, the highest first."""
    found = []
    for scale in sorted(set(scale_of.values()), reverse=True):
        for group in groups:
            chosen = [parameter for parameter in group["params"] if scale_of[id(parameter)] == scale]
            if chosen:
                found.append({**group, "params": chosen, "scale": scale, "lr": config.lr * scale})
    return found


def _kind(name: str) -> type[Optimizer]:
    """Return the class of a name."""
    if name == "schedule-free":
        return ScheduleFree
    if name.startswith(EXTRA):
        return _kind_of_extra(name)
    known = optimizer_names()
    if name not in known:
        raise UnknownNameError("optimizer", name, [*known, "muon", "schedule-free", f"{EXTRA}NAME"])
    return known[name]


def _kind_of_extra(name: str) -> type[Optimizer]:
    try:
        from pytorch_optimizer.optimizer import OPTIMIZERS
    except ImportError as error:
        raise MissingExtraError("pytorch_optimizer", "optimizers") from error
    wanted = name.removeprefix(EXTRA).lower()
    if wanted not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, [EXTRA + known for known in OPTIMIZERS])
    return OPTIMIZERS[wanted]


def _build_muon(matrices: list[nn.Parameter], others: list[nn.Parameter], config: TrainingConfig) -> Muon:
    if not matrices:
        raise UsageError("training.no_matrices")
    decay = DECOUPLED_DECAY if config.weight_decay is None else config.weight_decay
    options = {} if config.momentum is None else {"momentum": config.momentum}
    return Muon(matrices, _groups(others, config), lr=config.lr, weight_decay=decay, **options)


def muon_split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split the parameters into matrices for muon and the rest for AdamW: biases, norms and the classifier.

    The rows of the classifier belong to classes of different frequency, so it stays with AdamW, as the source advises.
    """
    top = {id(parameter) for parameter in models.classifier_of(model).parameters()}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if parameter.ndim > 1 and id(parameter) not in top]
    chosen = {id(parameter) for parameter in matrices}
    return matrices, [parameter for parameter in trained if id(parameter) not in chosen]


def _groups(parameters: list[nn.Parameter], config: TrainingConfig) -> list[dict[str, Any]]:
    if config.optimizer not in _DECOUPLED:
        return [{"params": parameters, "weight_decay": config.weight_decay or 0.0}]
    decay = DECOUPLED_DECAY if config.weight_decay is None else config.weight_decay
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
