"""Events of a trace: it diverges, converges, stalls, bursts, or leaves the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from thalweg.surfaces import Surface

Kind = Literal["diverged", "converged", "stalled", "burst", "left_window"]

FLAT = 1e-6
"""A gradient counts as zero below this share of the largest on the trace."""
IDLE = 0.01
"""A trace stalls when the lowest loss falls by less than this share of its whole fall, ..."""
IDLE_SHARE = 0.25
"""... over this share of the steps or more, ..."""
FADED = 0.01
"""... while the gradient never falls below this share of its earlier size: falling by decades is not a stall."""
CALM = 1e-3
"""A coordinate is calm while its steps are below this share of its longest so far, ..."""
CALM_STEPS = 10
"""... for this many steps or more."""
LOUD = 0.1
"""It bursts when a step exceeds this share of its longest before the calm, and the loss rises."""


@dataclass(frozen=True)
class Event:
    """An event at a step.

    Args:
        kind: of the event, see `find`.
        step: the row of the positions at which it is first true.
        values: the numbers that describe it.
    """

    kind: Kind
    step: int
    values: Mapping[str, float] = field(default_factory=dict)


class Walk(Protocol):
    """The source of events: a `Trace` has these members."""

    @property
    def surface(self) -> Surface:
        """The surface."""
        ...

    @property
    def steps(self) -> int:
        """The number of steps requested."""
        ...

    @property
    def last(self) -> int:
        """The last row with a position."""
        ...

    @property
    def diverged(self) -> bool:
        """Whether the last row is out of reach, or its loss is not finite."""
        ...

    @property
    def positions_S2(self) -> NDArray[np.float64]:  # noqa: N802 - shape suffix
        """θ, shape (S + 1, 2)."""
        ...

    @property
    def loss(self) -> NDArray[np.float64]:
        """f(θ), shape (S + 1,)."""
        ...

    @property
    def gradient_norm(self) -> NDArray[np.float64]:
        """‖∇f(θ)‖, shape (S + 1,)."""
        ...


def find(trace: Walk) -> tuple[Event, ...]:
    """Find the events of a trace, in the order of steps.

    - `diverged`: from here on the loss is not finite, or the trace is out of reach (`engine.FAR`).
    - `converged`: from here to the end, the gradient counts as zero, and no direction leads down at the end.
    - `stalled`: from here to the end the loss hardly falls and the gradient does not fade, or a direction leads
      down: `eigenvalue_low` and `eigenvalue_high`, of the Hessian at the end, show the kind of point.
    - `burst`: after a calm, the steps of a coordinate suddenly grow and the loss rises; `axis` 0 is x, 1 is y.
    - `left_window`: the first position outside the surface's window.

    Example:
        >>> from thalweg import paths, surfaces
        >>> [event.kind for event in paths.trace(surfaces.get("bowl"), "sgd", lr=2.1, steps=1000).events]
        ['left_window', 'diverged']
    """
    return tuple(sorted(_all(trace), key=lambda event: event.step))


def _all(trace: Walk) -> Iterator[Event]:
    yield from _leaves_window(trace)
    yield from _bursts(trace)
    if trace.diverged:
        yield Event("diverged", trace.last, {"loss": float(trace.loss[trace.last])})
    else:
        yield from _comes_to_rest(trace)


def _leaves_window(trace: Walk) -> Iterator[Event]:
    low_2, high_2 = np.array(trace.surface.window).T
    with np.errstate(invalid="ignore"):
        outside_S = ((trace.positions_S2 < low_2) | (trace.positions_S2 > high_2)).any(axis=1)
    if outside_S.any():
        step = int(outside_S.argmax())
        x, y = trace.positions_S2[step].tolist()
        yield Event("left_window", step, {"x": x, "y": y})


def _comes_to_rest(trace: Walk) -> Iterator[Event]:
    hessian_22 = trace.surface.hessian(trace.positions_S2[-1])
    low, high = np.linalg.eigvalsh(hessian_22).tolist() if np.isfinite(hessian_22).all() else (np.nan, np.nan)
    values = {
        "loss": float(trace.loss[-1]),
        "gradient_norm": float(trace.gradient_norm[-1]),
        "eigenvalue_low": low,
        "eigenvalue_high": high,
    }
    flat = _holds_from(trace.gradient_norm <= FLAT * trace.gradient_norm.max())
    if flat is not None:
        downhill = low < -FLAT * max(abs(low), abs(high))
        yield Event("stalled" if downhill else "converged", flat, values)
        return
    lowest_S = np.minimum.accumulate(trace.loss)
    idle = _holds_from(lowest_S - lowest_S[-1] <= IDLE * (lowest_S[0] - lowest_S[-1]))
    if idle is None or trace.steps - idle < max(IDLE_SHARE * trace.steps, CALM_STEPS):
        return
    if trace.gradient_norm[idle:].min() >= FADED * trace.gradient_norm[idle]:
        yield Event("stalled", idle, values)


def _holds_from(holds_S: NDArray[np.bool_]) -> int | None:
    """The first row from which a condition holds to the end; `None` if it does not hold at the end."""
    if not holds_S[-1]:
        return None
    broken = np.flatnonzero(~holds_S)
    return int(broken[-1]) + 1 if len(broken) else 0


def _bursts(trace: Walk) -> Iterator[Event]:
    """Bursts of either coordinate; if both burst together, only the first counts."""
    moves_S2 = np.abs(np.diff(trace.positions_S2[: trace.last + 1], axis=0))
    found = [event for axis in (0, 1) for event in _bursts_along(trace, moves_S2[:, axis], axis)]
    previous = -CALM_STEPS
    for event in sorted(found, key=lambda event: event.step):
        if event.step - previous >= CALM_STEPS:
            yield event
            previous = event.step


def _bursts_along(trace: Walk, moves_S: NDArray[np.float64], axis: int) -> Iterator[Event]:
    longest_S = np.maximum.accumulate(moves_S)
    for begin, end in _runs(moves_S < CALM * longest_S):
        loud = np.flatnonzero(moves_S[end:] > LOUD * longest_S[end - 1])
        if end - begin >= CALM_STEPS and len(loud):
            step = end + int(loud[0]) + 1
            if trace.loss[step] > trace.loss[end]:
                yield Event("burst", step, {"axis": axis, "calm_from": begin, "loss": float(trace.loss[step])})


def _runs(true_S: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and past-the-last index of each run of trues."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true_S, [False]])))
    return list(pairwise(edges.tolist()))[::2]
