"""Short runs of a copy, each at one rate, from the same start on the same batches; they decide between rates."""

from __future__ import annotations

import copy
import inspect
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from thalweg.errors import ThalwegError, UsageError
from thalweg.probes.batches import device_of, loss_function, read_batch


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.probes.batches import LossFunction

    OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]

Reason = Literal[
    "cannot_tell", "diverges_at_once", "flat", "never_falls", "noisy", "not_finite", "too_few_batches", "too_few_photos"
]

BLOWN_UP = 2.0  # times the loss at the start, above it: a short run does not recover from there
FLAT = 1e-5  # fraction of the loss: float32 rounding can change it by this much
HARMLESS = 1e-2  # fraction of the loss: a rate that raises it by less is low enough
SURE = 2.0  # standard errors of a mean over batches


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A short run at one rate, starting from the given model.

    Attributes:
        rate: learning rate.
        steps: number of steps.
        loss: mean over the deciding batches or photos afterwards; infinity if it blew up.
        accuracy: fraction of the deciding photos that are classified correctly; None if batches decide.
        photos: number of these photos; None if batches decide.
    """

    rate: float
    steps: int
    loss: float
    accuracy: float | None = None
    photos: int | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """The model to copy and how to train the copy.

    Attributes:
        model: is copied, never trained.
        optimizer_factory: makes an optimizer of parameters.
        loss_fn: called with output and target; None if the output holds its loss.
        clip_grad_norm: largest gradient norm; None: no clipping.
    """

    model: nn.Module
    optimizer_factory: OptimizerFactory
    loss_fn: LossFunction | None
    clip_grad_norm: float | None = None

    def check(self) -> None:
        """Reject a model with nothing to train.

        Raises:
            UsageError: there are no parameters, or all are frozen.
        """
        parameters = list(self.model.parameters())
        if not parameters:
            raise UsageError("rate.no_parameters", model=type(self.model).__name__)
        if not any(parameter.requires_grad for parameter in parameters):
            raise UsageError("rate.all_frozen", model=type(self.model).__name__, count=len(parameters))


class CopyInTraining:
    """A fresh copy of the model with its own optimizer.

    Args:
        setting: the model and how to train it.

    Raises:
        UsageError: the factory returned no optimizer, or one that holds other parameters or needs a closure.
    """

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        try:
            self._model = copy.deepcopy(setting.model)
        except (RuntimeError, TypeError) as error:  # non-leaf tensors; locks and files in a module
            raise ThalwegError("rate.no_copy", model=type(setting.model).__name__, reason=error) from error
        self._model.zero_grad(set_to_none=True)
        self._device = device_of(self._model)
        self._trained = [parameter for parameter in self._model.parameters() if parameter.requires_grad]
        self._optimizer = setting.optimizer_factory(self._model.parameters())
        self._check_optimizer()
        first = float(self._optimizer.param_groups[0]["lr"])
        # Groups with their own rates keep their ratio to the first.
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
        """Train on one batch and return the loss before the step."""
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
        if self._setting.clip_grad_norm is not None:
            torch.nn.utils.clip_grad_norm_(self._trained, self._setting.clip_grad_norm)
        self._optimizer.step()
        return value

    def losses(self, batches: list[Any]) -> NDArray[np.float64]:
        """Return the loss of each batch, without training."""
        with torch.no_grad():
            return np.array([float(self._loss(batch)) for batch in batches])

    def _loss(self, batch: Any) -> Tensor:
        loss = read_batch(batch, self._model).to(self._device).loss(self._model, loss_function(self._setting.loss_fn))
        if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
            shape = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
            raise UsageError("rate.not_scalar", got=shape)
        if torch.is_grad_enabled() and not loss.requires_grad:
            raise UsageError("rate.no_gradient")
        return loss.reshape(())


class Evaluations:
    """Performs short runs and keeps their losses.

    Args:
        setting: the model and how to train copies of it.
        batches: the batches to train on, in turn.
        deciding: the batches on which the loss is measured, before and after.
        anneal: whether the rate falls to zero within an evaluation.
        seed: seed of the model's random draws, the same for every evaluation.
    """

    def __init__(self, setting: Setting, batches: list[Any], deciding: list[Any], *, anneal: bool, seed: int) -> None:
        self._setting, self._batches, self._deciding, self._anneal = setting, batches, deciding, anneal
        self._seed = seed
        self.start_B = CopyInTraining(setting).losses(deciding)
        self.start = float(self.start_B.mean())
        self.steps = 0
        self._losses_B: dict[tuple[int, float], NDArray[np.float64]] = {}

    def loss(self, rate: float, steps: int) -> float:
        """Return the mean loss over the deciding batches after an evaluation; infinity if it blew up."""
        return float(self.losses(rate, steps).mean())

    def losses(self, rate: float, steps: int) -> NDArray[np.float64]:
        """Return the loss of each deciding batch after an evaluation; infinity if it blew up."""
        key = steps, rate
        if key not in self._losses_B:
            self._losses_B[key] = self._train(rate, steps)
        return self._losses_B[key]

    def all(self) -> tuple[Evaluation, ...]:
        """Return every evaluation so far, by length and rate."""
        return tuple(Evaluation(rate, steps, self.loss(rate, steps)) for steps, rate in sorted(self._losses_B))

    def why_not(self, rate: float, steps: int) -> Reason | None:
        """Return why the best evaluation is not good enough to suggest its rate; None if it is.

        Args:
            rate: learning rate of the evaluation with the lowest loss.
            steps: length of that evaluation.
        """
        losses_P = np.array([one.loss for one in self.all()])
        if np.abs(losses_P - self.start).max() <= FLAT * abs(self.start):
            return "flat"
        fall_B = self.start_B - self.losses(rate, steps)
        if fall_B.mean() <= 0:
            harmless = np.abs(losses_P - self.start).min() <= HARMLESS * abs(self.start)
            return "never_falls" if harmless else "diverges_at_once"
        error = fall_B.std(ddof=1) / len(fall_B) ** 0.5
        return "noisy" if fall_B.mean() < SURE * error else None

    def _train(self, rate: float, steps: int) -> NDArray[np.float64]:
        torch.manual_seed(self._seed)
        trained = CopyInTraining(self._setting)
        limit = self.start + BLOWN_UP * abs(self.start) + 10 * float(self.start_B.std())
        for step in range(steps):
            self.steps += 1
            loss = trained.step(
                self._batches[step % len(self._batches)], rate * (1 - step / steps if self._anneal else 1)
            )
            if not np.isfinite(loss):
                return np.full(len(self.start_B), np.inf)
        losses_B = trained.losses(self._deciding)
        return losses_B if losses_B.mean() <= limit else np.full(len(self.start_B), np.inf)
