"""Gains: short runs of copies from the current state, each with one change.

The change that helps shows the fault: if ten times the rate gains far more, the rate was too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch

from thalweg.diagnosis.measures.budget import TooSlowError
from thalweg.diagnosis.measures.trends import learns
from thalweg.probes.batches import mean_loss
from thalweg.probes.copies import Copy, own_randomness
from thalweg.probes.dropout import WithoutDropout


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.probes.batches import Batch, LossFunction

STEPS, FEWEST_STEPS = 20, 3
FIT_STEPS = 80
LEARNED = 0.01  # of the scale: a batch with so little loss left has been learned
FIT_RATES = (2e-3, 1e-2)
LONG_FIT_STEPS, LONG_FIT_RATES = 400, (1e-2, 5e-2)
HARDLY_LEARNED = 0.3  # of the scale: a fit that leaves more goes on for longer
HARDLY_FITS = 0.2  # of the scale: what a fit leaves, from which a larger network is tried
HOLDS_BACK = 0.3  # of the gradient: a decay from which none is tried, even if the training learns
SHARE = 0.6  # of the seconds, for these short runs


@dataclass(frozen=True, slots=True)
class Gains:
    """Train copies on the batches and measure the gain of each change.

    A gain is `(loss before - loss after) / scale`: 1 is all there is to gain, and -inf means that the loss is no
    longer finite.

    Args:
        model: is copied for each change.
        optimizer: is copied with the model.
        loss_fn: of (outputs, targets), a scalar tensor; is copied with the model.
        batches: are used in turn.
        scale: the loss that gains are shares of: that of the constant predictor, or the first loss.
        a_step: seconds that a step takes.
        seconds: for all short runs together; a slow network gets fewer runs, and fewer steps.
        left: gives the seconds that are left by the clock; what has not begun when there are none is left out.
        progress: receives the number of steps done, and of all.
    """

    model: nn.Module
    optimizer: Optimizer
    loss_fn: LossFunction
    batches: Sequence[Batch]
    scale: float
    a_step: float = 0.0
    seconds: float = 20.0
    left: Callable[[], float] = lambda: math.inf
    progress: Callable[[float, float], None] = lambda _done, _total: None

    def measures(self, known: Mapping[str, float]) -> dict[str, float]:
        """Measure all gains; of a slow network, those that the others leave open.

        Args:
            known: the measures so far. `lr_most`, the largest rate of the training, is tried if the current rate is
                much lower. Of a slow network, the decay is asked about only where it is large and nothing is learned.

        Raises:
            TooSlowError: not even the shortest runs can end in time.
        """
        steps = self.affordable()
        if FEWEST_STEPS * _SHORTEST * self.a_step > self.seconds:
            raise TooSlowError
        changes = self._changes(steps, known)
        fit_steps = len(FIT_RATES) * FIT_STEPS * steps // STEPS
        done, every_step = 0, sum(length for _, length in changes.values()) + fit_steps
        found: dict[str, float] = {}
        with own_randomness(0):
            copied = self.copied()
            before = mean_loss(copied.model, copied.loss_fn, self.batches)
        for name, (change, length) in changes.items():
            if self._open(name, found):
                found[name] = self._gain(change, length, before)
            done += length
            if name == _BEFORE_FIT:
                found["fit_left"] = self._fit_left(steps)
                done += fit_steps
            self.progress(done, every_step)
        return found

    @property
    def spares(self) -> bool:
        """Whether all short runs at full length would take too long, so that those are left out that say little."""
        return _PLANNED * self.a_step > SHARE * self.seconds

    def _changes(self, steps: int, known: Mapping[str, float]) -> dict[str, _Run]:
        """What to try, and for how many steps."""
        lr_most = known.get("lr_most", math.nan)
        present = max(float(group["lr"]) for group in self.optimizer.param_groups)
        changes: dict[str, _Run] = {f"gain_{name}": (_times(factor), steps) for name, factor in FACTORS.items()}
        if math.isfinite(lr_most) and lr_most > 1.5 * present:
            changes["gain_lr_most"] = (_rate_of(lr_most), steps)
        decays = any(group.get("weight_decay") for group in self.optimizer.param_groups)
        may_hold_back = known.get("decay_to_gradient", 0.0) > HOLDS_BACK and not learns(known)
        if decays and (may_hold_back or not self.spares):
            changes["gain_no_decay"] = (_no_decay, 3 * steps)
            changes["gain_same_long"] = (_times(1.0), 3 * steps)
        return changes

    def _open(self, name: str, found: dict[str, float]) -> bool:
        """Whether a run may say something new, and there is time for it.

        Of a slow network, a rate ten times as large as one that gains less than the present one is not tried.
        """
        lower = _TENTH_OF.get(name)
        if lower is None or lower not in found or not self.spares:
            return self.left() > 0
        return self.left() > 0 and found[lower] > found["gain_same"]

    def _fit_left(self, steps: int) -> float:
        """What is left of the loss after learning one batch; where eighty steps do not suffice, many more are tried."""
        left = math.nan
        for rates, length in ((FIT_RATES, FIT_STEPS), (LONG_FIT_RATES, LONG_FIT_STEPS)):
            if length == LONG_FIT_STEPS and length * len(rates) * self.a_step > min(self.seconds, self.left()):
                break
            for rate in rates:
                if self.left() <= 0 or (self.spares and left < HARDLY_FITS):
                    break
                loss = self._fit(rate, length * steps // STEPS)
                left = min(left, loss / self.scale if math.isfinite(loss) else math.nan, key=_known_first)
            if not left > HARDLY_LEARNED:
                break
        return left

    def affordable(self) -> int:
        """Number of steps that a copy can afford."""
        if not self.spares:
            return STEPS
        planned = max(self.a_step * _FEWEST_PLANNED, 1e-9)
        return max(FEWEST_STEPS, min(STEPS, int(SHARE * self.seconds / planned)))

    def copied(self) -> Copy:
        """Copy the model with its optimizer and loss."""
        return Copy.of(self.model, self.optimizer, self.loss_fn)

    def _gain(self, change: Callable[[Optimizer], None], steps: int, before: float) -> float:
        copied = self.copied()
        change(copied.optimizer)
        after = self._train(copied, steps)
        return (before - after) / self.scale if math.isfinite(after) else -math.inf

    def _fit(self, rate: float, steps: int) -> float:
        """The lowest loss that Adam reaches on the first batch alone: can the network represent it?"""
        copied = self.copied()
        parameters = [parameter for parameter in copied.model.parameters() if parameter.requires_grad]
        if not parameters:
            return math.nan
        adam = torch.optim.Adam(parameters, lr=rate)
        with WithoutDropout():
            return self._train(Copy(copied.model, adam, copied.loss_fn), steps, batches=self.batches[:1], lowest=True)

    def _train(
        self, copied: Copy, steps: int, *, batches: Sequence[Batch] | None = None, lowest: bool = False
    ) -> float:
        """Train a copy and return its loss over the batches afterward, or the lowest on the way."""
        batches = batches or self.batches
        least = math.inf
        with own_randomness(0), torch.enable_grad():
            for step in range(steps):
                batch = batches[step % len(batches)]
                loss = copied.step(partial(batch.loss, copied.model, copied.loss_fn))
                if lowest:
                    least = min(least, float(loss.detach()))
                    if least < LEARNED * self.scale:
                        return least
                if not loss.requires_grad:
                    return math.nan
        with own_randomness(0):
            after = mean_loss(copied.model, copied.loss_fn, batches)
        return min(least, after) if lowest else after


FACTORS = {"same": 1.0, "tenth": 0.1, "tenfold": 10.0, "hundredfold": 100.0, "thousandfold": 1000.0}


_PLANNED = (len(FACTORS) + 7) * STEPS + len(FIT_RATES) * FIT_STEPS  # steps of all short runs at full length
# Of a slow network, in units of the steps of a run: the present rate, a tenth and ten times of it, two fits, and the
# passes that judge them.
_FEWEST_PLANNED = 3 + len(FIT_RATES) * FIT_STEPS // STEPS + 2
_SHORTEST = 3 + FIT_STEPS // STEPS + 1  # the same with a single fit
_BEFORE_FIT = "gain_tenfold"  # what follows says less than the fit
_TENTH_OF = {"gain_hundredfold": "gain_tenfold", "gain_thousandfold": "gain_hundredfold"}
_Run = tuple["Callable[[Optimizer], None]", int]  # a change and a number of steps


def _known_first(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _times(factor: float) -> Callable[[Optimizer], None]:
    def change(optimizer: Optimizer) -> None:
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * factor

    return change


def _rate_of(rate: float) -> Callable[[Optimizer], None]:
    def change(optimizer: Optimizer) -> None:
        most = max(float(group["lr"]) for group in optimizer.param_groups)
        for group in optimizer.param_groups:
            group["lr"] = group["lr"] * rate / most if most else rate

    return change


def _no_decay(optimizer: Optimizer) -> None:
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.0


def scale_of(constant: float, first: float) -> float:
    """The loss that gains and gaps are shares of: the constant predictor's, else the first loss of the training."""
    known = [value for value in (constant, abs(first)) if math.isfinite(value) and value > 0]
    return known[0] if known else 1.0
