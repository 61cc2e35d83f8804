"""Trials: short trainings of copies from the start and from now, each with one fix, judged on samples kept out.

A training that stalls for a cause goes on well once the cause is removed. A fix is credited with what it gains beyond
the best training without it. Both may go on, start again from the first weights, or start from new ones, the same ones:
a fix that helps only because every restart helps gains nothing.
"""

from __future__ import annotations

import math
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.attempts import Attempt, apply
from thalweg.diagnosis.measures.dropout import strongest_dropout
from thalweg.diagnosis.measures.gains import HARDLY_FITS, HOLDS_BACK
from thalweg.diagnosis.measures.loss import is_distance, value_of
from thalweg.diagnosis.measures.outdone import MANY
from thalweg.diagnosis.measures.running_statistics import norms_of
from thalweg.diagnosis.measures.start import rewound
from thalweg.diagnosis.measures.trends import clips, learns
from thalweg.diagnosis.measures.widening import NARROW, enlarge
from thalweg.diagnosis.verdict import Fix
from thalweg.probes.batches import first_tensor, mean_loss
from thalweg.probes.copies import own_randomness
from thalweg.probes.dropout import WithoutDropout
from thalweg.probes.holdout import kept_out
from thalweg.probes.wiring import momentum_of


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from thalweg.diagnosis.measures.gains import Gains
    from thalweg.probes.batches import Batch

STEPS = 45
LONGEST = 5  # times as many steps, where the momentum remembers more
LARGER = 0.2  # of the seconds: a larger network begins anew, so it gets up to as many steps as the training had
LOOKS = 3  # how often the loss is measured on the way; the lowest counts
_STARTS = ("now", "start", "anew")
_INPUTS = ("standardized", "standardized_faster")  # trials with other inputs
FEWEST_HELD = 6  # samples kept out: the loss of fewer says nothing
FEWEST = 15  # a network whose copies can afford fewer steps is not asked
LARGE, UNEQUAL = 5.0, 30.0  # scales of inputs from which standardized ones are tried
HUGE = 50.0  # the same where the training learns
SMALL = 9  # samples of a batch: with fewer, a norm of each sample by itself is tried
REPEATED = 1e4  # condition number of the columns' correlations from which uncorrelated ones are tried
DECAYED = 0.1  # of the largest rate: below it, that rate is tried again
THROWN, RISEN = 0.25, 1.5  # update-to-weight ratio of the first steps, and a peak of the loss in first losses


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
            how much lower a loss new weights reach than those of now or of the start; `tried_other_start`: than those
            of the start, after as many steps. `tried_<name>`, for each fix of `_fixes`: how much lower than the best of
            those three; of a tenth and a hundredth of the rate, the better one, as of standardized inputs with this
            rate and with one that grows as the curvature falls. `tried_standardized_anew`: how much lower restarts with
            standardized inputs get than the constant's loss and restarts without; `tried_standardized_targets`: how
            much lower standardized targets get than the constant's loss, all other trials and what they begin with.
            `tried_best`: the lowest loss of all trials. Nothing where a step takes too long or too few samples are kept
            out, and no fix that has not begun when the time is up.
        """
        fixes = dict(self._fixes())
        done, every = 0, len(_STARTS) * (len(fixes) + 1)
        steps = min(self._enough, int(self.gains.seconds / max(self.gains.a_step * every, 1e-9)))
        if steps < FEWEST:
            return {}
        train, held = kept_out(self.gains.batches)
        if sum(batch.size for batch in held) < FEWEST_HELD:
            return {}
        found: dict[str, float] = {}

        def lowest(fix: _Change | None, start: str) -> float:
            nonlocal done
            done += 1
            enough = self._as_trained(steps) if fix is not None and fix.larger else steps
            reached = self._lowest(fix, start, train, held, enough) / self.gains.scale
            found["tried_best"] = min(found.get("tried_best", math.inf), reached)
            self.progress(done, every)
            return reached

        longer, again, anew = (lowest(None, start) for start in _STARTS)
        as_it_is = min(longer, again)
        without = min(as_it_is, anew)
        found["tried_longer"] = self.known.get("loss_last", math.nan) / self.gains.scale - longer
        found["tried_anew"] = as_it_is - anew if math.isfinite(anew) else -math.inf
        if math.isfinite(again) and math.isfinite(anew):
            found["tried_other_start"] = again - anew
        # what the rate for standardized inputs gains with the inputs as they are is no gain of theirs
        faster = fixes.pop("faster", None)
        reached = {"": (longer, again, anew)} | (
            {"faster": tuple(lowest(faster, at) for at in _STARTS)} if faster else {}
        )
        as_given = min(map(min, reached.values()))
        for name, fix in fixes.items():
            if self.gains.left() <= 0:
                break
            reached[name] = tuple(lowest(fix, start) for start in (("anew",) if fix.larger else _STARTS))
            with_fix = min(reached[name])
            if fix.larger and not math.isfinite(with_fix):  # no layer is narrow
                continue
            best = as_given if name.startswith("standardized") else without
            found[f"tried_{name}"] = best - with_fix if math.isfinite(with_fix) else -math.inf
        unlearned = self._unlearned(fixes.get("standardized_targets"), train, held)
        found |= _beyond_all(reached, (self._constant, *unlearned))
        for name, other in (("lower_rate", "lowest_rate"), ("standardized", "standardized_faster")):
            if f"tried_{other}" in found:
                found[f"tried_{name}"] = max(found.get(f"tried_{name}", -math.inf), found.pop(f"tried_{other}"))
        self.progress(every, every)
        return {name: value for name, value in found.items() if not math.isnan(value)}

    def _unlearned(self, fix: _Change | None, train: Sequence[Batch], held: Sequence[Batch]) -> tuple[float, ...]:
        """The losses with which a fix begins, if there is one: new weights may answer well by luck."""
        return (
            ()
            if fix is None
            else tuple(self._lowest(fix, start, train, held, 0) / self.gains.scale for start in _STARTS)
        )

    def _fixes(self) -> Iterator[tuple[str, _Change]]:
        """The fixes that would change this training; of one that learns as well as a plain predictor, few."""
        yield from self._beside_learning()
        if learns(self.known) and not self.known.get("avoidable", 0.0) > MANY:
            return
        if not self._thrown:
            yield from self._lower_rates()
        yield from self._other_rates()
        if self._oddly_scaled:
            yield "standardized", _Change(Fix("normalize_inputs", {}))
        if self._far_targets:
            yield "standardized_targets", _Change(None, targets=True)
        if any(group.get("weight_decay") for group in self.gains.optimizer.param_groups):
            yield "no_decay", _Change(Fix("less_decay", {}))
        if self.known.get("batch_size", math.inf) < SMALL and norms_of(self.gains.model):
            yield "group_norm", _Change(Fix("group_norm", {}))
        if strongest_dropout(self.gains) > 0:
            yield "no_dropout", _Change(None, without_dropout=True)
        if any(not parameter.requires_grad for parameter in self.gains.model.parameters()):
            yield "unfrozen", _Change(Fix("unfreeze", {}))

    def _beside_learning(self) -> Iterator[tuple[str, _Change]]:
        """The fixes that are tried in a training that learns, too, where a measure asks for them."""
        if self.known.get("fit_left", 0.0) > HARDLY_FITS:
            yield "larger", _Change(None, larger=True)
        if self.known.get("inputs_condition", 0.0) > REPEATED:
            yield "decorrelated", _Change(Fix("decorrelate_inputs", {}))
        if self.known.get("inputs_scale", 0.0) > HUGE and learns(self.known):
            yield "standardized", _Change(Fix("normalize_inputs", {}))
        if any(limit is not None for limit in clips(self.known)):
            yield "unclipped", _Change(Fix("clip_less", {}))
        if self.known.get("decay_to_gradient", 0.0) > HOLDS_BACK:
            yield "no_decay", _Change(Fix("less_decay", {}))
        if self._thrown:
            yield from self._lower_rates()

    @property
    def _thrown(self) -> bool:
        """Whether the first steps moved the weights far, and the loss rose."""
        return self.known.get("update_ratio_first", 0.0) > THROWN and self.known.get("peak", 0.0) > RISEN

    @property
    def _enough(self) -> int:
        """Steps that show what a rate does: with a momentum of β, they get their length after 1 / (1 - β)."""
        memory = 1 / max(1 - max(map(momentum_of, self.gains.optimizer.param_groups), default=0.0), 1e-9)
        return round(min(max(STEPS, 2 * memory), LONGEST * STEPS))

    def _as_trained(self, fewest: int) -> int:
        """As many steps as the training had, as far as there is time for them."""
        affordable = min(LARGER * self.gains.seconds, self.gains.left()) / max(self.gains.a_step, 1e-9)
        return int(max(fewest, min(self.known.get("steps", 0.0), affordable)))

    @property
    def _rate(self) -> float:
        return max((float(group["lr"]) for group in self.gains.optimizer.param_groups), default=0.0)

    def _lower_rates(self) -> Iterator[tuple[str, _Change]]:
        yield "lower_rate", _Change(Fix("lower_rate", {"to": self._rate / 10}))
        yield "lowest_rate", _Change(Fix("lower_rate", {"to": self._rate / 100}))

    def _other_rates(self) -> Iterator[tuple[str, _Change]]:
        """Higher rates, and one for standardized inputs that grows as their curvature falls."""
        rate = self._rate
        if self.known.get("lr_left", 1.0) < DECAYED:
            yield "full_rate", _Change(Fix("raise_rate", {"to": self.known["lr_most"]}))
        if self.known.get("avoidable", 0.0) > MANY:
            yield "higher_rate", _Change(Fix("raise_rate", {"to": 10 * rate}))
        if (scale := self.known.get("inputs_scale", 1.0)) > LARGE:
            yield "standardized_faster", _Change(Fix("normalize_inputs", {}), rate=rate * scale**2)
            yield "faster", _Change(Fix("raise_rate", {"to": rate * scale**2}))

    @property
    def _oddly_scaled(self) -> bool:
        """Whether the inputs, or a column of theirs, are far from the scale of about 1 that initial weights expect."""
        scale, spread = (self.known.get(name, math.nan) for name in ("inputs_scale", "inputs_spread"))
        columns, small = (self.known.get(name, 1.0) for name in ("inputs_columns", "inputs_columns_least"))
        # a small column may say nothing: it is asked for where a plain predictor, to which scales are nothing, is ahead
        unequal = columns > UNEQUAL or (small > UNEQUAL and self.known.get("avoidable", 0.0) > MANY)
        return unequal or scale > LARGE or scale < 1 / LARGE or spread < 1 / LARGE

    @property
    def _far_targets(self) -> bool:
        """Whether targets are numbers far from the scale of about 1 that the outputs of initial weights have."""
        targets, known = self.gains.batches[0].targets, math.isfinite(self._constant)
        if not known or not self.known.get("targets_scale", 0.0) > LARGE or not isinstance(targets, torch.Tensor):
            return False
        with suppress(Exception):  # a loss that takes more than one tensor of outputs
            return is_distance(value_of(self.gains.loss_fn, targets), targets)
        return False

    @property
    def _constant(self) -> float:
        """The best constant's loss, relative to the scale."""
        return self.known.get("loss_constant", math.nan) / self.gains.scale

    @property
    def _narrow(self) -> int:
        """Units of a layer that may be too narrow: if numbers are to be given back, narrow layers are the purpose."""
        batch = self.gains.batches[0]
        inputs, targets = first_tensor(batch.inputs), batch.targets
        if not isinstance(targets, torch.Tensor) or inputs is None:
            return NARROW
        same = len(targets) == len(inputs) and inputs.numel() == targets.numel() > len(targets)
        return 1 if same and targets.is_floating_point() else NARROW

    def _lowest(
        self, change: _Change | None, start: str, train: Sequence[Batch], held: Sequence[Batch], steps: int
    ) -> float:
        """The lowest loss on the samples kept out, in evaluation mode; infinite if it cannot be found."""
        copied = self.gains.copied()
        if start == "start" and not rewound(copied, self.start):
            return math.inf
        with own_randomness(0):
            if start == "anew":
                copied.restart()
            if change is not None and change.larger and not enlarge(copied, train[0], narrow=self._narrow):
                return math.inf
            norm, value = clips(self.known)
            clear = not self.known.get("uncleared", 0.0) > 0.5
            attempt: Attempt | None = Attempt(copied, copied.loss_fn, clip=norm, clip_value=value, clear=clear)
            if change is not None and change.fix is not None:
                attempt = apply(attempt, change.fix)
            if change is not None and change.rate is not None and attempt is not None:
                attempt = apply(attempt, Fix("raise_rate", {"to": change.rate}))
        if attempt is None:
            return math.inf
        told = attempt
        if change is not None and change.targets:
            attempt, told = _on_standardized(attempt, train)
        way = WithoutDropout() if change is not None and change.without_dropout else nullcontext()
        with way:
            return _trained(attempt, train, held, steps, told)


@dataclass(frozen=True, slots=True)
class _Change:
    fix: Fix | None
    without_dropout: bool = False
    larger: bool = False
    targets: bool = False  # standardized
    rate: float | None = None  # None: it stays


def _beyond_all(reached: Mapping[str, tuple[float, ...]], unlearned: Sequence[float]) -> dict[str, float]:
    """What standardized inputs gain among restarts, and standardized targets among all trials and without a step.

    Copies that go on have a whole training behind them, from which a restart with other inputs is many steps away.
    """
    found: dict[str, float] = {}
    constant = [loss for loss in unlearned[:1] if math.isfinite(loss)] or [1.0]
    with_inputs = [value for name, part in reached.items() if name in _INPUTS for value in part[1:]]
    others = [value for name in ("", "faster") for value in reached.get(name, ())[1:]]
    if with_inputs and math.isfinite(min(with_inputs)):
        found["tried_standardized_anew"] = min(*constant, *others) - min(with_inputs)
    if "standardized_targets" in reached:
        rest = [min(part) for name, part in reached.items() if name != "standardized_targets"]
        found["tried_standardized_targets"] = min(*constant, *unlearned[1:], *rest) - min(
            reached["standardized_targets"]
        )
    return found


def _on_standardized(attempt: Attempt, train: Sequence[Batch]) -> tuple[Attempt, Attempt]:
    """The attempt with standardized targets, and the same with the targets as they are, which judges it."""
    targets = train[0].targets
    dims = (0,) if targets.ndim == 2 and targets.shape[1] > 1 else tuple(range(targets.ndim))
    std, mean = torch.std_mean(targets, dim=dims, correction=0)
    std = torch.where(std > 0, std, 1.0)

    def prepare(batch: Batch) -> Batch:
        return replace(batch, targets=(batch.targets - mean) / std)

    def loss_fn(outputs: Tensor, targets: Tensor) -> Tensor:
        return attempt.loss_fn(outputs * std + mean, targets)

    return replace(attempt, prepare=prepare), replace(attempt, loss_fn=loss_fn)


def _trained(attempt: Attempt, train: Sequence[Batch], held: Sequence[Batch], steps: int, told: Attempt) -> float:
    """Train a copy, and return its lowest loss on the samples kept out, as another attempt with it tells."""
    lowest = math.inf if steps else _judged(told, held)
    with own_randomness(0), torch.enable_grad():
        for step in range(1, steps + 1):
            loss = attempt.step(attempt.prepare(train[step % len(train)]))
            if not loss.requires_grad or not math.isfinite(float(loss.detach())):
                return lowest
            if step % max(1, steps // LOOKS) == 0:
                lowest = min(lowest, _judged(told, held), key=lambda value: (math.isnan(value), value))
    return lowest


def _judged(attempt: Attempt, held: Sequence[Batch]) -> float:
    model = attempt.copy.model
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    with own_randomness(0):
        loss = mean_loss(model, attempt.loss_fn, [attempt.prepare(batch) for batch in held])
    for module, training in modes:  # a frozen norm stays in evaluation mode
        module.training = training
    return loss
