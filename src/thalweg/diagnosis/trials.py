"""A trial: a fix on a copy, beside a copy without it, with the same batches and seed, judged on samples kept out."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.attempts import Attempt, apply
from thalweg.diagnosis.measures.gains import scale_of
from thalweg.diagnosis.measures.trends import clips
from thalweg.diagnosis.verdict import Trial
from thalweg.probes.batches import mean_loss, read_batches
from thalweg.probes.copies import Copy, own_randomness, untouching
from thalweg.probes.holdout import kept_out


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Fix, Verdict
    from thalweg.probes.batches import Batch, LossFunction

STEPS = 100
RUN_STEPS = 30  # for a run, whose steps are slow
WORTH = 0.02  # a gain of less than 2 % of the scale does not count
_HIGHER = {"accuracy", "r_squared"}  # yardsticks of which more is better
# These fixes change the loss function, so accuracy is compared.
_OTHER_LOSS = {"cross_entropy", "logits", "match_shapes", "sign_of_loss"}


def try_fix(
    verdict: Verdict,
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFunction,
    batches: Any,
    *,
    fix: str | None = None,
    steps: int = STEPS,
    seed: int = 0,
    progress: Callable[[float, float], None] = lambda _done, _total: None,
) -> Trial:
    """Try a fix of a verdict on a copy, beside a copy without it.

    Args:
        verdict: whose fix is tried.
        model: is copied twice.
        optimizer: is copied with the model.
        loss_fn: of (outputs, targets); is copied with the model.
        batches: one or several, in any form of `thalweg.probes.batches`; `probes.holdout.kept_out` sets some of them,
            or of their samples, aside, which judge. Both copies train on the others, in turn.
        fix: code of the fix; None: the first that can be tried on a copy.
        steps: number of steps of each copy, at least 1.
        seed: of dropout and other random numbers, the same for both copies.
        progress: receives the number of steps done, and of all.

    Returns:
        The trial. Model, optimizer and random states are unchanged.
    """
    taken = read_batches(batches, model)
    loss_fn = untouching(Copy.of(model, optimizer, loss_fn), loss_fn, taken[0])
    clear = verdict.code != "zero_grad_missing"
    # the loop clips, not the optimizer: the copies must be clipped as the training was
    norm, value = clips(verdict.measures)

    def attempt() -> Attempt:
        copied = Copy.of(model, optimizer, loss_fn)
        return Attempt(copied, copied.loss_fn, clear=clear, clip=norm, clip_value=value)

    for wanted in verdict.fixes:
        if fix not in (None, wanted.code):
            continue
        with own_randomness(seed):
            changed = apply(attempt(), wanted)
        if changed is None:
            continue
        unchanged = attempt()
        with own_randomness(seed):
            return _compare(wanted, (unchanged, changed), taken, steps=steps, seed=seed, progress=progress)
    return Trial.not_made()


def _compare(
    fix: Fix,
    attempts: tuple[Attempt, Attempt],
    batches: Sequence[Batch],
    *,
    steps: int,
    seed: int,
    progress: Callable[[float, float], None],
) -> Trial:
    unchanged, _ = attempts
    train, judges = kept_out(batches)
    yardstick = "loss"
    if fix.code == "norm_momentum":
        yardstick = "loss_eval"
    elif fix.code in _OTHER_LOSS and _accuracy(unchanged, judges) is not None:
        yardstick = "r_squared" if all(map(_is_regression, judges)) else "accuracy"
    before = _measure(unchanged, judges, yardstick, seed)
    every = max(1, steps // 10)
    curves: list[list[float]] = []
    for attempt in attempts:
        curve: list[float] = []
        for step in _train(attempt, train, steps=steps, seed=seed):
            if step % every == 0 or step == steps:
                curve.append(_measure(attempt, judges, yardstick, seed))
            progress(len(curves) * steps + step, len(attempts) * steps)
        curves.append(curve)
    better = max if yardstick in _HIGHER else min
    known = [value for value in curves[0] if math.isfinite(value)]
    reached = better(known) if known else -math.inf if yardstick in _HIGHER else math.inf
    ahead = [at for at, value in enumerate(curves[1], start=1) if _is_better(value, reached, yardstick)]
    last = [curve[-1] for curve in curves]
    scale = 1.0 if yardstick in _HIGHER else scale_of(abs(before), 1.0)
    gain = (last[1] - last[0]) if yardstick in _HIGHER else (last[0] - last[1])
    helped = math.isfinite(last[1]) and (not math.isfinite(last[0]) or gain > WORTH * scale)
    sooner = min(ahead[0] * every, steps) if ahead else None
    apart = judges is not train
    return Trial(fix, yardstick, steps, before, last[0], last[1], sooner, helped, kept_out=apart)


def _train(attempt: Attempt, batches: Sequence[Batch], *, steps: int, seed: int) -> Iterator[int]:
    """Train a copy; yield the number of each step after it."""
    for step in range(1, steps + 1):
        with own_randomness(seed + step), torch.enable_grad():
            attempt.step(attempt.prepare(batches[(step - 1) % len(batches)]))
        yield step


def _measure(attempt: Attempt, batches: Sequence[Batch], yardstick: str, seed: int) -> float:
    prepared = [attempt.prepare(batch) for batch in batches]
    model = attempt.copy.model
    if yardstick in _HIGHER:
        found = _accuracy(attempt, prepared)
        return math.nan if found is None else found
    mode = model.training
    try:
        model.train(mode and yardstick != "loss_eval")
        with own_randomness(seed):
            return mean_loss(model, attempt.loss_fn, prepared)
    finally:
        model.train(mode)


@torch.no_grad()
def _accuracy(attempt: Attempt, batches: Sequence[Batch]) -> float | None:
    """The share of correct predictions; for a regression, R²; None for other targets."""
    right, count = 0.0, 0
    for batch in batches:
        outputs, targets = batch.outputs(attempt.copy.model), batch.targets
        if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
            return None
        if _is_regression(batch) and outputs.numel() == targets.numel():
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


def _is_regression(batch: Batch) -> bool:
    """Whether each sample has one real target."""
    targets = batch.targets
    return isinstance(targets, torch.Tensor) and targets.is_floating_point() and targets.numel() == len(targets)


def _is_better(value: float, other: float, yardstick: str) -> bool:
    return value > other if yardstick in _HIGHER else value < other
