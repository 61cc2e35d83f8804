"""One schedule after the other."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from thalweg.errors import UsageError
from thalweg.schedules.arguments import Length, Percent, Span, in_steps, written
from thalweg.schedules.schedule import Moment, Schedule
from thalweg.schedules.warmup import Warmup


if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Over(Schedule):
    """A schedule with a length of its own; afterwards its last value holds.

    Args:
        schedule: what runs; not a composition.
        length: steps or a share of the training.

    Raises:
        UsageError: `schedule` is a composition, or `length` is not a length.

    Example:
        >>> from thalweg.schedules import Linear
        >>> half = Over(Linear(), Percent(50))
        >>> str(half), half(25, 100), half(75, 100)
        ('linear over 50%', 0.5, 0.0)
    """

    name: ClassVar[str] = "over"

    schedule: Schedule
    length: Length

    def __post_init__(self) -> None:
        if isinstance(self.schedule, Over | Chain):
            raise UsageError("schedules.nested", schedule=self.schedule)
        if not Span().accepts(self.length):
            raise UsageError("schedules.bad_length", value=self.length, expected=Span().expected())

    def __str__(self) -> str:
        return f"{self.schedule} over {written(self.length)}"

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        return self.schedule.factor(at.part(0.0, in_steps(self.length, at.total)))


class Part(NamedTuple):
    """Where one schedule of a composition runs, in steps."""

    schedule: Schedule
    began: float
    steps: float


@dataclass(frozen=True)
class Chain(Schedule):
    """One schedule after the other: all but the last have a length, and the last runs over what remains.

    Every part counts its steps from its own start. Percentages always refer to the whole training,
    so `warmup(10%) > constant over 60% > linear` leaves 30 % to the last.

    Args:
        parts: two schedules or more; all but the last are `Warmup` or `Over`; none is a `Chain`.

    Raises:
        UsageError: too few parts, a part without a length before another, or lengths of more than 100 %.

    Example:
        >>> from thalweg.schedules import Linear
        >>> schedule = Chain((Warmup(Percent(10)), Linear()))
        >>> str(schedule), [schedule(step, 100) for step in (10, 55, 100)]
        ('warmup(10%) > linear', [1.0, 0.5, 0.0])
    """

    name: ClassVar[str] = "chain"

    parts: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        if len(self.parts) < 2 or any(isinstance(part, Chain) for part in self.parts):
            raise UsageError("schedules.nested", schedule=", ".join(map(str, self.parts)))
        for part in self.parts[:-1]:
            if length_of(part) is None:
                raise UsageError("schedules.no_length", schedule=part)
        lengths = [length_of(part) for part in self.parts]
        percent = sum(length.value for length in lengths if isinstance(length, Percent))
        if percent > 100:
            raise UsageError("schedules.more_than_all", percent=percent)

    def __str__(self) -> str:
        return " > ".join(map(str, self.parts))

    def spans(self, total: float) -> list[Part]:
        """Where each part runs in a training of `total` steps; a part that is never reached has no steps."""
        begins = [0.0]
        for part in self.parts[:-1]:
            begins.append(begins[-1] + in_steps(length_of(part) or 0.0, total))
        begins.append(max(total, begins[-1]))
        return [
            Part(part, began, max(min(end, total) - began, 0.0))
            for part, (began, end) in zip(self.parts, pairwise(begins), strict=True)
        ]

    def factor(self, at: Moment) -> NDArray[np.float64]:
        """See the class."""
        spans = self.spans(at.total)
        value = spans[0].schedule.factor(at)
        for schedule, began, _ in spans[1:]:
            value = np.where(at.step >= began, schedule.factor(at.part(began, max(at.total - began, 0.0))), value)
        return value


def length_of(schedule: Schedule) -> Length | None:
    """The schedule's own length; `None` if it runs as long as the training."""
    return schedule.length if isinstance(schedule, Warmup | Over) else None
