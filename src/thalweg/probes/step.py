"""Measurements at the optimizer's step: cheap ones at every step, costly ones every few steps.

Every step: the loss, each tensor's gradient norm, and the learning rate. At the first steps and then every `every`
steps, which are called *due*: how far the step moved each tensor, relative to its norm; the cosine between this
gradient and the next; the cosine between gradient and weights; dead and saturated units; whether gradients were
cleared. The numbers gather in a table on the device that is read every `CAPACITY` steps, so a step needs no host sync.

Shape suffixes: K rows of the table, P tensors, L layers.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thalweg.history import History
from thalweg.probes import foreach
from thalweg.probes.activations import ActivationProbe
from thalweg.probes.layers import DENSE, EVERY, Layers
from thalweg.probes.wiring import ClearingCheck


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn
    from torch.optim import Optimizer

CAPACITY = 64

STEP_UNITS = {
    "step": "",
    "loss": "",
    "gradient_norm": "",
    "lr": "",
    "update_ratio": "",
    "weight_norm": "",
    "cosine": "",
    "gradient_weight_cosine": "",
    "dead_units": "",
    "saturated_units": "",
    "uncleared": "",
    "stepped": "",
    "training": "",
}
"""Columns of a watched run; NaN for a number that was not due."""

_UNKNOWN = -1.0
# A row of the costly table ends with these, after three numbers per tensor.
_TAIL = ("cosine", "dead_units", "saturated_units", "uncleared")


class StepProbe:
    """Measures training through hooks on its optimizer; `record` closes a step.

    Args:
        model: the model in training.
        optimizer: its optimizer; parameters with dense gradients are measured.
        every: steps between due steps, at least 1.

    Attributes:
        steps: a history of `STEP_UNITS` up to the last `read`.
        failure: the failure of a hook, which ends all measuring; None: no failure.
        layers: a history of each layer's gradient norm, update ratio and weight norm at the due steps.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> None:
        self.model, self.optimizer, self.every = model, optimizer, max(1, every)
        self.steps = History(STEP_UNITS)
        names = {id(parameter): name for name, parameter in model.named_parameters()}
        self._parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        grouped = Layers([names.get(id(p), f"parameter {k}") for k, p in enumerate(self._parameters)])
        self.layer_names, self._members_L, self.layers = grouped.names, grouped.members_L, History(grouped.units)
        self.step = 0
        self.clearing = ClearingCheck(self._parameters)
        device = self._parameters[0].device if self._parameters else torch.device("cpu")
        count = len(self._parameters)
        self._cheap_KP = torch.empty((CAPACITY, 1 + count), device=device)
        self._dear_KP = torch.empty((CAPACITY, 3 * count + len(_TAIL)), device=device)
        self._clear()
        # step, learning rate, whether the optimizer stepped, whether the model was in training mode
        self._host: list[tuple[int, float, bool, bool]] = []
        self._dear: list[int] = []  # rows of the cheap table that have a row in the costly one
        self._copies: list[Tensor] = []  # weights before a due step, gradients after it
        self._ever: set[int] = set()  # positions of the tensors that ever had a gradient
        self._seen: list[int] = []  # positions of the tensors that had a gradient in this step
        self._norms: tuple[Tensor, ...] = ()
        self._compare = False
        self._stepped = False
        self._lr = float("nan")
        self._attached = False
        self.failure: Exception | None = None
        self._hooks = ExitStack()
        self._forward = ExitStack()
        self._activations: ActivationProbe | None = None

    def attach(self) -> None:
        """Hook into the optimizer's step."""
        before, after = (partial(self._safely, measure) for measure in (self._before_step, self._after_step))
        self._hooks.callback(self.optimizer.register_step_pre_hook(before).remove)
        self._hooks.callback(self.optimizer.register_step_post_hook(after).remove)
        self._hooks.callback(self.clearing.forget)
        self._attached = True
        self._prepare()

    def detach(self) -> None:
        """Remove all hooks; the histories stay."""
        self._hooks.close()
        self._forward.close()
        self._attached = False
        self._copies = []

    @property
    def attached(self) -> bool:
        """Whether the hooks are installed."""
        return self._attached

    @property
    def gradless(self) -> float:
        """Share of the optimizer's values that require a gradient and never had one; NaN before the first step."""
        asking = [(at, p.numel()) for at, p in enumerate(self._parameters) if p.requires_grad]
        if not self.step or not asking:
            return float("nan")
        return sum(size for at, size in asking if at not in self._ever) / sum(size for _, size in asking)

    @property
    def due(self) -> bool:
        """Whether the current step is measured in full."""
        return self.step < DENSE or self.step % self.every == 0

    def record(self, loss: Tensor | float) -> None:
        """Close a step.

        Args:
            loss: a scalar on any device; no host sync waits for it.
        """
        row = len(self._host)
        if isinstance(loss, torch.Tensor):
            self._cheap_KP[row, 0] = loss.detach()
        else:
            self._cheap_KP[row, 0] = float(loss)
        if self._dear and self._dear[-1] == row and self._activations is not None:
            self._put_tail("dead_units", self._activations.worst_dead())
            self._put_tail("saturated_units", self._activations.worst_saturated())
        self._host.append((self.step + 1, self._lr, self._stepped, self.model.training))
        self.step += 1
        self._lr = float("nan")
        if len(self._host) == CAPACITY:
            self.read()
        self._prepare()
        self._stepped = False

    def read(self) -> None:
        """Move the numbers gathered on the device to the histories."""
        count = len(self._host)
        if not count:
            return
        cheap_KP = self._cheap_KP[:count].cpu().numpy().astype(np.float64)
        dear_KP = self._dear_KP[: len(self._dear)].cpu().numpy().astype(np.float64)
        self._write_steps(cheap_KP, dear_KP)
        self._write_layers(cheap_KP, dear_KP)
        self._host.clear()
        self._dear.clear()
        self._clear()

    def _clear(self) -> None:
        """Mark all norms as not measured by negative values, which leaves NaN to mean NaN."""
        self._cheap_KP.fill_(_UNKNOWN)
        self._dear_KP.fill_(torch.nan)
        self._dear_KP[:, : 2 * len(self._parameters)] = _UNKNOWN

    def _prepare(self) -> None:
        """Prepare for the next step."""
        self._forward.close()
        self._activations = None
        if not self.due:
            return
        self.clearing.prepare(after_step=self._stepped)
        if not hasattr(self.model, "_orig_mod"):  # a compiled graph would be recompiled
            self._activations = ActivationProbe()
            self._forward.callback(self.model.register_forward_pre_hook(self._enter).remove)
            self._forward.callback(self.model.register_forward_hook(self._leave, always_call=True).remove)

    def _safely(self, measure: Callable[[], None], *_: Any) -> None:
        """Measure inside the user's step without letting a failure reach it."""
        try:
            measure()
        except Exception as error:  # noqa: BLE001 - a training never dies of being watched
            self.failure = error
            self.detach()

    def _enter(self, *_: Any) -> None:
        if self._activations is not None:
            self._activations.__enter__()

    def _leave(self, *_: Any) -> None:
        if self._activations is not None:
            self._activations.__exit__(None, None, None)

    @torch.no_grad()
    def _before_step(self) -> None:
        if self._stepped:  # a second optimizer step within one recorded step
            return
        self._lr = max((_number(group["lr"]) for group in self.optimizer.param_groups), default=float("nan"))
        gradients = [parameter.grad for parameter in self._parameters]
        seen = [at for at, gradient in enumerate(gradients) if gradient is not None and not gradient.is_sparse]
        if seen != self._seen:
            self._ever.update(seen)
            self._seen, self._copies, self._compare = seen, [], False
        if not seen:
            return
        present = [gradients[at] for at in seen]
        self._norms_before, self._norms = self._norms, foreach.norms(present)
        self._put(self._cheap_KP[len(self._host)], 1, self._norms)
        if self._compare:
            self._put_cosine(present)
            self._compare = False
        if self.due:
            self._dear.append(len(self._host))
            parameters = [self._parameters[at].detach() for at in seen]
            self._copy(parameters)
            self._put(self._row(), 2 * len(self._parameters), _dots(present, parameters))
            self._put_tail("uncleared", self.clearing.verdict())

    @torch.no_grad()
    def _after_step(self) -> None:
        if self._stepped:
            return
        self._stepped = True
        if not (self._dear and self._dear[-1] == len(self._host) and self._copies):
            return
        parameters = [self._parameters[at].detach() for at in self._seen]
        foreach.subtract_from(self._copies, parameters)
        count = len(self._parameters)
        self._put(self._row(), 0, foreach.norms(self._copies))
        self._put(self._row(), count, foreach.norms(parameters))
        gradients = [gradient for at in self._seen if (gradient := self._parameters[at].grad) is not None]
        if len(gradients) == len(self._seen):
            self._copy(gradients)
            self._compare = True

    def _copy(self, tensors: list[Tensor]) -> None:
        if not self._copies:
            self._copies = [torch.empty_like(tensor) for tensor in tensors]
        foreach.copy_into(self._copies, tensors)

    def _put(self, row_P: Tensor, first: int, values: tuple[Tensor, ...] | list[Tensor]) -> None:
        """Write one scalar per seen tensor into a row."""
        if len(self._seen) == len(self._parameters):
            torch.stack(list(values), out=row_P[first : first + len(values)])
        else:
            row_P[[first + at for at in self._seen]] = torch.stack(list(values))

    def _put_tail(self, name: str, value: Tensor | None, row: int = -1) -> None:
        if value is not None and self._dear:
            self._dear_KP[len(self._dear) + row, 3 * len(self._parameters) + _TAIL.index(name)] = value

    def _put_cosine(self, gradients: list[Any]) -> None:
        """Write the cosine between the gradient of the last step, which was due, and this one."""
        if not self._dear:  # its row was already read
            return
        dot = torch.stack(_dots(gradients, self._copies)).sum()
        lengths = torch.stack(self._norms_before).norm() * torch.stack(self._norms).norm()
        self._put_tail("cosine", dot / lengths)

    def _row(self) -> Tensor:
        return self._dear_KP[len(self._dear) - 1]

    def _write_steps(self, cheap_KP: np.ndarray, dear_KP: np.ndarray) -> None:
        count = len(self._parameters)
        rows_KC = np.full((len(cheap_KP), len(STEP_UNITS)), np.nan)
        columns = list(STEP_UNITS)
        step_K, lr_K, stepped_K, training_K = zip(*self._host, strict=True)
        rows_KC[:, columns.index("step")] = step_K
        rows_KC[:, columns.index("lr")] = lr_K
        rows_KC[:, columns.index("stepped")] = stepped_K
        rows_KC[:, columns.index("training")] = training_K
        rows_KC[:, columns.index("loss")] = cheap_KP[:, 0]
        rows_KC[:, columns.index("gradient_norm")] = _norm_of(cheap_KP[:, 1:])
        update_K, weight_K = _norm_of(dear_KP[:, :count]), _norm_of(dear_KP[:, count : 2 * count])
        at_K = np.array(self._dear, dtype=np.int64)
        with np.errstate(divide="ignore", invalid="ignore"):
            rows_KC[at_K, columns.index("update_ratio")] = update_K / weight_K
            dot_K = np.nansum(dear_KP[:, 2 * count : 3 * count], axis=1)
            lengths_K = weight_K * _norm_of(cheap_KP[at_K, 1:])
            rows_KC[at_K, columns.index("gradient_weight_cosine")] = dot_K / lengths_K
        rows_KC[at_K, columns.index("weight_norm")] = weight_K
        for offset, name in enumerate(_TAIL):
            rows_KC[at_K, columns.index(name)] = dear_KP[:, 3 * count + offset]
        self.steps.extend(rows_KC)

    def _write_layers(self, cheap_KP: np.ndarray, dear_KP: np.ndarray) -> None:
        if not self._dear:
            return
        count = len(self._parameters)
        at_K = np.array(self._dear, dtype=np.int64)
        columns = [np.array([self._host[at][0] for at in self._dear], dtype=np.float64)]
        for members in self._members_L:
            update_K, weight_K = _norm_of(dear_KP[:, members]), _norm_of(dear_KP[:, count + members])
            with np.errstate(divide="ignore", invalid="ignore"):
                columns += [_norm_of(cheap_KP[at_K][:, 1 + members]), update_K / weight_K, weight_K]
        self.layers.extend(np.stack(columns, axis=1))


def _norm_of(values_KP: np.ndarray) -> np.ndarray:
    """Return the norm over all tensors from the norm of each; NaN if none was measured or one is NaN."""
    known_KP = values_KP != _UNKNOWN
    squares_K = np.square(np.where(known_KP, values_KP, 0.0)).sum(axis=1)
    return np.where(known_KP.any(axis=1), np.sqrt(squares_K), np.nan)


def _dots(left: list[Any], right: list[Tensor]) -> list[Tensor]:
    return [torch.dot(a.reshape(-1).float(), b.reshape(-1).float()) for a, b in zip(left, right, strict=True)]


def _number(lr: Any) -> float:
    """Return the rate without waiting for a GPU if it is a tensor there."""
    if isinstance(lr, torch.Tensor):
        return float(lr) if lr.device.type == "cpu" else float("nan")
    return float(lr)
