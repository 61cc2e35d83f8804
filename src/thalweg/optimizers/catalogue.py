"""The optimizers by name."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

from thalweg.errors import UnknownNameError
from thalweg.optimizers.adadelta import Adadelta
from thalweg.optimizers.adagrad import Adagrad
from thalweg.optimizers.adagrad_mean import AdagradMean
from thalweg.optimizers.adam import Adam
from thalweg.optimizers.adamax import Adamax
from thalweg.optimizers.adamw import AdamW
from thalweg.optimizers.amsgrad import AMSGrad
from thalweg.optimizers.lion import Lion
from thalweg.optimizers.momentum import Momentum
from thalweg.optimizers.nadam import NAdam
from thalweg.optimizers.nesterov import Nesterov
from thalweg.optimizers.radam import RAdam
from thalweg.optimizers.rmsprop import RMSprop
from thalweg.optimizers.rmsprop_centered import RMSpropCentered
from thalweg.optimizers.rprop import Rprop
from thalweg.optimizers.sgd import SGD
from thalweg.optimizers.sign_sgd import SignSGD


if TYPE_CHECKING:
    from thalweg.optimizers.optimizer import Optimizer

_OPTIMIZERS: tuple[type[Optimizer], ...] = (
    *(Adadelta, Adagrad, AdagradMean, Adam, Adamax, AdamW, AMSGrad, Lion, Momentum, NAdam, Nesterov, RAdam),
    *(RMSprop, RMSpropCentered, Rprop, SGD, SignSGD),
)
OPTIMIZERS: dict[str, type[Optimizer]] = {optimizer.name: optimizer for optimizer in _OPTIMIZERS}


def names() -> tuple[str, ...]:
    """The names of all optimizers, sorted."""
    return tuple(sorted(OPTIMIZERS))


def get(name: str, **hyper: Any) -> Optimizer:
    """An optimizer by name.

    Args:
        name: one of `names()`; `-` may stand for `_`.
        **hyper: hyper-parameters by torch.optim's names; the rest have its defaults.

    Raises:
        UnknownNameError: no such optimizer, or no such hyper-parameter.
        UsageError: a value out of its range.

    Example:
        >>> get("adam", betas=(0.9, 0.99)).betas
        (0.9, 0.99)
    """
    spelled = name.replace("-", "_")
    if spelled not in OPTIMIZERS:
        raise UnknownNameError("optimizer", name, OPTIMIZERS)
    optimizer = OPTIMIZERS[spelled]
    known = [field.name for field in fields(optimizer)]
    for given in hyper:
        if given not in known:
            raise UnknownNameError("hyper_parameter", given, known)
    return optimizer(**hyper)
