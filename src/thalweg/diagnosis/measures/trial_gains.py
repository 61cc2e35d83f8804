"""Trials: short trainings of copies from the start and from now, each with one fix, judged on samples kept out.

A training that stalls for a cause goes on well once the cause is removed. A fix is credited with what it gains beyond
the best training without it, and that may go on, start again from the first weights, or start from new ones: a fix
that helps only because every restart helps gains nothing.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import clip_grad_norm_

from thalweg.diagnosis.fixes import Attempt, apply
from thalweg.diagnosis.measures.dropout import WithoutDropout, dropout_strengths
from thalweg.diagnosis.measures.gains import STEPS as RUN_STEPS
from thalweg.diagnosis.verdict import Fix
from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import Copy, own_randomness
from thalweg.probes.holdout import kept_out


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

STEPS = 45
LOOKS = 3  # how often the loss is measured on the way; the lowest counts
FEWEST = 15  # a network whose copies can afford fewer steps is not asked
CLIPPED = 0.9  # share of clipped steps from which the copies are clipped as the training was


@dataclass(frozen=True, slots=True)
class TrialGains:
    """Try the fixes that would change something.

    Args:
        gains: the model, its optimizer, the loss, the batches, the scale, and how long the short runs may take.
        known: the measures so far; they say whether the training was clipped, and its loss now.
        start: the weights and buffers that the training started from, by name; empty: unknown, so copies go on from
            now, or from new weights.
        progress: receives the number of trainings done, and of all.
    """

    gains: Gains
    known: Mapping[str, float]
    start: Mapping[str, Tensor] = field(default_factory=dict)
    progress: Callable[[float, float], None] = lambda _done, _total: None

    def measures(self) -> dict[str, float]:
        """Measure what each fix gains.

        Returns:
            Shares of the scale. `tried_longer`: how far below the training loss now more steps get. `tried_anew`:
            how much lower a loss new weights reach than those of now or of the start. `tried_<name>`, for each fix of
            `_fixes`: how much lower than the best of those three. Nothing where a step takes too long.
        """
        steps = STEPS * self.gains.affordable() // RUN_STEPS
        if steps < FEWEST:
            return {}
        train, held = kept_out(self.gains.batches)
        fixes = dict(self._fixes())
        done, every = 0, 2 * len(fixes) + 3
        found: dict[str, float] = {}

        def lowest(fix: _Change | None, start: str) -> float:
            nonlocal done
            done += 1
            reached = self._lowest(fix, start, train, held, steps) / self.gains.scale
            self.progress(done, every)
            return reached

        longer, again, anew = (lowest(None, start) for start in ("now", "start", "anew"))
        as_it_is = min(longer, again)
        without = min(as_it_is, anew)
        found["tried_longer"] = self.known.get("loss_last", math.nan) / self.gains.scale - longer
        found["tried_anew"] = as_it_is - anew if math.isfinite(anew) else -math.inf
        for name, fix in fixes.items():
            with_fix = min(lowest(fix, start) for start in ("now", "start"))
            found[f"tried_{name}"] = without - with_fix if math.isfinite(with_fix) else -math.inf
        self.progress(every, every)
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def _fixes(self) -> Iterator[tuple[str, _Change]]:
        """The fixes that would change this training."""
        rate = max((float(group["lr"]) for group in self.gains.optimizer.param_groups), default=0.0)
        yield "lower_rate", _Change(Fix("lower_rate", {"to": rate / 10}))
        if any(group.get("weight_decay") for group in self.gains.optimizer.param_groups):
            yield "no_decay", _Change(Fix("less_decay", {}))
        if max(dropout_strengths(self.gains.model), default=0.0) > 0:
            yield "no_dropout", _Change(None, without_dropout=True)
        if any(not parameter.requires_grad for parameter in self.gains.model.parameters()):
            yield "unfrozen", _Change(Fix("unfreeze", {}))
        if self._clip is not None:
            yield "unclipped", _Change(Fix("clip_less", {}))

    @property
    def _clip(self) -> float | None:
        clipped = self.known.get("clipped", math.nan) > CLIPPED
        return self.known.get("gradient_last") if clipped else None

    def _lowest(
        self, change: _Change | None, start: str, train: Sequence[Batch], held: Sequence[Batch], steps: int
    ) -> float:
        """The lowest loss on the samples kept out, in evaluation mode; infinite if it cannot be found."""
        copied = self.gains.copied()
        if start == "start" and not self._rewind(copied):
            return math.inf
        with own_randomness(0):
            if start == "anew":
                copied.restart()
            attempt: Attempt | None = Attempt(
                copied, copied.loss_fn, clip=self._clip, clear=not self.known.get("uncleared", 0.0) > 0.5
            )
            if change is not None and change.fix is not None:
                attempt = apply(attempt, change.fix)
        if attempt is None:
            return math.inf
        way = WithoutDropout() if change is not None and change.without_dropout else nullcontext()
        with way:
            return _trained(attempt, train, held, steps)

    def _rewind(self, copied: Copy) -> bool:
        """Give a copy the weights of the start; False if they are unknown or of other shapes."""
        own = copied.model.state_dict()
        if not self.start or {name: value.shape for name, value in own.items()} != {
            name: value.shape for name, value in self.start.items()
        }:
            return False
        copied.model.load_state_dict(dict(self.start))
        copied.optimizer.state.clear()
        return True


@dataclass(frozen=True, slots=True)
class _Change:
    fix: Fix | None
    without_dropout: bool = False


def _trained(attempt: Attempt, train: Sequence[Batch], held: Sequence[Batch], steps: int) -> float:
    """Train a copy, and return its lowest loss on the samples kept out."""
    model, loss_fn = attempt.copy.model, attempt.loss_fn
    clip = None if attempt.clip is None else partial(clip_grad_norm_, list(model.parameters()), attempt.clip)
    lowest = math.inf
    with own_randomness(0), torch.enable_grad():
        for step in range(1, steps + 1):
            loss = attempt.copy.step(
                partial(train[step % len(train)].loss, model, loss_fn), clear=attempt.clear, before=clip
            )
            if not loss.requires_grad or not math.isfinite(float(loss.detach())):
                return lowest
            if step % max(1, steps // LOOKS) == 0:
                lowest = min(lowest, _judged(model, attempt, held), key=lambda value: (math.isnan(value), value))
    return lowest


def _judged(model: torch.nn.Module, attempt: Attempt, held: Sequence[Batch]) -> float:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with own_randomness(0):
        loss = mean_loss(model, attempt.loss_fn, held)
    for module, training in modes:  # a frozen norm stays in evaluation mode
        module.training = training
    return loss
