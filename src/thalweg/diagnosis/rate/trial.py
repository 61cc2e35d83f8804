"""A copy of a model, trained for a few steps at a rate that somebody sets; the model itself is only read."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thalweg.diagnosis.rate.batches import moved
from thalweg.errors import ThalwegError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer

    OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]
    LossFn = Callable[[Any, Any], Tensor] | None


@dataclass(frozen=True, slots=True)
class Setting:
    """What a trial is made of.

    Attributes:
        model: is copied, never trained.
        optimizer_factory: from parameters to an optimizer.
        loss_fn: of the output and the target; None where the output brings its loss.
        clip: largest gradient norm; None: no clipping.
    """

    model: nn.Module
    optimizer_factory: OptimizerFactory
    loss_fn: LossFn
    clip: float | None = None

    def check(self) -> None:
        """Refuse a model that has nothing to train.

        Raises:
            UsageError: no parameters, or all of them frozen.
        """
        parameters = list(self.model.parameters())
        if not parameters:
            raise UsageError("rate.no_parameters", model=type(self.model).__name__)
        if not any(parameter.requires_grad for parameter in parameters):
            raise UsageError("rate.all_frozen", model=type(self.model).__name__, count=len(parameters))


class Trial:
    """A fresh copy of the model with an optimizer of its own.

    Args:
        setting: what it is made of.

    Raises:
        UsageError: the factory's optimizer is none, holds other parameters, or wants a closure.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        try:
            self._model = copy.deepcopy(setting.model)
        except (RuntimeError, TypeError) as error:  # tensors that are no leaves; locks and files in a module
            raise ThalwegError("rate.no_copy", model=type(setting.model).__name__, reason=error) from error
        self._model.zero_grad(set_to_none=True)
        self._device = next(self._model.parameters()).device
        self._trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = setting.optimizer_factory(self._model.parameters())
        self._check_optimizer()
        first = float(self._optimizer.param_groups[0]["lr"])
        # Groups with rates of their own keep their ratio to the first.
        self._ratios = [float(group["lr"]) / first if first else 1.0 for group in self._optimizer.param_groups]

    def _check_optimizer(self) -> None:
        optimizer = self._optimizer
        if not isinstance(optimizer, torch.optim.Optimizer) or "lr" not in optimizer.param_groups[0]:
            raise UsageError("rate.no_optimizer", got=type(optimizer).__name__)
        closure = inspect.signature(type(optimizer).step).parameters.get("closure")
        if closure is not None and closure.default is inspect.Parameter.empty:
            raise UsageError("rate.wants_closure", optimizer=type(optimizer).__name__)
        ours = {id(parameter) for parameter in self._model.parameters()}
        held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        if any(id(parameter) not in ours for parameter in held):
            raise UsageError("rate.other_parameters", optimizer=type(optimizer).__name__)

    def step(self, batch: Any, rate: float) -> float:
        """Train on one batch; gives the loss before the step."""
        for group, ratio in zip(self._optimizer.param_groups, self._ratios, strict=True):
            if isinstance(group["lr"], torch.Tensor):
                group["lr"].fill_(rate * ratio)
            else:
                group["lr"] = rate * ratio
        with torch.enable_grad():
            self._optimizer.zero_grad(set_to_none=True)
            loss = self._loss(batch)
            value = float(loss.detach())
            if not math.isfinite(value):
                return value
            loss.backward()
        if self._setting.clip is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self._setting.clip)
        self._optimizer.step()
        return value

    def losses(self, batches: list[Any]) -> NDArray[np.float64]:
        """The loss of each batch, without training."""
        with torch.no_grad():
            return np.array([float(self._loss(batch)) for batch in batches])

    def _loss(self, batch: Any) -> Tensor:
        loss = loss_of_batch(self._model, moved(batch, self._device), self._setting.loss_fn)
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise UsageError("rate.not_scalar", got=shape)
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise UsageError("rate.no_gradient")
        return loss.reshape(())


def loss_of_batch(model: nn.Module, batch: Any, loss_fn: LossFn) -> Any:
    """What a batch costs, by the shape that it has.

    Args:
        model: takes the inputs: `model(x)`, or `model(**x)` where x is a dict.
        batch: `(x, y)` or `(x1, x2, ..., y)`: the last is the target. A dict: all of it goes into the model, and the
            loss function gets it whole as its target. One tensor: it is its own target.
        loss_fn: of output and target; None: the output is the loss, or has it as `.loss` or `["loss"]`.
    """
    if isinstance(batch, list | tuple) and len(batch) > 1:
        inputs, target = tuple(batch[:-1]), batch[-1]
    elif isinstance(batch, list | tuple) and len(batch) == 1:
        inputs, target = tuple(batch), batch[0]
    else:
        inputs, target = (batch,), batch
    output = model(**inputs[0]) if len(inputs) == 1 and isinstance(inputs[0], Mapping) else model(*inputs)
    if loss_fn is not None:
        return loss_fn(output, target)
    if isinstance(output, Mapping):
        return output.get("loss")
    return getattr(output, "loss", output)
