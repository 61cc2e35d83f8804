"""What happened on a path: it diverged, converged, stalled, burst, or left the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np


if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from thalweg.paths.path import Path

Kind = Literal["diverged", "converged", "stalled", "burst", "left_window"]


@dataclass(frozen=True)
class Event:
    """Something that happened at a step.

    Args:
        kind: what.
        step: when: the row of the positions at which it is first true.
        values: the numbers that say so.
    """

    kind: Kind
    step: int
    values: Mapping[str, float] = field(default_factory=dict)


def find(path: Path) -> tuple[Event, ...]:
    """The events of a path, in the order of steps."""
    return tuple(sorted(_all(path), key=lambda event: event.step))


def _all(path: Path) -> Iterator[Event]:
    if path.last < path.steps or not np.isfinite(path.loss[path.last]):
        yield Event("diverged", path.last, {"loss": float(path.loss[path.last])})
