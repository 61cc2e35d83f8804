"""What is asked of a loop: why it is stuck, and how it does beside its repaired twin.

Shape suffixes: K looks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from thalweg._quiet import errors_only
from thalweg.diagnosis import watch
from thalweg.i18n import t
from thalweg.playground.case import WELL
from thalweg.playground.network import probabilities_of
from thalweg.playground.session import diagnosing
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.diagnosis import Fix, Verdict
    from thalweg.playground.case import Case
    from thalweg.playground.loop import Loop

VALIDATE_EVERY: Final = 20  # steps
SECONDS: Final = 20.0  # that the short runs of a diagnosis may take
_LOOKS: Final = 60
_LOWER, _MORE = 0.95, 0.02  # of the loss, and of the accuracy, from which a repair has helped


def diagnose(loop: Loop, steps: int, *, validated: bool = True, next_batch: bool = False, batches: int = 1) -> Verdict:
    """Run a loop under `thalweg.watch`, and ask why it is stuck.

    Args:
        loop: at its start.
        steps: how many to do.
        validated: record losses of held-out points.
        next_batch: give the diagnosis the batch after the last step's instead of that.
        batches: give it so many batches, those of the steps before included.

    Example:
        >>> from thalweg.playground.loop import Fault, Loop
        >>> from thalweg.playground.settings import Settings
        >>> diagnose(Loop(Settings(points="blobs"), fault=Fault(clear=False)), 40).code
        'zero_grad_missing'
    """
    with diagnosing(), own_randomness(loop.settings.seed), errors_only("thalweg"):
        with watch(loop.model, loop.optimizer) as watching:
            for step in range(steps):
                watching.step(loop.advance())
                if validated and step % VALIDATE_EVERY == 0:
                    loss, accuracy = evaluate(loop, loop.held_N)
                    watching.validate(loss, accuracy)
            last = loop.step if next_batch else loop.step - 1
            given = [loop.batch(step) for step in range(max(0, last - batches + 1), last + 1)]
        verdict = watching.diagnose(batch=given, loss_fn=loop.loss_fn, seconds=SECONDS)
    return replace(verdict, fixes=tuple(map(_without_line, verdict.fixes)))


def diagnose_case(case: Case, seed: int) -> Verdict:
    """Run a case, and ask why it is stuck.

    Args:
        case: from `presets.catalogue`.
        seed: 0 to 19.

    Raises:
        UsageError: the seed is none of the case's.
    """
    return diagnose(
        case.loop(seed), case.steps, validated=case.validated, next_batch=case.next_batch, batches=case.batches
    )


@torch.no_grad()
def evaluate(loop: Loop, rows_N: Tensor) -> tuple[float, float]:
    """Loss and accuracy on some points, without dropout."""
    mode = loop.model.training
    loop.model.eval()
    outputs = loop.model(loop.inputs_N2[rows_N])
    loop.model.train(mode)
    right = probabilities_of(outputs, loop.settings.loss).argmax(dim=1) == loop.labels_N[rows_N]
    return float(loop.loss_fn(outputs, loop.targets_N[rows_N])), float(right.float().mean())


@dataclass(frozen=True, slots=True)
class Curves:
    """A training, looked at up to sixty times.

    Attributes:
        steps: of the looks, from 0.
        loss: over the training points.
        held_loss: over held-out points.
        held_accuracy: over held-out points.
    """

    steps: list[int]
    loss: list[float]
    held_loss: list[float]
    held_accuracy: list[float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A case beside its repaired twin, from one start.

    Attributes:
        before: the case.
        after: the twin; None for a training that goes well.
    """

    before: Curves
    after: Curves | None

    @property
    def helped(self) -> bool:
        """Whether the twin ends with a clearly higher accuracy on held-out points, or a lower loss."""
        if self.after is None:
            return False
        before, after = self.before.held_loss[-1], self.after.held_loss[-1]
        if not math.isfinite(after):
            return False
        gained = self.after.held_accuracy[-1] - self.before.held_accuracy[-1]
        return gained > _MORE or not math.isfinite(before) or after <= _LOWER * before

    @property
    def text(self) -> str:
        """Both ends, in a sentence."""
        if self.after is None:
            return t("playground.not_tried")
        ends = {"before": self.before, "after": self.after}
        numbers = {f"{name}_accuracy": curves.held_accuracy[-1] for name, curves in ends.items()}
        numbers |= {f"{name}_loss": curves.held_loss[-1] for name, curves in ends.items()}
        return t(f"playground.tried_{'helped' if self.helped else 'in_vain'}", **numbers)


def compare(case: Case, seed: int) -> Comparison:
    """Train a case and its repaired twin.

    Args:
        case: from `presets.catalogue`.
        seed: 0 to 19.

    Raises:
        UsageError: the seed is none of the case's.
    """
    before = _curves(case.loop(seed), case.steps)
    if case.code in WELL:
        return Comparison(before, None)
    return Comparison(before, _curves(case.loop(seed, repaired=True), case.steps_of(repaired=True)))


def _curves(loop: Loop, steps: int) -> Curves:
    looks_K = np.unique(np.linspace(0, steps, min(_LOOKS, steps) + 1).astype(int)).tolist()
    curves = Curves(looks_K, [], [], [])
    for look in looks_K:
        while loop.step < look:
            loop.advance()
        held_loss, held_accuracy = evaluate(loop, loop.held_N)
        curves.loss.append(evaluate(loop, loop.train_N)[0])
        curves.held_loss.append(held_loss)
        curves.held_accuracy.append(held_accuracy)
    return curves


def _without_line(fix: Fix) -> Fix:
    """A fix that names no line to change: the loop is not the user's."""
    if "line" not in fix.values:
        return fix
    kept = {name: value for name, value in fix.values.items() if name not in {"line", "at", "code", "there"}}
    return replace(fix, values=kept)
