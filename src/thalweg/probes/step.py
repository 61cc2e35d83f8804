"""Measurements at the optimizer's step: cheap ones at every step, costly ones every few steps.

Every step: the loss, each tensor's gradient norm, and the learning rate. At the first steps and then every `every`
steps, which are called *due*: how far the step moved each tensor, relative to its norm; the cosine between this
gradient and the next; the cosine between gradient and weights; dead and saturated units; whether gradients were
cleared; a mark of the inputs. The numbers gather in a table (`probes.table`), so a step needs no host sync. The
gradients are those that the step begins with: with a closure, those of its first call.

Shape suffixes: P tensors, L layers.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.parameter import is_lazy

from thalweg.history import History
from thalweg.probes import foreach
from thalweg.probes.activations import ActivationProbe
from thalweg.probes.attributes import holds_others
from thalweg.probes.early import EarlyClearing, zeroed
from thalweg.probes.hooks import around_forward, is_compiled
from thalweg.probes.kept import Kept
from thalweg.probes.layers import EVERY, Layers, is_due
from thalweg.probes.marks import Given, is_nonfinite
from thalweg.probes.order import TWICE, CallOrder
from thalweg.probes.rows import STEP_UNITS, widened
from thalweg.probes.table import Table
from thalweg.probes.validating import ValidationMode
from thalweg.probes.wiring import ClearingCheck, Reach, rate_of


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn
    from torch.optim import Optimizer

LOOK_AT = 16  # the step whose loss shows whose parameters it holds: a rival has been trained by then


class StepProbe:
    """Measures training through hooks on its optimizer; `record` closes a step.

    Args:
        model: the model in training.
        optimizer: its optimizer; if it gets parameters later, they are measured from then on.
        every: steps between due steps, at least 1.

    Attributes:
        steps: a history of `STEP_UNITS` up to the last `read`.
        failure: the failure of a hook, which ends all measuring; None: no failure.
        kept: a few samples of the due steps.
        layers: a history of each layer's gradient norm, update ratio and weight norm at the due steps.
        reach: the parameters that training reaches.
        rival: 1 if the loss holds parameters that another optimizer trains, 0 if not; NaN: nobody has looked yet.
        taken: number of recorded steps in which the optimizer stepped.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> None:
        self.model, self.optimizer, self.every = model, optimizer, max(1, every)
        self.steps = History(STEP_UNITS)
        self.layers = History({"step": ""})
        self.reach = Reach(model, optimizer)
        self.step = self.taken = 0
        self.rival = float("nan")
        self._parameters: list[Tensor] = []
        self.clearing, self._early = ClearingCheck([]), EarlyClearing()
        self._ever: set[int] = set()  # ids of the tensors that ever had a gradient
        self._table = Table(np.empty(0), torch.device("cpu"))
        self._fit()
        self._order = CallOrder()
        self._looked = False  # whether the step is measured in full
        self._listening = False  # whether passes are noted in it
        self._stepped = False
        self._owed = False  # whether a record that was due had no step: the next step is measured in its place
        self._lr = float("nan")
        self._attached = False
        self.failure: Exception | None = None
        self._hooks, self._forward = ExitStack(), ExitStack()
        self._activations: ActivationProbe | None = None
        self._inside = 0  # forward passes under way, which the activations are measured in
        self._given, self.kept = Given(), Kept()
        self.validating = ValidationMode(model)

    def attach(self) -> None:
        """Hook into the optimizer's step; a second call changes nothing."""
        if self._attached:
            return
        self._hooks.callback(self.optimizer.register_step_pre_hook(self._before).remove)
        self._hooks.callback(self.optimizer.register_step_post_hook(self._after).remove)
        self._attached = True
        self._order = CallOrder()
        self._prepare()

    def detach(self) -> None:
        """Remove all hooks; the histories stay."""
        self._hooks.close()
        self.clearing.forget()
        self._early.forget()
        self._silence()
        self.validating.close()
        self._attached = False
        self._copies, self._compare = [], False

    @property
    def attached(self) -> bool:
        """Whether the hooks are installed."""
        return self._attached

    @property
    def batch_size(self) -> int:
        """Number of samples in the last pass that was measured; 0: unknown."""
        return self._given.count

    @property
    def gradless(self) -> float:
        """Share of the optimizer's values that require a gradient and never had one; NaN before its first step."""
        asking = [p for p in self._parameters if p.requires_grad and not is_lazy(p)]
        if not self.taken or not asking:
            return float("nan")
        return sum(p.numel() for p in asking if id(p) not in self._ever) / sum(p.numel() for p in asking)

    @property
    def idle(self) -> list[str]:
        """Names of the model's parameters that the optimizer holds and that never had a gradient."""
        held = {id(p) for p in self._parameters if p.requires_grad and id(p) not in self._ever}
        return [name for name, p in self.model.named_parameters() if id(p) in held]

    @property
    def due(self) -> bool:
        """Whether the current step is measured in full."""
        return is_due(self.step, self.every)

    def record(self, loss: Tensor | float) -> str | None:
        """Close a step.

        Args:
            loss: a scalar on any device; no host sync waits for it.

        Returns:
            The name of a misuse in `probes.order`, if this call shows one.
        """
        if self.clearing.passes:
            self._order.passed()
        misuse = self._order.close(loss, watched=self._listening)
        if misuse == TWICE:
            return misuse
        if self._table.is_due and self._activations is not None:
            self._close_pass(self._activations)
        if self.step == LOOK_AT and isinstance(loss, torch.Tensor) and loss.requires_grad:
            self.rival = float(holds_others(loss, self._own))
        self._owed = not self._stepped and (self._owed or self.due)
        self._table.close(loss, (self.step + 1, self._lr, self._stepped, self.model.training))
        self.step += 1
        self.kept.close(self.step)
        self.validating.stepped()
        self.taken += self._stepped
        self._lr = float("nan")
        if self._table.is_full:
            self.read()
        self._prepare()
        self._stepped = False
        return misuse

    def validated(self) -> int:
        """Close a validation, and return the number of recorded steps."""
        self.validating.validated()
        return self.step

    def read(self) -> None:
        """Move the numbers gathered on the device to the histories; those of a step that is still open stay."""
        gathered = self._table.take()
        if gathered is not None:
            self.steps.extend(gathered.steps())
            self.layers.extend(gathered.layers(self._members_L, self.layers.units))

    def _close_pass(self, activations: ActivationProbe) -> None:
        """Note what the passes of a due step showed."""
        self._table.note("dead_units", activations.worst_dead())
        self._table.note("saturated_units", activations.worst_saturated())
        if self._stepped and self.clearing.passes:  # another network's pass, after this one's step
            self._table.note("unused_passes", 1.0)
        made = self._given.made
        if made:  # inputs that are always made by another network are a part of one network
            self._table.note("driven_passes", float(any(made) and not all(made)))
        if len(self._given.marks) == 1:  # the sum of several passes would tell nothing
            self._table.note("inputs_mark", self._given.marks[0])
        if self._given.ends:
            self._table.note("nonfinite_inputs", partial(is_nonfinite, self._given.ends))

    def _fit(self) -> None:
        """Fit the tables to the optimizer's parameters."""
        self.read()
        names = {id(parameter): name for name, parameter in self.model.named_parameters()}
        self._parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        self._own = {*map(id, self._parameters), *map(id, self.model.parameters())}
        grouped = Layers([names.get(id(p), f"parameter {k}") for k, p in enumerate(self._parameters)])
        self.layer_names, self._members_L = grouped.names, dict(zip(grouped.names, grouped.members_L, strict=True))
        self.layers = widened(self.layers, grouped.units)
        self.clearing.forget()
        self.clearing = ClearingCheck(self._parameters)
        device = self._parameters[0].device if self._parameters else torch.device("cpu")
        # a lazy tensor has no size yet
        sizes_P = np.array([np.inf if is_lazy(p) else max(1, p.numel()) for p in self._parameters])
        self._table = Table(sizes_P, device)
        self._complex = any(parameter.is_complex() for parameter in self._parameters)
        self._copies: list[Tensor] = []  # weights before a due step, gradients after it
        self._seen: list[int] = []  # positions of the tensors that had a gradient in this step
        self._length: Tensor | None = None  # of the gradient of the last due step
        self._compare = False

    def _prepare(self) -> None:
        """Prepare for the next step."""
        if self._looked:
            self._silence()
            self._activations = None
            self._given.clear()
            self._listening = False
        if not self.due:
            if self._looked:
                self.clearing.forget()
                self.clearing.passes = 0
            self._looked = False
            return
        self._looked = True
        self._listening = self.clearing.prepare(after_step=self._stepped)
        if not is_compiled(self.model):
            self._activations = ActivationProbe()
            self._forward = around_forward(self.model, self._enter, self._leave)

    def _silence(self) -> None:
        """Stop measuring activations, also in a pass that was broken off."""
        self._forward.close()
        while self._inside and self._activations is not None:
            self._leave()

    def _enter(self, inputs: Any) -> None:
        if self._activations is not None and torch.is_grad_enabled():  # an evaluation is no step
            self._given.look(inputs, self._own)
            self.kept.enter(inputs)
            self._order.passed()
            self._activations.__enter__()
            self._inside += 1

    def _leave(self, outputs: Any = None) -> None:
        if self._activations is not None and self._inside:
            self._inside -= 1
            self._activations.__exit__(None, None, None)
            self.kept.leave(outputs)

    def _before(self, _optimizer: Optimizer, args: Any, kwargs: dict[str, Any]) -> Any:
        closure = kwargs["closure"] if "closure" in kwargs else args[1] if len(args) > 1 else None
        if not callable(closure):
            self._safely(self._before_step)
            return None

        def measured(*given: Any, **named: Any) -> Any:
            loss = closure(*given, **named)
            if not called:
                called.append(True)
                self._safely(self._before_step)
            return loss

        called: list[bool] = []
        if "closure" in kwargs:
            return args, {**kwargs, "closure": measured}
        return (args[0], measured, *args[2:]), kwargs

    def _after(self, *_: Any) -> None:
        self._safely(self._after_step)

    def _safely(self, measure: Callable[[], None]) -> None:
        """Measure inside the user's step without letting a failure reach it."""
        try:
            measure()
        except Exception as error:  # noqa: BLE001 - a training never dies of being watched
            self.failure = error
            self.detach()

    @torch.no_grad()
    def _before_step(self) -> None:
        if self._stepped:  # a second optimizer step within one recorded step
            return
        if sum(len(group["params"]) for group in self.optimizer.param_groups) != len(self._parameters):
            self._fit()
        due = self.due or self._owed
        if due:
            self.reach.look()
        self._lr = max((rate_of(group) for group in self.optimizer.param_groups), default=float("nan"))
        present, sparse = self._gradients()
        early = self._early.look(self._parameters) if due else None
        if not present:
            if early:
                self._table.begin_due()
                self._table.note("cleared_early", early)
            return
        scale = getattr(self.optimizer, "grad_scale", None)  # a fused optimizer unscales within its step
        norms_P = self._put_norms(self._table.norms, present, scale)
        if self._compare and self._length is not None and not sparse and scale is None:
            lengths = self._length * norms_P.norm()
            self._table.note("cosine", torch.stack(_dots(present, self._copies)).sum() / lengths)
        self._compare = False
        if due:
            self._table.begin_due()
            self._length = norms_P.norm()
            parameters = [_plain(self._parameters[at]) for at in self._seen]
            self._copy(parameters)
            if not sparse:
                dots_P = torch.stack(_dots(present, parameters))
                self._put(self._table.dots, dots_P if scale is None else dots_P / scale)
            self._table.note("uncleared", self.clearing.verdict())
            self._table.note("unused_passes", self._unused())
            self._table.note("passes", float(self.clearing.passes) if self._listening else None)
            arrived = self.clearing.arrived if self._listening else None
            self._table.note("cleared_early", early or (early if arrived is None else zeroed(arrived, self._length)))

    def _unused(self) -> Callable[[], float] | None:
        """Whether a pass of other inputs was cleared unused; two of the same inputs are one method's, as SAM's."""
        unused, marks = self.clearing.unused(), self._given.marks
        known = [mark for mark in marks if mark is not None]
        if unused is None or len(known) < 2 or len(known) < len(marks):
            return unused
        return lambda: unused() * (len(set(map(float, known))) > 1)

    def _gradients(self) -> tuple[list[Any], bool]:
        """Return the gradients that are there, as real dense tensors, and whether one of them is sparse."""
        seen, sparse = list[int](), False
        present: list[Any] = []
        for at, parameter in enumerate(self._parameters):
            gradient = parameter.grad
            if gradient is not None:
                seen.append(at)
                present.append(gradient)
                sparse = sparse or gradient.is_sparse
        if seen != self._seen:
            self._ever.update(id(self._parameters[at]) for at in seen)
            self._seen, self._copies, self._compare = seen, [], False
        if sparse or self._complex:
            present = [_plain(gradient) for gradient in present]
        return present, sparse

    def _after_step(self) -> None:
        if self._listening and self.clearing.passes:
            self._order.passed()
            self.clearing.passes = 0
        self._order.stepped()
        self._early.stepped()
        if self._stepped:
            return
        self._stepped = True
        if self._table.is_due and self._copies:
            self._compare_weights()

    @torch.no_grad()
    def _compare_weights(self) -> None:
        """Measure the update, and copy the gradients for the next step."""
        parameters = [_plain(self._parameters[at]) for at in self._seen]
        foreach.subtract_from(self._copies, parameters)
        self._put_norms(self._table.updates, self._copies)
        self._put_norms(self._table.weights, parameters)
        gradients = [gradient for at in self._seen if (gradient := self._parameters[at].grad) is not None]
        if len(gradients) == len(self._seen) and not any(gradient.is_sparse for gradient in gradients):
            self._copy([_plain(gradient) for gradient in gradients])
            self._compare = True

    def _copy(self, tensors: list[Tensor]) -> None:
        if not self._copies:
            self._copies = [torch.empty_like(tensor) for tensor in tensors]
        foreach.copy_into(self._copies, tensors)

    def _put(self, row_P: Tensor, values_P: Tensor) -> None:
        """Write one number for each seen tensor into a row."""
        if len(self._seen) == len(self._parameters):
            row_P.copy_(values_P)
        else:
            row_P[self._seen] = values_P

    def _put_norms(self, row_P: Tensor, tensors: list[Any], scale: Tensor | None = None) -> Tensor:
        """Write the norm of each seen tensor into a row, divided by a scale, and return them."""
        if scale is None and len(tensors) == len(self._parameters):
            return foreach.norms(tensors, out=row_P)
        norms_P = foreach.norms(tensors) if scale is None else foreach.norms(tensors) / scale
        self._put(row_P, norms_P)
        return norms_P


def _dots(left: list[Any], right: list[Tensor]) -> list[Tensor]:
    return [torch.dot(a.reshape(-1).float(), b.reshape(-1).float()) for a, b in zip(left, right, strict=True)]


def _plain(tensor: Tensor) -> Tensor:
    """Return the values of a sparse tensor, and two real numbers for each complex one."""
    values = tensor.coalesce().values() if tensor.is_sparse else tensor
    return torch.view_as_real(values.resolve_conj()) if values.is_complex() else values
