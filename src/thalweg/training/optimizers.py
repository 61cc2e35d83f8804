"""torch.optim's optimizers by name, fused where they can be."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from thalweg.errors import UnknownNameError, UsageError


if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.training.config import TrainingConfig

# LBFGS calls the loss several times a step, SparseAdam wants sparse gradients, Muon takes matrices only.
_OTHER_KIND = {"LBFGS", "Muon", "SparseAdam", "Optimizer"}
_DECOUPLED = {"adamw", "adafactor"}
DECOUPLED_DECAY = 0.05


def optimizer_names() -> dict[str, type[Optimizer]]:
    """Lower-case name to torch.optim's class, for all that train any network with one gradient a step."""
    return {
        name.lower(): kind
        for name, kind in vars(torch.optim).items()
        if inspect.isclass(kind) and issubclass(kind, torch.optim.Optimizer) and name not in _OTHER_KIND
    }


def build_optimizer(model: nn.Module, config: TrainingConfig) -> Optimizer:
    """The optimizer of a configuration over all parameters of a model.

    Where the weight decay is decoupled from the gradient, biases and the gains of norms are left out of it: they
    have one dimension, and shrinking them does not simplify the function. Elsewhere torch's rule holds as it is.

    Raises:
        UnknownNameError: not an optimizer of torch.optim; the nearest are offered.
        UsageError: momentum or weight decay for an optimizer that has none.
    """
    return optimizer_over(model.parameters(), config)


def optimizer_over(parameters: Iterable[nn.Parameter], config: TrainingConfig) -> Optimizer:
    """The same over parameters of anything."""
    known = optimizer_names()
    if config.optimizer not in known:
        raise UnknownNameError("optimizer", config.optimizer, known)
    kind = known[config.optimizer]
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
        return kind(parameters, **options)
    return kind(_groups(list(parameters), config), **options)


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
