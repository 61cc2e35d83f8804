"""From a model, an optimizer and data to a learning rate: the sweep narrows the range, short trainings decide."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis.randomness import own_randomness
from thalweg.diagnosis.rate.batches import some_batches
from thalweg.diagnosis.rate.curve import Curve, sweep_rates
from thalweg.diagnosis.rate.ladder import Ladder, lowest_of_parabola
from thalweg.diagnosis.rate.probes import Probes
from thalweg.diagnosis.rate.result import Edge, RateSweep
from thalweg.diagnosis.rate.trial import Setting, Trial
from thalweg.errors import UsageError


if TYPE_CHECKING:
    from torch import nn

    from thalweg.diagnosis.rate.batches import Loader
    from thalweg.diagnosis.rate.result import Reason
    from thalweg.diagnosis.rate.trial import LossFn, OptimizerFactory

BATCHES = 48  # taken from the loader
DECIDING = 12  # of them: the last, on which no probe is trained where there are enough
SHORT, LONG = 10, 64  # steps of a probe in the first round and in the second
FEWEST_STEPS, MOST_STEPS = 10, 10_000  # of the sweep
EDGES: tuple[tuple[Edge, int], ...] = (("lowest", -1), ("highest", 1))


def find_lr(
    model: nn.Module,
    optimizer_factory: OptimizerFactory,
    loader: Loader,
    loss_fn: LossFn = None,
    *,
    lowest: float = 1e-7,
    highest: float = 10.0,
    steps: int = 40,
    anneal: bool = True,
    clip: float | None = None,
    seed: int = 0,
) -> RateSweep:
    """Find a learning rate for a training, on copies: model, loader and random states stay as they are.

    A sweep trains one copy while the rate rises from `lowest` to `highest` by the same factor a step, until the loss
    explodes. It only narrows the range: where a sweep is steepest depends on its length and on the optimizer's memory.
    Seven rates below the explosion, half a decade apart, are then each given a training of 10 steps from the start,
    all on the same batches; the best and its neighbors one of 64 steps, judged on batches that no probe has seen where
    there are enough of them. Suggested is the lowest point of the parabola through the logarithms of the last three
    losses. It costs about 300 steps, 12 losses a probe, and the memory of one more model and of 48 batches.

    Args:
        model: is copied as it is, with its mode (`model.train()` first, if the training will).
        optimizer_factory: from parameters to a torch optimizer, such as `functools.partial(torch.optim.SGD, lr=0.1,
            momentum=0.9)`; its rate is then set. Groups with rates of their own keep their ratio to the first.
        loader: a DataLoader, a list of batches, or a function that gives something to iterate over. A batch is
            `(x, y)`, for `loss_fn(model(x), y)`; `(x1, x2, y)`; a dict, for `loss_fn(model(**batch), batch)`; or one
            tensor that is its own target.
        loss_fn: of output and target, gives a scalar; None: the output is the loss or has it as `.loss`.
        lowest: rate at which the sweep begins.
        highest: rate at which it ends.
        steps: of the sweep.
        anneal: whether the training's rate will fall to almost zero by its end (cosine, linear), as it should; a
            training at a constant rate wants a lower one.
        clip: largest gradient norm, if the training clips.
        seed: of random numbers that the model draws (dropout) and of the loader's order.

    Returns:
        The curve, the probes, and the suggestion or the reason why there is none.

    Raises:
        UsageError: nothing to train, no batch, a loss that is no scalar, a range that does not rise.

    Example:
        >>> import torch
        >>> x = torch.randn(640, 5, generator=torch.Generator().manual_seed(0))
        >>> batches = list(zip(x.split(32), (x @ torch.ones(5, 1)).split(32)))
        >>> sweep = find_lr(torch.nn.Linear(5, 1), torch.optim.SGD, batches, torch.nn.functional.mse_loss)
        >>> 0.1 < sweep.suggestion < 1
        True

    Source: the sweep is Smith 2017, https://arxiv.org/abs/1506.01186; short trainings that decide, the fewer the
    longer, are successive halving: Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943.
    """
    _check(lowest, highest, steps)
    setting = Setting(model, optimizer_factory, loss_fn, clip)
    setting.check()
    with own_randomness(seed, loader):
        batches = some_batches(loader, BATCHES)
        deciding = batches[-DECIDING:]
        trained_on = batches[:-DECIDING] if len(batches) >= 2 * DECIDING else batches
        probes = Probes(setting, trained_on, deciding, anneal=anneal, seed=seed)
        curve = Curve()
        if len(batches) == 1:
            return _result(curve, probes, "too_few_batches")
        if not math.isfinite(probes.start):
            return _result(curve, probes, "not_finite")
        _sweep(curve, setting, trained_on, sweep_rates(lowest, highest, steps))
        return _climbed(curve, probes, Ladder(curve.rates[-1], lowest, highest))


def _check(lowest: float, highest: float, steps: int) -> None:
    if not 0 < lowest < highest < math.inf:
        raise UsageError("rate.bad_range", lowest=lowest, highest=highest)
    if not FEWEST_STEPS <= steps <= MOST_STEPS:
        raise UsageError("rate.bad_steps", value=steps, least=FEWEST_STEPS, most=MOST_STEPS)


def _sweep(curve: Curve, setting: Setting, batches: list[Any], rates: list[float]) -> None:
    """Train one copy while the rate rises."""
    trial = Trial(setting)
    for step, rate in enumerate(rates):
        curve.add(rate, trial.step(batches[step % len(batches)], rate))
        if curve.exploded:
            return


def _climbed(curve: Curve, probes: Probes, ladder: Ladder) -> RateSweep:
    """Let the rungs compete, first in short probes, then in long ones around the best of these."""
    short = ladder.lowest_point(lambda rung: probes.loss(ladder.rate(rung), SHORT), ladder.first())
    best = ladder.lowest_point(lambda rung: probes.loss(ladder.rate(rung), LONG), [short])
    reason = probes.why_not(ladder.rate(best), LONG)
    if reason:
        return _result(curve, probes, reason)
    for edge, beyond in EDGES:
        if not ladder.has(best + beyond):
            return _result(curve, probes, None, ladder.rate(best), edge)
    near = [probes.loss(ladder.rate(best + beside), LONG) for beside in (-1, 0, 1)]
    # What has blown up counts as if nothing had been learned.
    between = best + lowest_of_parabola([min(loss, probes.start) for loss in near])
    return _result(curve, probes, None, ladder.rate(between))


def _result(
    curve: Curve, probes: Probes, reason: Reason | None, suggestion: float | None = None, edge: Edge | None = None
) -> RateSweep:
    return RateSweep(
        suggestion=suggestion,
        reason=reason,
        edge=edge,
        rates=tuple(curve.rates),
        losses=tuple(curve.losses),
        smoothed=tuple(curve.smoothed.tolist()),
        stopped_at=curve.rates[-1] if curve.losses and curve.exploded else None,
        start_loss=probes.start,
        probes=probes.all(),
        steps=len(curve.rates) + probes.steps,
    )
