"""The base of every schedule: an immutable value, and a pure function of the step."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from thalweg.errors import UsageError
from thalweg.schedules.arguments import Kind, Percent, Spans, written


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Moment:
    """The progress of a training, from the point of view of one part of a schedule.

    Args:
        step: steps since this part began, one number or an array of them; fractions are fine.
        steps: steps that this part runs over.
        began: steps of the training before this part.
        total: steps of the whole training, to which percentages refer.
        values: the metric's values so far, the oldest first.
    """

    step: NDArray[np.float64]
    steps: float
    began: float
    total: float
    values: Sequence[float] = ()

    @property
    def progress(self) -> NDArray[np.float64]:
        """The finished share of this part, 0 to 1."""
        return np.clip(self.step / self.steps, 0.0, 1.0) if self.steps > 0 else np.ones_like(self.step)

    @property
    def remaining(self) -> NDArray[np.float64]:
        """The remaining share of this part, 1 to 0; near the end, 1 − `progress` would lose digits."""
        return np.clip((self.steps - self.step) / self.steps, 0.0, 1.0) if self.steps > 0 else np.zeros_like(self.step)

    def part(self, began: float, steps: float) -> Moment:
        """The same moment for a part that begins `began` steps after this one and runs over `steps`."""
        step = np.clip(self.step - began, 0.0, steps)
        return Moment(step, steps, self.began + began, self.total, self.values)


class Schedule(ABC):
    """The factor that multiplies the learning rate, a pure function of the step.

    A schedule is called with `(step, steps, values=())`: the step in 0..`steps`, the length of the training in
    steps (both may be fractional: a training that is driven by time passes its progress × the steps it expects),
    and the values of the metric so far, which only `Plateau` uses. `str(schedule)` is its text in the language.

    Subclasses are frozen dataclasses that declare their arguments in `takes` and implement `factor`.
    """

    name: ClassVar[str]
    takes: ClassVar[Mapping[str, Kind]] = {}

    @abstractmethod
    def factor(self, at: Moment) -> NDArray[np.float64]:
        """The factor at a moment, of the shape of `at.step`."""

    def __call__(self, step: float, steps: float, values: Sequence[float] = ()) -> float:
        """The factor at `step` of `steps`; outside this range, that of the first or last step.

        Raises:
            UsageError: `steps` is not a positive number, or `step` is not a number.
        """
        if not math.isfinite(step):
            raise UsageError("schedules.bad_step", step=step)
        return float(self.factor(_moment(step, steps, values)))

    def __post_init__(self) -> None:
        for argument, kind in self.takes.items():
            value = getattr(self, argument)
            if not kind.accepts(value):
                raise UsageError(
                    "schedules.bad_argument",
                    schedule=self.name,
                    argument=argument,
                    value=_shown(value),
                    expected=kind.expected(),
                )

    def __str__(self) -> str:
        arguments = ", ".join(self._arguments())
        return f"{self.name}({arguments})" if arguments else self.name

    def _arguments(self) -> Iterator[str]:
        """The arguments that are not the defaults; only required ones need no name."""
        for field in fields(self):  # type: ignore[arg-type] - every subclass is a dataclass
            value = getattr(self, field.name)
            if isinstance(self.takes[field.name], Spans):
                yield from map(written, value)
            elif field.default is MISSING:
                yield written(value)
            elif value != field.default:
                yield f"{field.name}={written(value)}"


def factors(schedule: Schedule, steps: int) -> NDArray[np.float64]:
    """The factor at each step of a training: at 0, 1, ..., `steps` − 1.

    Args:
        schedule: the schedule; `Plateau` has no metric here and stays at 1.
        steps: number of steps, at least 1.

    Returns:
        Shape (steps,).

    Raises:
        UsageError: `steps` is less than 1.

    Example:
        >>> from thalweg.schedules import Linear
        >>> factors(Linear(), 4).tolist()
        [1.0, 0.75, 0.5, 0.25]
    """
    if steps < 1:
        raise UsageError("schedules.bad_steps", steps=steps)
    step_N = np.arange(steps, dtype=np.float64)
    return np.ascontiguousarray(np.broadcast_to(schedule.factor(_moment(step_N, steps, ())), step_N.shape))


def _moment(step: ArrayLike, steps: float, values: Sequence[float]) -> Moment:
    if not (math.isfinite(steps) and steps > 0):
        raise UsageError("schedules.bad_steps", steps=steps)
    total = float(steps)
    return Moment(np.clip(np.asarray(step, dtype=np.float64), 0.0, total), total, 0.0, total, values)


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(_shown, value))
    return written(value) if isinstance(value, Percent | float | str) else repr(value)


class Point(NamedTuple):
    """The factor of one update; updates are counted from 0."""

    step: int
    factor: float


class Extent(NamedTuple):
    """The updates that summarize a schedule; of equal ones, the first."""

    highest: Point
    lowest: Point
    last: Point


def extent_of(factors_N: NDArray[np.float64]) -> Extent:
    """The highest, the lowest and the last factor of a training.

    Args:
        factors_N: shape (steps,), as `factors` gives them.

    Example:
        >>> from thalweg.schedules import parse
        >>> extent_of(factors(parse("warmup(2, start=0.5) > linear"), 6))
        Extent(highest=Point(step=2, factor=1.0), lowest=Point(step=5, factor=0.25), last=Point(step=5, factor=0.25))
    """
    steps = int(np.argmax(factors_N)), int(np.argmin(factors_N)), len(factors_N) - 1
    return Extent(*(Point(step, float(factors_N[step])) for step in steps))
