"""The loop of a network in the plane, one step after another; a fault may be put into it.

Every number that is drawn is a pure function of the seed and the step: the same step always gives the same weights.

Shape suffixes: N points, B points of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_

from thalweg import schedules
from thalweg.playground.network import LOSSES, Dropout, build, key_of, optimizer_of, targets_of
from thalweg.playground.points import points_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor, nn

    from thalweg.playground.network import LossFunction
    from thalweg.playground.points import Points
    from thalweg.playground.settings import Settings

_ORDER, _DROPOUT = 4, 5  # streams of random numbers


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fault:
    """What is wrong with a loop, where settings cannot say it; by default, nothing.

    Attributes:
        inputs: changes what the network gets, in training and in every map.
        labels: changes the labels (N,) of all points before training, given the seed.
        targets: changes the targets of a batch, as the loss gets them.
        network: changes the network before the optimizer is made; may return another one.
        loss: instead of that of the settings.
        rows: the points of a step, given all training rows, their labels, the step and the usual rows.
        trained: the parameters that the optimizer gets.
        clear: whether gradients are cleared.
        clip: largest gradient norm.
        steps: whether the optimizer steps.
        evaluating: whether the network stays in evaluation mode.
    """

    inputs: Callable[[Tensor], Tensor] | None = None
    labels: Callable[[Tensor, int], Tensor] | None = None
    targets: Callable[[Tensor], Tensor] | None = None
    network: Callable[[nn.Sequential], nn.Sequential | None] | None = None
    loss: LossFunction | None = None
    rows: Callable[[Tensor, Tensor, int, Tensor], Tensor] | None = None
    trained: Callable[[nn.Sequential], Iterable[nn.Parameter]] | None = None
    clear: bool = True
    clip: float | None = None
    steps: bool = True
    evaluating: bool = False


NO_FAULT: Final = Fault()


class Loop:
    """A network in training.

    Args:
        settings: everything that decides how it trains.
        photos: the points, if the settings want photos.
        fault: what is wrong.

    Attributes:
        model: the network after `step` steps.
        optimizer: over its parameters.
        step: steps done.
        points: as the settings give them, with the labels that training gets.
        loss_fn: of (outputs, targets).
        inputs_N2: of all points, as the network gets them.
        targets_N: of all points, as the loss gets them.

    Raises:
        UsageError: the settings do not go together.

    Example:
        >>> from thalweg.playground.settings import Settings
        >>> loop = Loop(Settings(points="blobs", seed=1))
        >>> for _ in range(100):
        ...     loss = loop.advance()
        >>> loop.step, float(loss) < 0.1
        (100, True)
    """

    def __init__(self, settings: Settings, *, photos: Points | None = None, fault: Fault = NO_FAULT) -> None:
        self.settings, self.fault = settings, fault
        self.points = points_of(settings, photos)
        labels_N = torch.from_numpy(self.points.labels_N)
        self.labels_N = labels_N if fault.labels is None else fault.labels(labels_N, settings.seed)
        self.inputs_N2 = self.seen(torch.from_numpy(self.points.inputs_N2))
        self.targets_N = targets_of(self.labels_N, settings.loss, len(self.points.classes))
        if fault.targets is not None:
            self.targets_N = fault.targets(self.targets_N)
        self.train_N = torch.from_numpy(np.flatnonzero(~self.points.held_N))
        self.held_N = torch.from_numpy(np.flatnonzero(self.points.held_N))
        model = build(settings, len(self.points.classes))
        self.model = (fault.network(model) if fault.network is not None else None) or model
        self.model.train(not fault.evaluating)
        trained = self.model.parameters() if fault.trained is None else fault.trained(self.model)
        self.optimizer = optimizer_of(settings, trained)
        self.loss_fn = fault.loss or LOSSES[settings.loss]
        schedule = schedules.parse(settings.schedule)
        last = schedule(settings.total, settings.total)
        self._factors = [*schedules.factors(schedule, settings.total).tolist(), last]
        self._dropouts = [module for module in self.model.modules() if isinstance(module, Dropout)]
        self._order: tuple[int, Tensor] = (-1, self.train_N)
        self.step = 0

    def seen(self, inputs_N2: Tensor) -> Tensor:
        """Places in the plane as the network gets them."""
        return inputs_N2 if self.fault.inputs is None else self.fault.inputs(inputs_N2)

    def rows(self, step: int) -> Tensor:
        """The points of a step: all training points in another order in each epoch, a batch at a time."""
        size = min(self.settings.batch, len(self.train_N))
        a_pass = -(-len(self.train_N) // size)
        epoch, place = divmod(step, a_pass)
        if self._order[0] != epoch:
            order_N = np.random.default_rng([self.settings.seed, _ORDER, epoch]).permutation(len(self.train_N))
            self._order = epoch, self.train_N[torch.from_numpy(order_N)]
        usual_B = self._order[1][place * size : (place + 1) * size]
        if self.fault.rows is None:
            return usual_B
        return self.fault.rows(self.train_N, self.labels_N, step, usual_B)

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs and targets of a step."""
        rows_B = self.rows(step)
        return self.inputs_N2[rows_B], self.targets_N[rows_B]

    def rate(self, step: int) -> float:
        """The learning rate of a step; after the last of the schedule, that at its end."""
        return self.settings.lr * self._factors[min(step, self.settings.total)]

    def advance(self, before: Callable[[int], Any] | None = None) -> Tensor:
        """Do one step.

        Args:
            before: called with the step between the backward pass and the update.

        Returns:
            The loss of its batch, before the update.
        """
        inputs_B2, targets_B = self.batch(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        if self.fault.clear:
            self.optimizer.zero_grad()
        loss = self._loss_of(inputs_B2, targets_B)
        loss.backward()
        if self.fault.clip is not None:
            clip_grad_norm_(self.model.parameters(), self.fault.clip)
        if before is not None:
            before(self.step)
        if self.fault.steps:
            self.optimizer.step()
        self.step += 1
        return loss.detach()

    def _loss_of(self, inputs_B2: Tensor, targets_B: Tensor) -> Tensor:
        """The loss, with masks of dropout that depend on the step only."""
        for place, module in enumerate(self._dropouts):
            module.key = key_of(self.settings.seed, _DROPOUT, self.step * len(self._dropouts) + place)
        try:
            return self.loss_fn(self.model(inputs_B2), targets_B)
        finally:
            for module in self._dropouts:
                module.key = None
