"""Watch any training loop with two lines, without changing the training."""

from __future__ import annotations

import json
import logging
import math
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import torch

from thalweg._files import write_text
from thalweg.diagnosis import trials
from thalweg.diagnosis.at_hand import LOOK_AT, at_hand_measures, repetition_of
from thalweg.diagnosis.edits import Edits
from thalweg.diagnosis.judging import NO_STEP, judge
from thalweg.diagnosis.measures.collect import MOST_BATCHES, ask, decay_measures, mode_measures, wiring_measures
from thalweg.diagnosis.measures.foretold import sight_measures
from thalweg.diagnosis.measures.replicas import replica_measures
from thalweg.diagnosis.measures.start import weights_to_keep
from thalweg.diagnosis.measures.trends import of_history
from thalweg.diagnosis.source import Place, Program, caller
from thalweg.diagnosis.stages import in_stages
from thalweg.diagnosis.verdict import Trial
from thalweg.history import History, HistoryLog
from thalweg.i18n import t
from thalweg.probes import StepProbe
from thalweg.probes.batches import loss_function, read_batches
from thalweg.probes.copies import own_randomness
from thalweg.probes.layers import EVERY
from thalweg.probes.pair import pair_of
from thalweg.probes.replicas import ReplicaProbe
from thalweg.training.printing import heard_if_long


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from torch import Tensor, nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Verdict
    from thalweg.probes import Wiring
    from thalweg.probes.batches import Batch, LossFunction
    from thalweg.training.progress import Listener

FORMAT = "thalweg-watch-1"
_UNKNOWN = Place("", 0)  # a caller that is none of the user's
VALIDATION_UNITS = {"step": "", "loss": "", "accuracy": ""}


logger = logging.getLogger("thalweg")


class Watch:
    """A watched training; `watch` makes it.

    It keeps a copy of the first weights, up to 64 MB, so that fixes can be tried from the start.

    If watching fails, the training goes on; `problems` records the failure and the verdict names it. A misuse within
    the loop is also said at once, by the logger `thalweg`. A copy or a pickle of a watch is closed and empty.

    Args:
        model: the model in training.
        optimizer: its optimizer.
        every: number of steps between two full measurements.

    Raises:
        UsageError: this is not one model and one torch optimizer, in this order.
    """

    def __init__(self, model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> None:
        self.model, self.optimizer = pair_of(model, optimizer)
        self.problems: list[str] = []
        self.validation = History(VALIDATION_UNITS)
        self.error: Exception | None = None
        self._asked: dict[str, float] = {}
        self._at_hand: dict[str, float] = {}
        self._start: dict[str, Tensor] = {}
        self._every = every
        self._probe: StepProbe | None = None
        self._replicas: ReplicaProbe | None = None
        self._wiring: Wiring | None = None
        self._depth = 0
        self._made = caller(__name__)
        self._stepped: Place | None = None
        with self._keeping("setup"):
            if next(iter(self.model.parameters()), None) is None:
                self.problems.append("no_parameters")
            self._probe = StepProbe(self.model, self.optimizer, every=every)

    def __reduce__(self) -> tuple[Any, ...]:
        return _closed, (self._every,)

    def __enter__(self) -> Self:
        self._depth += 1
        with self._keeping("setup"):
            self._start = self._start or weights_to_keep(self.model)
            if self._probe is not None:
                self._probe.attach()
                self._wiring = self._probe.reach.wiring()
                if self._wiring.foreign == 1.0 and "no_parameters" not in self.problems:
                    self._say("foreign")
        with self._keeping("replicas"):
            self._replicas = self._replicas or ReplicaProbe.of(self.model, self.optimizer, every=self._every)
            if self._replicas is not None and self._depth == 1:
                self._replicas.attach()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._depth = max(0, self._depth - 1)
        if self._replicas is not None and not self._depth:
            with self._keeping("replicas"):
                self._replicas.detach()
        if self._probe is None or not self._probe.attached or self._depth:
            return
        with self._keeping("reading"):
            self._probe.detach()
            self._wiring = self._probe.reach.wiring()
            self._probe.read()
            if error is None and self._never_stepped:
                self._say(NO_STEP)

    def step(self, loss: Tensor | float) -> None:
        """Close a step: call it after `optimizer.step()`.

        Args:
            loss: a scalar, the one that the step minimized.
        """
        if self._probe is None:
            return
        if not self._depth:
            self.note("outside")
            return
        if self._stepped is None:
            self._stepped = caller(__name__) or _UNKNOWN
        try:
            misuse = self._probe.record(loss)
        except Exception as error:  # noqa: BLE001 - watching never stops a training
            if _is_scalar(loss):
                self._fail("watching", error)
            else:
                self._fail("loss_not_scalar", error)
                self._say("loss_not_scalar", got=_kind(loss))
            return
        if misuse is not None:
            self.note(misuse)
        if self._probe.step == LOOK_AT:
            with self._keeping("repeated"):
                self._at_hand = at_hand_measures(self._probe.kept, self._probe.batch_size)
        if self._probe.failure is not None:
            self._fail("watching", self._probe.failure)

    def validate(self, loss: float, accuracy: float = math.nan) -> None:
        """Record a loss right after its passes on validation data; without it, overfitting stays unseen.

        Args:
            loss: a scalar.
            accuracy: in [0, 1].
        """
        with self._keeping("watching"):
            step = self._probe.validated() if self._probe is not None else len(self.validation)
            self.validation.append(step=step, loss=float(loss), accuracy=float(accuracy))

    def note(self, misuse: str) -> None:
        """Record a misuse, and say it the first time.

        Args:
            misuse: a name with the texts `misuse_<name>` and `unchecked_<name>` in the catalogue.
        """
        if misuse not in self.problems:
            self.problems.append(misuse)
            self._say(misuse)

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
        seconds: float = 10.0,
        listener: Listener | None = None,
    ) -> Verdict:
        """Say why the training is stuck, or that it is not.

        Args:
            batch: one or several batches, in any form of `thalweg.probes.batches`: a pair, a dict, a named tuple, a
                list of them, a DataLoader. They are used to measure copies of the model. Without them the diagnosis
                reads only the history. If they cannot be read, the verdict's `unchecked` says so.
            loss_fn: of (outputs, targets), a scalar tensor, the mean over the batch; None: the outputs hold the loss.
            try_fix: try the first fix on a copy, beside a copy without it; if the verdict has fixes, it then has a
                `trial`.
            seconds: about how long the diagnosis may take, without `try_fix`, on a machine that does nothing else. A
                network whose passes are slow is asked with fewer samples and steps; what there was no time for is in
                the verdict's `unchecked`.
            listener: receives the progress; None: after the first second, a notebook and a terminal show it.

        Returns:
            The verdict. Model, optimizer and random states are unchanged.
        """
        measures = self.measures()
        problems = self._problems()
        with own_randomness(0, batch, loss_fn, *_forwards_of(self.model)):
            batches = self._read(batch, problems)
            takes = loss_function(loss_fn)
            if not batches or self._probe is None:
                verdict = self._judged(measures, problems)
                return _not_tried(verdict, "no_batch") if try_fix else verdict
            parts = self.model, self.optimizer, takes, batches
            given = {"seconds": seconds, "start": self._start, "rows": self._probe.kept.told}
            with heard_if_long(listener) as told:
                progress = in_stages(told, try_fix=try_fix, seconds=seconds)
                self._asked, failed = ask(*parts, measures, **given, progress=progress)
                why = "no_loss_fn" if loss_fn is None else "batch_fails"
                problems += [why if name == "batch" else name for name in failed]
                verdict = self._judged(measures, problems)
                if not try_fix or not verdict.fixes:
                    return verdict
                if any(name.startswith("not_copied") for name in failed):
                    return _not_tried(verdict, "not_copied")
                return replace(verdict, trial=trials.try_fix(verdict, *parts, progress=partial(progress, "trial")))

    def _judged(self, measures: Mapping[str, float], problems: Sequence[str]) -> Verdict:
        """The verdict, whose fixes say what to type."""
        idle = self._probe.idle if self._probe is not None else ()
        stepped = self._stepped if self._stepped is not _UNKNOWN else None
        edits = Edits(self.model, self.optimizer, self._made, stepped, idle)
        return edits.added_to(judge({**measures, **self._asked}, problems=problems))

    def measures(self) -> dict[str, float]:
        """The measures that need no batch."""
        steps = self.steps
        columns = {name: steps[name] for name in steps.units}
        found = of_history(columns, layers=self.layers, valid_loss=self.validation["loss"])
        if self._probe is not None:
            with self._keeping("optimizer"):
                if self._probe.attached:
                    self._wiring = self._probe.reach.wiring()
            found |= {"gradless": self._probe.gradless, "dropped": self._probe.clearing.dropped}
            found |= mode_measures(self.model, self._probe.validating) | {"rival_seen": self._probe.rival}
            found["batch_size"] = float(self._probe.batch_size)
            with self._keeping("repeated"):
                found |= sight_measures(self._probe.kept.marks, steps["loss"])
        if self._stepped is not None and self._stepped is not _UNKNOWN and found.get("batches_seen") == 1:
            with self._keeping("repeated"):
                found |= self._at_hand | repetition_of(Program(self._stepped))
        if self._wiring is not None:
            found |= wiring_measures(self._wiring)
        if self._replicas is not None:
            with self._keeping("replicas"):
                found |= replica_measures(self._replicas)
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
            HistoryLog.write(folder / "history" / name, history)
        measures, problems = self.measures(), self._problems()
        edits = {fix.code: dict(fix.values) for fix in self._judged(measures, problems).fixes if fix.line}
        facts = {
            "format": FORMAT,
            "optimizer": type(self.optimizer).__name__,
            "wiring": self._wiring.to_dict() if self._wiring else None,
            "measures": {**measures, **self._asked},
            "problems": problems,
            "edits": edits,
        }
        write_text(folder / "watch.json", json.dumps(facts, indent=2, ensure_ascii=False) + "\n")

    def _read(self, given: Any, problems: list[str]) -> list[Batch]:
        """Read the given batches; if that fails, note it in `problems`."""
        try:
            return read_batches(given, self.model, most=MOST_BATCHES)
        except Exception as error:  # noqa: BLE001 - a fault in the user's loader costs only the measures of a batch
            self.error = error
            problems.append("batch_unreadable")
            return []

    def _problems(self) -> list[str]:
        return [*self.problems, *([NO_STEP] if self._never_stepped else [])]

    @property
    def _never_stepped(self) -> bool:
        return self._probe is not None and self._probe.step > 0 and not self._probe.taken

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

    def _say(self, misuse: str, **values: Any) -> None:
        logger.warning(t(f"diagnosis.misuse_{misuse}", **values))


def watch(model: nn.Module, optimizer: Optimizer, *, every: int = EVERY) -> Watch:
    """Watch a training: put the loop inside `with`, and call `watch.step(loss)` after each step.

    Args:
        model: the model in training.
        optimizer: any torch optimizer.
        every: number of steps between two full measurements, at least 1. The first ten steps are always measured in
            full.

    Returns:
        A `Watch`.

    Raises:
        UsageError: this is not one model and one torch optimizer, in this order.

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


def _not_tried(verdict: Verdict, why: str) -> Verdict:
    """The verdict, which says that its trial was not made."""
    return replace(verdict, trial=Trial.not_made(why)) if verdict.fixes else verdict


def _is_scalar(loss: Any) -> bool:
    return loss.numel() == 1 if isinstance(loss, torch.Tensor) else isinstance(loss, int | float)


def _kind(loss: Any) -> str:
    if isinstance(loss, torch.Tensor):
        return f"Tensor {tuple(loss.shape)}"
    return type(loss).__name__


def _forwards_of(model: nn.Module) -> list[Any]:
    """The functions that a pass runs; the generators that they name are restored."""
    kinds = {type(module) for module in model.modules()}
    return [kind.forward for kind in kinds if not kind.__module__.startswith("torch.")]


def _closed(every: int) -> Watch:
    """A watch of nothing, in place of a copy: its `step` records nothing."""
    empty = torch.nn.Module()
    unused = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.0)
    closed = Watch(empty, unused, every=every)
    closed._probe = None  # noqa: SLF001 - the same module
    closed.problems.clear()
    return closed
