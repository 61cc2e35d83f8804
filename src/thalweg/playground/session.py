"""Sessions: loops that stay alive, so that a page can ask for one step after another, and for earlier ones again.

Shape suffixes: F frames, L linear layers, N points.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from thalweg.diagnosis.curvature import sharpness
from thalweg.errors import ThalwegError, UsageError
from thalweg.i18n import t
from thalweg.playground.frames import GRID, View
from thalweg.playground.network import linear_layers
from thalweg.probes import LayerProbe


if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.playground.frames import State
    from thalweg.playground.loop import Loop

MOST_STEPS: Final = 10_000
MOST_FRAMES, LONGEST_STRIDE, MOST_AHEAD = 128, 200, 4_000
SHARPNESS_EVERY: Final = 20  # steps
_KEPT_EVERY, _MOST_KEPT = 250, 41  # steps between two states that are kept, to go back to
_SESSIONS: Final = 8
_WEIGHTS_A_LAYER: Final = 400_000  # that take as long as what any layer costs in a step, about 0.15 ms
_MOST_WORK: Final = 70_000  # layers, in all steps of a request: about ten seconds
_PRODUCTS: Final = 12  # with the Hessian, for one sharpness
_PASSES: Final = 2  # a product takes as long as so many steps
_TOLERANCE: Final = 0.03  # of a sharpness
_LOOK: Final = 0.05  # seconds between two looks whether a diagnosis has begun

_sharing = threading.RLock()  # held by whatever uses the random numbers that all threads share
_diagnosing = threading.Event()


class Session:
    """A loop that can be asked for any of its steps.

    Args:
        loop: at its start.
        most: its last step.
    """

    def __init__(self, loop: Loop, most: int = MOST_STEPS) -> None:
        self.loop, self._most = loop, most
        self._view = View(loop)
        layers = set(linear_layers(loop.model))
        self._layers = [name for name, module in loop.model.named_modules() if module in layers]
        self._kept: dict[int, tuple[Any, Any, list[Tensor | None]]] = {}
        self._sharpness: dict[int, tuple[float, float]] = {}
        self._formula = ""
        self._ended: int | None = None
        self._alone = threading.Lock()
        self._keep()

    def frames(
        self, start: int, count: int, stride: int, *, with_sharpness: bool = True
    ) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """What is drawn after `start`, `start + stride`, ... steps.

        Args:
            start: the step of the first frame.
            count: number of frames.
            stride: steps between two frames.
            with_sharpness: whether to measure the curvature, at steps that are multiples of `SHARPNESS_EVERY`.

        Returns:
            Facts, and arrays by name; each array begins with the frames.

        Raises:
            UsageError: a number is beyond its limit.
        """
        _check("count", count, 1, MOST_FRAMES)
        _check("stride", stride, 1, LONGEST_STRIDE)
        _check("from", start, 0, self._most)
        last = start + (count - 1) * stride
        if last > self._most or last - start > MOST_AHEAD:
            raise UsageError(
                "playground.too_far", last=last, most=self._most, ahead=last - start, most_ahead=MOST_AHEAD
            )
        with self._alone:
            steps = range(start, last + 1, stride)
            known = max(step for step in (*self._kept, self.loop.step) if step < max(start, 1))
            due = [step for step in steps if step % SHARPNESS_EVERY == 0 and step not in self._sharpness]
            check_work(self.loop, last - known, len(due) if with_sharpness else 0)
            states, rows, layers_FL = self._walk(steps, with_sharpness=with_sharpness)
            arrays = self._view.arrays(states)
        ended = np.flatnonzero(~np.isfinite(arrays["loss"]))
        step_F = np.arange(start, last + 1, stride, dtype=np.float64)
        if len(ended):
            found = int(step_F[ended[0]])
            self._ended = found if self._ended is None else min(self._ended, found)
        arrays |= {"step": step_F} | {name: np.array([row[name] for row in rows]) for name in rows[0]} | layers_FL
        return self._facts(start, count, stride), arrays | self._points()

    def _walk(
        self, steps: range, *, with_sharpness: bool
    ) -> tuple[list[State], list[dict[str, float]], dict[str, NDArray[Any]]]:
        """States after some steps, numbers of the step that led to each, and of its layers."""
        loop = self.loop
        probe = LayerProbe(loop.model, every=1)
        states, rows = [], []
        losses: list[Tensor] = []
        for step in steps:
            self._go_back_before(step)
            loss = torch.tensor(math.nan)
            while loop.step < step:
                is_last = loop.step == step - 1
                loss = loop.advance(probe.before_step if is_last else None)
                if is_last:
                    probe.after_step()
                if loop.step % _KEPT_EVERY == 0:
                    self._keep()
            states.append(self._view.state())
            losses.append(loss)
            due = with_sharpness and step % SHARPNESS_EVERY == 0
            largest, threshold = self._curvature(step) if due else (math.nan, math.nan)
            rows.append({"rate": loop.rate(max(step - 1, 0)), "sharpness": largest, "threshold": threshold})
        for row, loss in zip(rows, torch.stack(losses).tolist(), strict=True):
            row["batch_loss"] = loss
        return states, rows, self._of_layers(probe, steps)

    def _of_layers(self, probe: LayerProbe, steps: range) -> dict[str, NDArray[Any]]:
        """Gradient norm and update ratio of each linear layer in the step that led to each frame."""
        rows_KC = probe.read()
        columns = list(probe.units)
        found_FC = np.full((len(steps), len(columns)), math.nan)
        found_FC[[steps.index(int(step)) for step in rows_KC[:, 0]]] = rows_KC
        place = {name: at for at, name in enumerate(columns)}
        norms = [at for name, at in place.items() if name.endswith(".gradient_norm")]
        arrays = {"gradient_norm": np.sqrt(np.square(found_FC[:, norms]).sum(axis=1))}
        for array, measure in (("layer_gradient", "gradient_norm"), ("layer_update", "update_ratio")):
            chosen = [place.get(f"{name}.{measure}") for name in self._layers]
            none_F = np.full(len(steps), math.nan)
            arrays[array] = np.stack([none_F if at is None else found_FC[:, at] for at in chosen], axis=1)
        return arrays

    def _curvature(self, step: int) -> tuple[float, float]:
        """Sharpness over the training points, and the optimizer's threshold; NaN where they are unknown.

        A diagnosis takes seconds: while one runs, frames come without these.
        """
        if step not in self._sharpness:
            if not _may_measure():
                return math.nan, math.nan
            loop = self.loop
            batch = loop.inputs_N2[loop.train_N], loop.targets_N[loop.train_N]
            try:
                found = sharpness(
                    loop.model, loop.optimizer, loop.loss_fn, [batch], tolerance=_TOLERANCE, most=_PRODUCTS
                )
                threshold = math.nan
                if found.threshold is not None:
                    threshold, self._formula = found.threshold.value, found.threshold.formula
                self._sharpness[step] = float(found.largest.value), threshold
            except ThalwegError:
                self._sharpness[step] = math.nan, math.nan
            finally:
                _sharing.release()
        return self._sharpness[step]

    def _go_back_before(self, step: int) -> None:
        """Return to a state that is kept, if the network is already past the step that is to be measured."""
        if self.loop.step < max(step, 1) or (self.loop.step == step == 0):
            return
        place = max(kept for kept in self._kept if kept < max(step, 1))
        model, optimizer, gradients = self._kept[place]
        self.loop.model.load_state_dict(model)
        self.loop.optimizer.load_state_dict(copy.deepcopy(optimizer))
        for parameter, gradient in zip(self.loop.model.parameters(), gradients, strict=True):
            parameter.grad = None if gradient is None else gradient.clone()
        self.loop.step = place

    def _keep(self) -> None:
        if self.loop.step in self._kept or len(self._kept) >= _MOST_KEPT:
            return
        model, optimizer = self.loop.model, self.loop.optimizer
        # a loop that does not clear its gradients needs them, too
        gradients = [None if one.grad is None else one.grad.clone() for one in model.parameters()]
        self._kept[self.loop.step] = (*copy.deepcopy((model.state_dict(), optimizer.state_dict())), gradients)

    def _facts(self, start: int, count: int, stride: int) -> dict[str, Any]:
        loop, units = self.loop, self._view.units
        return {
            "from": start,
            "count": count,
            "stride": stride,
            "classes": list(loop.points.classes),
            "grid": GRID,
            "unit_grid": self._view.unit_grid,
            "window": list(self._view.window),
            "inputs": ["x", "y"],
            "layers": [
                {"units": width, "label": t("playground.output") if place == len(units) else str(place)}
                for place, width in enumerate(units, start=1)
            ],
            "sharpness_every": SHARPNESS_EVERY,
            "threshold_text": t(self._formula) if self._formula else "",
            "ended": self._ended,
            "total": loop.settings.total,
            "data_count": len(loop.labels_N),
            "train_count": len(loop.train_N),
            "plane": True,
            "case": None,
        }

    def _points(self) -> dict[str, NDArray[Any]]:
        points = self.loop.points
        return {
            "points": points.inputs_N2,
            "labels": self.loop.labels_N.numpy().astype(np.uint8),
            "held": points.held_N.astype(np.uint8),
        }


@contextmanager
def diagnosing() -> Iterator[None]:
    """Use the random numbers that all threads share, for seconds; frames are made meanwhile, without the curvature."""
    with _sharing:
        _diagnosing.set()
        try:
            yield
        finally:
            _diagnosing.clear()


def _may_measure() -> bool:
    """Wait for whoever else measures a curvature; not for a diagnosis. The caller releases what it got."""
    while not _diagnosing.is_set():
        if _sharing.acquire(timeout=_LOOK):
            return True
    return False


class Sessions:
    """The sessions that were used last, by what they are of.

    Args:
        most: number of sessions that are kept.
    """

    def __init__(self, most: int = _SESSIONS) -> None:
        self._most = most
        self._sessions: OrderedDict[Hashable, Session] = OrderedDict()
        self._alone = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Session]) -> Session:
        """The session of a key; it is made if it is missing."""
        with self._alone:
            if key not in self._sessions:
                self._sessions[key] = make()
            self._sessions.move_to_end(key)
            while len(self._sessions) > self._most:
                self._sessions.popitem(last=False)
            return self._sessions[key]


def check_work(loop: Loop, steps: int, measured: int = 0) -> None:
    """Refuse what would take more than some seconds; a page that asks for one step after another never meets it.

    Args:
        loop: says how much a step costs.
        steps: how many to do.
        measured: at how many of them the sharpness is measured, over all training points.

    Raises:
        UsageError: it is too much for one request.
    """
    layers = linear_layers(loop.model)
    weights = sum(layer.weight.numel() for layer in layers)
    a_step, a_pass = (
        len(layers) + weights * points / _WEIGHTS_A_LAYER
        for points in (min(loop.settings.batch, len(loop.train_N)), len(loop.train_N))
    )
    work = steps * a_step + measured * _PRODUCTS * _PASSES * a_pass
    if work > _MOST_WORK:
        raise UsageError("playground.too_much", steps=steps, most=int(steps * _MOST_WORK / work))


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UsageError("playground.bad_number", name=name, value=value, least=least, most=most)
