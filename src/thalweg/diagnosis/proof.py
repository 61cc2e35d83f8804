"""The proof: the first remedy on a copy, beside the unchanged training, on the same batches and seeds."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grad_norm_

from thalweg.diagnosis.cures import Patient, cure
from thalweg.diagnosis.measures.trials import scale_of
from thalweg.diagnosis.measures.twins import Twin, call, mean_loss
from thalweg.diagnosis.randomness import own_randomness
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.measures.twins import Batch, LossFunction
    from thalweg.diagnosis.verdict import Remedy, Verdict

STEPS = 100
RUN_STEPS = 30  # of a run, whose steps are slow
WORTH = 0.02  # a gain under 2 % of the scale is no help
# Remedies after which the loss is another one: what they do is judged by the share of right answers.
_OTHER_LOSS = {"cross_entropy", "logits", "match_shapes", "sign_of_loss"}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a remedy did.

    Attributes:
        remedy: that was tried; None when none of the verdict's can be tried on a copy.
        yardstick: `loss`, `loss_eval` (with batch norm's running statistics) or `accuracy`.
        steps: of both copies.
        before: the yardstick at the start.
        unchanged: after `steps` steps of the training as it is.
        changed: after as many with the remedy.
        sooner: the first step at which the changed one was better than the unchanged one ever became; None: never.
        helped: whether the remedy is better by more than 2 % of what there is to gain.
    """

    remedy: Remedy | None
    yardstick: str
    steps: int
    before: float
    unchanged: float
    changed: float
    sooner: int | None
    helped: bool

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "text": str(self)}

    def __str__(self) -> str:
        if self.remedy is None:
            return t("diagnosis.proof_none")
        key = "diagnosis.proof_helped" if self.helped else "diagnosis.proof_not_helped"
        return t(
            key,
            remedy=str(self.remedy),
            yardstick=t(f"diagnosis.yardstick_{self.yardstick}"),
            steps=self.steps,
            before=self.before,
            unchanged=self.unchanged,
            changed=self.changed,
        )


def prove(
    verdict: Verdict,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFunction,
    batches: Sequence[Batch],
    *,
    remedy: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
) -> Proof:
    """Try a remedy of a verdict on a copy.

    Args:
        verdict: whose remedies are tried.
        model: copied twice.
        optimizer: copied with it.
        loss_fn: of (outputs, targets).
        batches: taken in turn, by both copies alike.
        remedy: its code; None: the first that a copy can be given.
        steps: of each copy, 1 or more.
        seed: of dropout and whatever else is drawn, the same for both.

    Returns:
        What came out; model, optimizer and random states are as they were.
    """
    clear = verdict.code != "gradients_not_cleared"
    for wanted in verdict.remedies:
        if remedy not in (None, wanted.code):
            continue
        with own_randomness(seed):
            changed = cure(Patient(Twin.of(model, optimizer), loss_fn, clear=clear), wanted.code, wanted.values)
        if changed is None:
            continue
        unchanged = Patient(Twin.of(model, optimizer), loss_fn, clear=clear)
        with own_randomness(seed):
            return _compare(wanted, unchanged, changed, batches, steps=steps, seed=seed)
    return Proof(None, "loss", 0, math.nan, math.nan, math.nan, None, helped=False)


def _compare(
    remedy: Remedy, unchanged: Patient, changed: Patient, batches: Sequence[Batch], *, steps: int, seed: int
) -> Proof:
    yardstick = "loss"
    if remedy.code == "norm_momentum":
        yardstick = "loss_eval"
    elif remedy.code in _OTHER_LOSS and _accuracy(unchanged, batches) is not None:
        yardstick = "accuracy"
    before = _measure(unchanged, batches, yardstick, seed)
    traces = [_train(patient, batches, yardstick, steps=steps, seed=seed) for patient in (unchanged, changed)]
    better = max if yardstick == "accuracy" else min
    known = [value for value in traces[0] if math.isfinite(value)]
    reached = better(known) if known else -math.inf if yardstick == "accuracy" else math.inf
    ahead = [at for at, value in enumerate(traces[1], start=1) if _is_better(value, reached, yardstick)]
    last = [trace[-1] for trace in traces]
    scale = 1.0 if yardstick == "accuracy" else scale_of(abs(before), 1.0)
    gain = (last[1] - last[0]) if yardstick == "accuracy" else (last[0] - last[1])
    helped = math.isfinite(last[1]) and (not math.isfinite(last[0]) or gain > WORTH * scale)
    every = max(1, steps // len(traces[1]))
    return Proof(remedy, yardstick, steps, before, last[0], last[1], ahead[0] * every if ahead else None, helped)


def _train(patient: Patient, batches: Sequence[Batch], yardstick: str, *, steps: int, seed: int) -> list[float]:
    """Train a copy; the yardstick at ten times on the way, the last after the last step."""
    every = max(1, steps // 10)
    trace = []
    model, optimizer = patient.twin.model, patient.twin.optimizer
    with own_randomness(seed), torch.enable_grad():
        for step in range(1, steps + 1):
            inputs, targets = patient.prepare(batches[(step - 1) % len(batches)])
            if patient.clear:
                optimizer.zero_grad(set_to_none=True)
            loss = patient.loss_fn(call(model, inputs), targets)
            if loss.requires_grad:
                loss.backward()
                if patient.clip is not None:
                    clip_grad_norm_(model.parameters(), patient.clip)
                optimizer.step()
            if step % every == 0 or step == steps:
                trace.append(_measure(patient, batches, yardstick, seed))
    return trace


def _measure(patient: Patient, batches: Sequence[Batch], yardstick: str, seed: int) -> float:
    prepared = [patient.prepare(batch) for batch in batches]
    model = patient.twin.model
    if yardstick == "accuracy":
        found = _accuracy(patient, prepared)
        return math.nan if found is None else found
    mode = model.training
    try:
        model.train(mode and yardstick != "loss_eval")
        with own_randomness(seed):
            return mean_loss(model, patient.loss_fn, prepared)
    finally:
        model.train(mode)


@torch.no_grad()
def _accuracy(patient: Patient, batches: Sequence[Batch]) -> float | None:
    """The share of right answers where targets are classes; for numbers, one minus the relative squared error."""
    right, count = 0.0, 0
    for inputs, targets in batches:
        outputs = call(patient.twin.model, inputs)
        if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
            return None
        if targets.is_floating_point() and outputs.numel() == targets.numel() and targets.numel() == len(targets):
            flat, wanted = outputs.reshape(-1), targets.reshape(-1)
            spread = (wanted - wanted.mean()).square().sum().clamp_min(1e-12)
            right += float(1 - (flat - wanted).square().sum() / spread) * len(targets)
        elif outputs.ndim == 2:
            labels = targets.argmax(dim=1) if targets.is_floating_point() else targets
            right += float((outputs.argmax(dim=1) == labels).sum())
        else:
            return None
        count += len(targets)
    return right / max(1, count)


def _is_better(value: float, other: float, yardstick: str) -> bool:
    return value > other if yardstick == "accuracy" else value < other


def prove_run(path: Path, *, remedy: str | None = None, steps: int | None = None) -> Proof:
    """Diagnose a run and try a remedy from its last checkpoint, on its own batches.

    Args:
        path: the run's folder; it is not changed.
        remedy: its code; None: the first that a copy can be given.
        steps: of each copy; None: `RUN_STEPS`.

    Raises:
        RunError: not a run, of another version, or its photos are no longer what they were.
    """
    from thalweg.diagnosis.sources import open_patient

    patient = open_patient(path)
    return prove(
        patient.verdict(),
        patient.model,
        patient.optimizer,
        patient.loss_fn,
        patient.batches,
        remedy=remedy,
        steps=steps or RUN_STEPS,
    )
