"""The seconds of a diagnosis, and how many samples and steps they pay for.

Where a pass of the network is cheap, every question gets all that it asks for. Where it is dear, questions get fewer
samples, then fewer steps, and a question that cannot end in time is not begun.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from thalweg.probes.holdout import with_fewer


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from thalweg.probes.batches import Batch

FOR_RUNS = 0.4  # of the seconds: kept for the short runs, however long the questions of one pass took
PASSES, STEPS = 60, 150  # steps in all seconds: where a step is slow, batches get fewer samples until these fit
FEWEST_SAMPLES = 8
CURVED = 16  # samples whose curvature is measured where a step is slow: a second derivative may cost five steps
ENOUGH_LABELS = 32  # which show how frequent the classes are; they cost one pass
SLOW_PASS = 0.1  # seconds of a pass from which a step is timed with fewer samples
SLACK = 0.05  # of the seconds: a question that takes less is asked in any case
A_PASS = 1 / 3  # of a step


class TooSlowError(Exception):
    """The network's steps take too long for a question within its seconds."""


class Budget:
    """Counts the seconds of a diagnosis down.

    Args:
        seconds: for all of it.
        clock: gives seconds.

    Example:
        >>> ticks = iter([0.0, 3.0, 12.0])
        >>> budget = Budget(10.0, clock=lambda: next(ticks))
        >>> budget.left(), budget.left()
        (7.0, 0.0)
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self.seconds, self._clock = seconds, clock
        self._ends = clock() + seconds

    def left(self) -> float:
        """The seconds that are left, at least 0."""
        return max(0.0, self._ends - self._clock())

    def begin_runs(self) -> None:
        """Keep a part for the short runs, also where the questions before them took longer than planned."""
        self._ends = max(self._ends, self._clock() + FOR_RUNS * self.seconds)

    def affords(self, seconds: float) -> bool:
        """Whether a question that takes so many seconds may begin."""
        return seconds <= max(self.left(), SLACK * self.seconds)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Batches with as many samples as the seconds pay for.

    Attributes:
        seen: for one pass that reads inputs and labels.
        passes: for the questions of a few passes each.
        steps: for short runs.
        curved: for the curvature.
        fewer: whether any of them has fewer samples than were given.
    """

    seen: Sequence[Batch]
    passes: Sequence[Batch]
    steps: Sequence[Batch]
    curved: Sequence[Batch]
    fewer: bool

    @classmethod
    def of(cls, batches: Sequence[Batch], a_step: float, seconds: float, *, divides: Callable[[Batch], bool]) -> Sizes:
        """Choose the numbers of samples.

        Args:
            batches: as they were given.
            a_step: seconds of a step on the first of them.
            seconds: of the whole diagnosis.
            divides: whether the network takes a batch that has fewer samples.

        Example:
            >>> import torch
            >>> from thalweg.probes.batches import Batch
            >>> batches = [Batch(torch.ones(64, 2), torch.zeros(64))]
            >>> sizes = Sizes.of(batches, 0.8, 10.0, divides=lambda batch: True)
            >>> [one[0].size for one in (sizes.seen, sizes.passes, sizes.steps)]
            [32, 13, 8]
            >>> Sizes.of(batches, 0.01, 10.0, divides=lambda batch: True).fewer
            False
        """
        whole = batches[0].size

        def affordable(steps: int) -> int:
            return max(FEWEST_SAMPLES, int(min(1.0, seconds / max(steps * a_step, 1e-9)) * whole))

        few = affordable(STEPS)
        if few >= whole or not divides(with_fewer(batches[:1], few)[0]):
            return cls(batches, batches, batches, batches[:2], fewer=False)
        fewer, seen = partial(with_fewer, batches), max(ENOUGH_LABELS, affordable(PASSES))
        return cls(fewer(seen), fewer(affordable(PASSES)), fewer(few), fewer(min(CURVED, few))[:1], fewer=True)


def timed_on(batch: Batch, a_pass: float) -> Batch:
    """The batch to time a step on: with fewer samples if a pass was slow.

    Args:
        batch: as it was given.
        a_pass: seconds of its forward pass.
    """
    share = SLOW_PASS / max(a_pass, 1e-9)
    return batch if share >= 1 else with_fewer([batch], max(FEWEST_SAMPLES, math.ceil(share * batch.size)))[0]
