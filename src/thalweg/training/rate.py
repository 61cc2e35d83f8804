"""The learning rate search of a run: done before the first step, recorded, then fixed.

A sweep shows where the rate explodes. Rehearsals decide: trainings like the run's own, at its own length or as near as
the search may go, around the rate that the run has; the training photos that a rehearsal left out judge it.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from thalweg.errors import UsageError
from thalweg.probes.batches import take_batches
from thalweg.probes.copies import own_randomness
from thalweg.rate import Evaluation, RateSweep
from thalweg.rate.choice import choose, still_in
from thalweg.rate.curve import sweep_rates
from thalweg.rate.evaluation import Setting
from thalweg.rate.ladder import Ladder
from thalweg.rate.search import BATCHES, HIGHEST, LOWEST, STEPS, check_range, swept
from thalweg.runs import files
from thalweg.training.loop import TrainingLoop
from thalweg.training.optimizers import optimizer_over, stage_scales
from thalweg.training.parts import PARTS
from thalweg.training.prepare import Plan, Preparation
from thalweg.training.printing import heard
from thalweg.training.progress import Listener
from thalweg.training.rehearsal import Rehearsals


if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from numpy.typing import NDArray

    from thalweg.rate.curve import Curve
    from thalweg.rate.search import Edge
    from thalweg.runs import Run, TrainingConfig
    from thalweg.training.rehearsal import Outcome

SPACING = math.log10(3)  # decades from one candidate to the next
GIVEN = 0  # rung of the rate that the run has
CANDIDATES = range(GIVEN - 3, GIVEN + 4)  # its rate times 1/27, 1/9, ..., 27; more if the best is the last
FINALISTS = 3  # of them, besides the rate of the run
MOST_STEPS = 600  # of all rehearsals: two minutes for most networks on two cores
FIRST_ROUND = 0.4  # of these steps
SHARE_OF_BUDGET = 0.25  # that the search may take if the training ends after a time
FEWEST_PHOTOS = 2  # of a part that judges: one photo has no standard error


def with_found_rate(prepared: Preparation, listener: Listener) -> Run:
    """Return the run with the learning rate that was found; the sweep is kept in its folder.

    The found rate replaces `lr` in the run's configuration, so that a resumed run does not search again; the
    environment records that it was found. If the search cannot tell, the given `lr` stays.

    Args:
        prepared: photos, number format and the run; its folder exists.
        listener: receives the rate, or the reason why there is none.
    """
    run = prepared.run
    sweep = search(prepared, listener=listener)
    run.write_json(files.RATE_SWEEP, sweep.to_dict())
    if sweep.suggestion is None:
        listener.note(f"rate.unusable_{sweep.reason}", given=run.config.lr)
        listener.note("rate.keeps", rate=run.config.lr)
        return replace(run, environment={**run.environment, "lr_found": False})
    same = sweep.suggestion == run.config.lr
    listener.note("rate.found_given" if same else "rate.found", rate=sweep.suggestion, steps=sweep.steps)
    return replace(
        run,
        config=replace(run.config, lr=sweep.suggestion),
        environment={**run.environment, "lr_found": True},
    )


def search_photos(
    photos: Path | str,
    config: TrainingConfig,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    listener: Listener | None = None,
) -> RateSweep:
    """Search for the learning rate of a run that has not started; only the photo cache is written.

    Args:
        photos: as `thalweg.train` takes them.
        config: the configuration of the run.
        lowest: rate at which the sweep begins.
        highest: rate at which it ends.
        steps: number of steps in the sweep.
        listener: receives the progress.

    Raises:
        UsageError: the configuration or an option is invalid.
        DataError: the photos cannot be used.
    """
    check_range(lowest, highest, steps)  # before the photos are decoded
    with heard(listener) as told:
        prepared = Preparation.of(Plan.of(photos, config, told), Path(), told)
        return search(prepared, lowest=lowest, highest=highest, steps=steps, listener=told)


def search(
    prepared: Preparation,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    listener: Listener | None = None,
) -> RateSweep:
    """Search for the learning rate of a prepared run; the validation split takes no part.

    Args:
        prepared: photos, format and configuration.
        lowest: rate at which the sweep begins; no candidate is lower.
        highest: rate at which it ends; no candidate is higher.
        steps: number of steps in the sweep.
        listener: receives the progress.

    Raises:
        UsageError: an option is invalid, or photos have several labels.
    """
    check_range(lowest, highest, steps)
    if prepared.run.task.several:
        raise UsageError("training.one_label_only", flag="thalweg find-lr", path=prepared.run.data["path"])
    listener = listener or Listener()
    listener.note("rate.searching")
    given = prepared.run.config.lr
    loop = TrainingLoop(prepared.run, prepared.cache, initial=prepared.initial)
    if prepared.run.config.fit_head:
        loop.fit_head(lambda done, total: listener.working("features", done, total))
    began = time.monotonic()
    with own_randomness(prepared.run.config.seed):
        curve = _sweep(loop, sweep_rates(lowest, highest, steps))
        a_step = (time.monotonic() - began) / len(curve.rates)
        trials = _Trials(Rehearsals(prepared, loop), given, _total_steps(loop, a_step), listener)
        if not math.isfinite(curve.losses[0]):
            return RateSweep.of(curve, trials, "not_finite", start_loss=curve.start, given=trials.given)
        if len(trials.parts) < PARTS:
            return RateSweep.of(curve, trials, "too_few_photos", start_loss=curve.start, given=trials.given)
        budget = prepared.run.config.budget
        most = (
            MOST_STEPS
            if budget is None
            else min(MOST_STEPS, max(len(CANDIDATES), int(SHARE_OF_BUDGET * budget / a_step)))
        )
        top = min(highest, curve.rates[-1]) if curve.exploded else highest
        ladder = Ladder(given, lowest, top, SPACING)
        at_most = min(most, PARTS * len(CANDIDATES) * trials.total)
        listener.note("rate.rehearsing", given=given, steps=at_most, seconds=at_most * a_step)
        return _decided(curve, trials, ladder, most)


class Rounds(NamedTuple):
    """The lengths of the rehearsals, in steps, and the number of candidates in the second round.

    A training that is short enough is rehearsed in full by every candidate; otherwise the first round is shorter than
    the second, which few candidates reach.

    Example:
        >>> Rounds.of(total=80, most=600)
        Rounds(short=80, long=80, candidates=7)
        >>> Rounds.of(total=5000, most=600)
        Rounds(short=34, long=90, candidates=4)
    """

    short: int
    long: int
    candidates: int

    @classmethod
    def of(cls, total: int, most: int) -> Rounds:
        """Choose the lengths for a training of `total` steps and a search of at most `most`, or little more."""
        count, few = len(CANDIDATES), FINALISTS + 1
        if total * count <= most:
            return cls(total, total, count)
        short = max(1, int(FIRST_ROUND * most) // count)
        return cls(short, max(1, min(total, (most - short * count) // few)), few)


class _Trials:
    """The rehearsals so far, by steps, rate and part."""

    def __init__(self, rehearsals: Rehearsals, given: float, total: int, listener: Listener) -> None:
        self._rehearsals, self.given, self.total, self._listener = rehearsals, given, total, listener
        self.parts = [part for part in range(PARTS) if len(rehearsals.parts[part]) >= FEWEST_PHOTOS]
        self._known: dict[tuple[int, float], list[Outcome]] = {}

    def losses(self, rate: float, steps: int, parts: int) -> NDArray[np.float64]:
        """Return the losses of the photos of some parts, each after a rehearsal without it."""
        known = self._known.setdefault((steps, rate), [])
        for part in self.parts[len(known) : parts]:
            outcome = self._rehearsals(rate, steps, part, of=self.total)
            known.append(outcome)
            loss, right = float(outcome.losses_N.mean()), float(outcome.right_N.mean())
            key = "rate.rehearsed" if math.isfinite(loss) else "rate.blew_up"
            self._listener.note(key, rate=rate, steps=steps, loss=loss, right=right, photos=len(outcome.losses_N))
        return np.concatenate([outcome.losses_N for outcome in known[:parts]])

    def guessing(self, photos: int) -> NDArray[np.float64]:
        """Return the losses of guesses for as many photos."""
        return np.concatenate([self._rehearsals.guessing(part) for part in self.parts])[:photos]

    @property
    def steps(self) -> int:
        return sum(steps * len(outcomes) for (steps, _), outcomes in self._known.items())

    def all(self) -> tuple[Evaluation, ...]:
        """Return the mean over parts of each rate and length."""
        found = []
        for (steps, rate), outcomes in sorted(self._known.items(), key=lambda item: item[0]):
            losses_N = np.concatenate([outcome.losses_N for outcome in outcomes])
            right_N = np.concatenate([outcome.right_N for outcome in outcomes])
            found.append(Evaluation(rate, steps, float(losses_N.mean()), float(right_N.mean()), len(losses_N)))
        return tuple(found)


def _decided(curve: Curve, trials: _Trials, ladder: Ladder, most: int) -> RateSweep:
    """Compare all candidates in the first round, and those that are left in the second, part by part."""
    rounds = Rounds.of(trials.total, most)
    losses: dict[int, NDArray[np.float64]] = {}

    def loss(rung: int) -> float:
        losses[rung] = trials.losses(ladder.rate(rung), rounds.short, 1)
        return float(losses[rung].mean())

    loss(GIVEN)  # it takes part even if it is outside of the range
    ladder.lowest_point(loss, CANDIDATES)
    for parts in range(1, PARTS + 1):
        others = [rung for rung in still_in(losses, GIVEN) if rung != GIVEN][: rounds.candidates - 1]
        decided = not others and rounds.short == rounds.long
        if decided or (parts > 1 and trials.steps + (1 + len(others)) * rounds.long > most):
            break
        losses = {rung: trials.losses(ladder.rate(rung), rounds.long, parts) for rung in (GIVEN, *others)}
    choice = choose(losses, trials.guessing(len(losses[GIVEN])), GIVEN)
    if choice.verdict == "cannot_tell":
        return RateSweep.of(curve, trials, "cannot_tell", start_loss=curve.start, given=trials.given)
    if choice.rung == GIVEN:
        return RateSweep.of(curve, trials, None, trials.given, start_loss=curve.start, given=trials.given)
    edge = _edge(curve, ladder, choice.rung)
    rate = ladder.rate(choice.rung)
    return RateSweep.of(curve, trials, None, rate, edge, start_loss=curve.start, given=trials.given)


def _edge(curve: Curve, ladder: Ladder, rung: int) -> Edge | None:
    """Return the end of the range at which a rung lies; an explosion is no end of it."""
    if not ladder.has(rung - 1):
        return "lowest"
    return "highest" if not ladder.has(rung + 1) and not curve.exploded else None


def _sweep(loop: TrainingLoop, rates: list[float]) -> Curve:
    """Sweep with the run's network, optimizer, augmentation, loss and clipping."""
    config = loop.config

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return (loop.batches(0, index) for index in range(len(loop.batches)))

    loop.model.train()
    scales = stage_scales(loop.model, config)
    setting = Setting(
        loop.model,
        lambda parameters: optimizer_over(parameters, config, scales=scales),
        loop.batch_loss,
        config.clip_grad_norm,
    )
    with loop.format.autocast(loop.device):
        return swept(setting, take_batches(batches, min(BATCHES, len(rates))), rates)


def _total_steps(loop: TrainingLoop, a_step: float) -> int:
    """Return the steps of the training: exact if it counts epochs, estimated if it ends after a time."""
    epochs, budget = loop.config.epochs, loop.config.budget
    by_epochs = math.inf if epochs is None else epochs * len(loop.batches)
    by_time = math.inf if budget is None else max(len(loop.batches), int(budget / a_step))
    return int(min(by_epochs, by_time))
