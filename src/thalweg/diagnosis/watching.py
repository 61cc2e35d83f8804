"""Watch any training loop with two lines, without changing the training."""

from __future__ import annotations

import json
import math
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import torch

from thalweg._files import replacing, write_text
from thalweg.diagnosis import trials
from thalweg.diagnosis.judging import judge
from thalweg.diagnosis.measures.collect import MOST_BATCHES, ask, decay_measures, mode_measures, wiring_measures
from thalweg.diagnosis.measures.trends import of_history
from thalweg.history import History, HistoryLog
from thalweg.probes import StepProbe, Wiring
from thalweg.probes.batches import loss_function, read_batches
from thalweg.probes.copies import own_randomness
from thalweg.probes.layers import EVERY


if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Verdict
    from thalweg.probes.batches import Batch, LossFunction

FORMAT = "thalweg-watch-1"
VALIDATION_UNITS = {"step": "", "loss": "", "accuracy": ""}


class Watch:
    """A watched training; `watch` makes it.

    If watching fails, the training goes on; `problems` records the failure and the verdict names it.

    Args:
        model: the model in training.
        optimizer: its optimizer.
        every: number of steps between two full measurements.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> None:
        self.model, self.optimizer = model, optimizer
        self.problems: list[str] = []
        self.validation = History(VALIDATION_UNITS)
        self.error: Exception | None = None
        self._asked: dict[str, float] = {}
        self._probe: StepProbe | None = None
        self._wiring: Wiring | None = None
        with self._keeping("setup"):
            if next(iter(model.parameters()), None) is None:
                self.problems.append("no_parameters")
            self._probe = StepProbe(model, optimizer, every=every)

    def __enter__(self) -> Self:
        with self._keeping("setup"):
            if self._probe is not None:
                self._wiring = Wiring.of(self.model, self.optimizer)
                self._probe.attach()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._keeping("reading"):
            if self._probe is not None:
                self._probe.detach()
                self._probe.read()

    def step(self, loss: Tensor | float) -> None:
        """Close a step: call it after `optimizer.step()`.

        Args:
            loss: a scalar, the one that the step minimized.
        """
        if self._probe is None:
            return
        try:
            self._probe.record(loss)
        except Exception as error:  # noqa: BLE001 - watching never stops a training
            self._fail("watching" if _is_scalar(loss) else "loss_not_scalar", error)
        if self._probe is not None and self._probe.failure is not None:
            self._fail("watching", self._probe.failure)

    def validate(self, loss: float, accuracy: float = math.nan) -> None:
        """Record a loss on validation data; without it, overfitting stays unseen.

        Args:
            loss: a scalar.
            accuracy: in [0, 1].
        """
        with self._keeping("watching"):
            step = self._probe.step if self._probe is not None else len(self.validation)
            self.validation.append(step=step, loss=float(loss), accuracy=float(accuracy))

    @property
    def steps(self) -> History:
        """One row per step, with the columns of `probes.step.STEP_UNITS`."""
        if self._probe is None:
            return History({"step": "", "loss": ""})
        self._probe.read()
        return self._probe.steps

    @property
    def layers(self) -> History:
        """Gradient norm, update ratio and weight norm of each layer, at the steps that were measured in full."""
        if self._probe is None:
            return History({"step": ""})
        self._probe.read()
        return self._probe.layers

    def diagnose(
        self,
        batch: Any = None,
        loss_fn: LossFunction | None = None,
        *,
        try_fix: bool = False,
        seconds: float = 20.0,
    ) -> Verdict:
        """Say why the training is stuck, or that it is not.

        Args:
            batch: one or several batches, in any form of `thalweg.probes.batches`: a pair, a dict, a named tuple, a
                list of them, a DataLoader. They are used to measure copies of the model. Without them the diagnosis
                reads only the history. If they cannot be read, the verdict's `unchecked` says so.
            loss_fn: of (outputs, targets), a scalar tensor, the mean over the batch; None: the outputs hold the loss.
            try_fix: try the first fix on a copy, beside a copy without it; if the verdict has fixes, it then has a
                `trial`.
            seconds: about how long the short runs on copies may take.

        Returns:
            The verdict. Model, optimizer and random states are unchanged.
        """
        measures = self.measures()
        problems = list(self.problems)
        batches = self._read(batch, problems)
        takes = loss_function(loss_fn)
        if batches and self._probe is not None:
            with self._paused():
                asked, more = ask(self.model, self.optimizer, takes, batches, measures, seconds=seconds)
            if "batch" in more:
                why = "no_loss_fn" if loss_fn is None else "batch_fails"
                more = [why if name == "batch" else name for name in more]
            self._asked = asked
            problems += more
        verdict = judge({**measures, **self._asked}, problems=problems)
        if try_fix and verdict.fixes and batches and self._probe is not None:
            with self._paused():
                trial = trials.try_fix(verdict, self.model, self.optimizer, takes, batches)
            return replace(verdict, trial=trial)
        return verdict

    def measures(self) -> dict[str, float]:
        """The measures that need no batch."""
        steps = self.steps
        columns = {name: steps[name] for name in steps.units}
        found = of_history(columns, layers=self.layers, valid_loss=self.validation["loss"])
        if self._wiring is not None:
            found |= wiring_measures(self._wiring)
        if self._probe is not None:
            found["gradless"] = self._probe.gradless
            found |= mode_measures(self.model)
        with self._keeping("optimizer"):
            found |= decay_measures(self.optimizer, found)
        return found

    def save(self, folder: Path | str) -> None:
        """Save histories and measures in a folder, for `thalweg diagnose FOLDER`.

        Raises:
            StorageError: the folder cannot be written.
        """
        from pathlib import Path

        folder = Path(folder)
        for name, history in (("steps", self.steps), ("layers", self.layers), ("validation", self.validation)):
            with replacing(folder / "history" / name) as path, HistoryLog(path, history.units) as log:
                log.extend(history.rows_NC)
        facts = {
            "format": FORMAT,
            "optimizer": type(self.optimizer).__name__,
            "wiring": self._wiring.to_dict() if self._wiring else None,
            "measures": {**self.measures(), **self._asked},
            "problems": self.problems,
        }
        write_text(folder / "watch.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")

    def _read(self, given: Any, problems: list[str]) -> list[Batch]:
        """Read the given batches; if that fails, note it in `problems`."""
        try:
            with own_randomness(0, given):
                return read_batches(given, self.model, most=MOST_BATCHES)
        except Exception as error:  # noqa: BLE001 - a fault in the user's loader costs only the measures of a batch
            self.error = error
            problems.append("batch_unreadable")
            return []

    @contextmanager
    def _paused(self) -> Iterator[None]:
        """Remove the hooks for a while: a copy of the model would contain them."""
        assert self._probe is not None  # noqa: S101 - for the type checker
        attached = self._probe.attached
        self._probe.detach()
        try:
            yield
        finally:
            if attached:
                self._probe.attach()

    @contextmanager
    def _keeping(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - watching never stops a training
            self._fail(what, error)

    def _fail(self, what: str, error: Exception) -> None:
        if what not in self.problems:
            self.problems.append(what)
        self.error = error
        if self._probe is not None and what in {"watching", "loss_not_scalar"}:
            self._probe.detach()
            self._probe = None


def watch(model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> Watch:
    """Watch a training: put the loop inside `with`, and call `watch.step(loss)` after each step.

    Args:
        model: the model in training.
        optimizer: any torch optimizer.
        every: number of steps between two full measurements, at least 1. The first ten steps are always measured in
            full.

    Returns:
        A `Watch`.

    Example:
        >>> import torch
        >>> from torch.nn.functional import mse_loss
        >>> _ = torch.manual_seed(0)
        >>> model = torch.nn.Linear(4, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
        >>> x = torch.randn(64, 4)
        >>> y = x @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])
        >>> with watch(model, optimizer) as watching:
        ...     for _ in range(100):
        ...         optimizer.zero_grad()
        ...         loss = mse_loss(model(x), y)
        ...         loss.backward()
        ...         optimizer.step()
        ...         watching.step(loss)
        >>> watching.diagnose(batch=(x, y), loss_fn=mse_loss).code
        'lr_too_small'
    """
    return Watch(model, optimizer, every=every)


def _is_scalar(loss: Any) -> bool:
    return loss.numel() == 1 if isinstance(loss, torch.Tensor) else isinstance(loss, int | float)
