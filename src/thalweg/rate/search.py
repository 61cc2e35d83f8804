"""The search for a learning rate: a sweep narrows the range, and short runs decide."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from thalweg._notebook import drawn_as, shown_as
from thalweg.errors import UsageError
from thalweg.i18n import t
from thalweg.probes.batches import take_batches
from thalweg.probes.copies import own_randomness
from thalweg.rate.curve import Curve, sweep_rates
from thalweg.rate.evaluation import CopyInTraining, Evaluation, Evaluations, Setting
from thalweg.rate.ladder import Ladder, lowest_of_parabola


if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

    from thalweg.probes.batches import Loader, LossFunction
    from thalweg.rate.evaluation import OptimizerFactory, Reason

Edge = Literal["lowest", "highest"]

BATCHES = 48  # taken from the loader
DECIDING = 12  # of them: the last; no evaluation trains on these
FEWEST_DECIDING = 2  # a quarter if the loader has few; one batch has no standard error
FEWEST_APART = 4  # batches; of fewer, none is left out
LOWEST, HIGHEST, STEPS = 1e-7, 10.0, 40  # of the sweep
SHORT, LONG = 10, 64  # steps of an evaluation in the first round and in the second
FEWEST_STEPS, MOST_STEPS = 10, 10_000  # of the sweep
_ROOM = 0.25  # margin of a picture above the first loss and below the lowest, as a share of their difference
EDGES: tuple[tuple[Edge, int], ...] = (("lowest", -1), ("highest", 1))


class ShortRuns(Protocol):
    """The short runs of a search, whatever they train."""

    @property
    def steps(self) -> int:
        """Number of their training steps."""
        ...

    def all(self) -> tuple[Evaluation, ...]:
        """Their results, by rate and length."""
        ...


@dataclass(frozen=True, slots=True)
class RateSweep:
    """The result of a search for the learning rate.

    Attributes:
        suggestion: the rate to train with; None if the search found none.
        reason: why there is no suggestion, as a code; None if there is one.
        edge: the end of the searched range at which the suggestion lies: search further there.
        rates: rates of the sweep's steps, rising.
        losses: loss of each step, on its own batch, before the step.
        smoothed: the losses without most of the batch noise.
        stopped_at: rate at which the loss exploded and the sweep ended; None if the sweep finished.
        start_loss: loss of the given model on the deciding batches.
        evaluations: the short runs that decided, by rate and length.
        steps: total number of training steps.
        given: rate that the training has without a search; None if the search knows none.
    """

    suggestion: float | None
    reason: Reason | None
    edge: Edge | None
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    stopped_at: float | None
    start_loss: float
    evaluations: tuple[Evaluation, ...]
    steps: int
    given: float | None = None

    _repr_html_ = shown_as("rate_sweep")

    @classmethod
    def of(
        cls,
        curve: Curve,
        runs: ShortRuns,
        reason: Reason | None,
        suggestion: float | None = None,
        edge: Edge | None = None,
        *,
        start_loss: float,
        given: float | None = None,
    ) -> RateSweep:
        """Put together the result of a sweep and of the short runs after it.

        Args:
            curve: of the sweep; empty if there was none.
            runs: the short runs that decided.
            reason: as the attribute.
            suggestion: as the attribute.
            edge: as the attribute.
            start_loss: as the attribute.
            given: as the attribute.
        """
        return cls(
            suggestion=suggestion,
            reason=reason,
            edge=edge,
            rates=tuple(curve.rates),
            losses=tuple(curve.losses),
            smoothed=tuple(curve.smoothed.tolist()),
            stopped_at=curve.rates[-1] if curve.losses and curve.exploded else None,
            start_loss=start_loss,
            evaluations=runs.all(),
            steps=len(curve.rates) + runs.steps,
            given=given,
        )

    @property
    def usable(self) -> bool:
        """Whether there is a suggestion."""
        return self.suggestion is not None

    def draw(self) -> Figure:
        """Draw the loss against the rate, with the short runs, to show it in a notebook."""
        return drawn_as("rate_sweep")(self)

    def valley(self) -> tuple[float, float]:
        """The lowest and the highest loss that a picture shows: an explosion leaves it at the top."""
        known = [*self.smoothed, *(one.loss for one in self.evaluations), self.start_loss]
        below = [loss for loss in known if math.isfinite(loss) and loss <= self.start_loss] or [0.0, 1.0]
        low, high = min(below), max(*below, self.start_loss if math.isfinite(self.start_loss) else 1.0)
        room = _ROOM * (high - low) or 0.1 * abs(high) or 1.0
        return (max(0.0, low - room) if low >= 0 else low - room), high + room

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON; numbers that are not finite become None."""
        return _finite({"usable": self.usable, **asdict(self)})

    def __str__(self) -> str:
        """One sentence in the current language."""
        if self.suggestion is None:
            return t(f"rate.unusable_{self.reason}", given=self.given)
        if self.suggestion == self.given:
            return t("rate.suggested_given", rate=f"{self.suggestion:.2g}")
        key = f"rate.suggested_{self.edge}" if self.edge else "rate.suggested"
        return t(key, rate=f"{self.suggestion:.2g}", lowest=self.rates[0], highest=self.rates[-1])


def find_lr(
    model: nn.Module,
    optimizer_factory: OptimizerFactory,
    loader: Loader,
    loss_fn: LossFunction | None = None,
    *,
    lowest: float = LOWEST,
    highest: float = HIGHEST,
    steps: int = STEPS,
    anneal: bool = True,
    clip_grad_norm: float | None = None,
    training_steps: int | None = None,
    seed: int = 0,
) -> RateSweep:
    """Find a learning rate on copies; the model, the loader and the random states stay unchanged.

    A sweep trains one copy while the rate rises from `lowest` to `highest` by the same factor at each step, until the
    loss explodes. It only narrows the range: its steepest point depends on its length and on the optimizer's memory.
    Seven rates below the explosion, half a decade apart, then each get 10 steps from the start, all on the same
    batches. The best and its neighbors get 64 steps. All are evaluated on batches that none of them trained on, if
    there are at least four. The suggestion is the lowest point of the parabola through the logarithms of the last three
    losses. The search costs about 300 steps, 12 losses per evaluation, and the memory of one more model and 48 batches.

    Args:
        model: the model to copy, including its mode (call `model.train()` first if your loop does).
        optimizer_factory: maps parameters to a torch optimizer, such as `functools.partial(torch.optim.SGD, lr=0.1,
            momentum=0.9)`; the search sets its rate. Groups with their own rates keep their ratio to the first.
        loader: a DataLoader, a list of batches, or a function that returns an iterable. A batch has any form of
            `thalweg.probes.batches`: `(x, y)`, `(x1, x2, y)`, a dict, or one tensor that is its own target.
        loss_fn: called with output and target, returns a scalar; None: the output is the loss or has it as `.loss`.
        lowest: rate at which the sweep begins.
        highest: rate at which it ends.
        steps: number of steps in the sweep.
        anneal: whether your schedule falls to almost zero by the end (cosine, linear), as it should; a constant rate
            must be lower.
        clip_grad_norm: largest gradient norm, if your loop clips.
        training_steps: steps of your training; no evaluation is longer. None: it is longer than the evaluations.
        seed: seed of the model's random draws (dropout) and of the loader's order.

    Returns:
        The curve, the evaluations, and either the suggestion or the reason for its absence.

    Raises:
        UsageError: there is nothing to train, no batch, a loss that is not a scalar, or a range that does not rise.

    Example:
        >>> import torch
        >>> x = torch.randn(640, 5, generator=torch.Generator().manual_seed(0))
        >>> batches = list(zip(x.split(32), (x @ torch.ones(5, 1)).split(32)))
        >>> sweep = find_lr(torch.nn.Linear(5, 1), torch.optim.SGD, batches, torch.nn.functional.mse_loss)
        >>> 0.1 < sweep.suggestion < 1
        True

    Source: the sweep is Smith 2017, https://arxiv.org/abs/1506.01186; longer and longer runs for fewer and fewer
    candidates are successive halving: Jamieson and Talwalkar 2016, https://arxiv.org/abs/1502.07943.
    """
    check_range(lowest, highest, steps)
    setting = Setting(model, optimizer_factory, loss_fn, clip_grad_norm)
    setting.check()
    with own_randomness(seed, loader):
        batches = take_batches(loader, BATCHES)
        trained_on, deciding = _parted(batches)
        evaluations = Evaluations(setting, trained_on, deciding, anneal=anneal, seed=seed)
        if len(batches) == 1:
            return RateSweep.of(Curve(), evaluations, "too_few_batches", start_loss=evaluations.start)
        if not math.isfinite(evaluations.start):
            return RateSweep.of(Curve(), evaluations, "not_finite", start_loss=evaluations.start)
        curve = swept(setting, trained_on, sweep_rates(lowest, highest, steps))
        longest = max(1, training_steps or LONG)
        lengths = min(SHORT, longest), min(LONG, longest)
        return _climbed(curve, evaluations, Ladder(curve.rates[-1], lowest, highest), *lengths)


def check_range(lowest: float, highest: float, steps: int) -> None:
    """Reject a sweep that cannot be meant, before any work.

    Raises:
        UsageError: the range does not rise from above zero, or there are too few or too many steps.
    """
    if not 0 < lowest < highest < math.inf:
        raise UsageError("rate.bad_range", lowest=lowest, highest=highest)
    if not FEWEST_STEPS <= steps <= MOST_STEPS:
        raise UsageError("rate.bad_steps", value=steps, least=FEWEST_STEPS, most=MOST_STEPS)


def _parted(batches: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the batches to train on and those that decide, which are others unless there are too few."""
    if len(batches) < FEWEST_APART:
        return batches, batches
    count = DECIDING if len(batches) >= 2 * DECIDING else max(FEWEST_DECIDING, len(batches) // 4)
    return batches[:-count], batches[-count:]


def swept(setting: Setting, batches: list[Any], rates: list[float]) -> Curve:
    """Train one copy while the rate rises, until the loss explodes."""
    curve = Curve()
    trained = CopyInTraining(setting)
    for step, rate in enumerate(rates):
        curve.add(rate, trained.step(batches[step % len(batches)], rate))
        if curve.exploded:
            break
    return curve


def _climbed(curve: Curve, evaluations: Evaluations, ladder: Ladder, short: int, long: int) -> RateSweep:
    """Compare the rungs, first in short evaluations, then in long ones around the best; lengths in steps."""
    first = ladder.lowest_point(lambda rung: evaluations.loss(ladder.rate(rung), short), ladder.first())
    best = ladder.lowest_point(lambda rung: evaluations.loss(ladder.rate(rung), long), [first])
    reason = evaluations.why_not(ladder.rate(best), long)
    if reason:
        return RateSweep.of(curve, evaluations, reason, start_loss=evaluations.start)
    for edge, beyond in EDGES:
        if not ladder.has(best + beyond):
            return RateSweep.of(curve, evaluations, None, ladder.rate(best), edge, start_loss=evaluations.start)
    near = [evaluations.loss(ladder.rate(best + beside), long) for beside in (-1, 0, 1)]
    # A run that blew up counts as if it had learned nothing.
    between = best + lowest_of_parabola([min(loss, evaluations.start) for loss in near])
    return RateSweep.of(curve, evaluations, None, ladder.rate(between), start_loss=evaluations.start)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
