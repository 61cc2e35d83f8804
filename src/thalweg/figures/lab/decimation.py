"""The steps of long traces that a picture draws: never an average, and nothing that stands out is lost.

At least half of what may be kept is spread evenly, on a logarithmic scale; up to half goes to the
most prominent peaks and dips of loss and gradient norm, and to the steps at which something first happens. Every value
at a kept step is exact. `Kept.note` states on the picture what was kept.

Legend: S steps of a trace (the start is step 0), K kept steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from thalweg.paths import Trace

_LOG_FROM = 300  # steps
_PROMINENT = 0.02  # decades by which a peak must stand above what is drawn around it


@dataclass(frozen=True)
class Kept:
    """The steps that are drawn.

    Attributes:
        steps_K: rising, from 0 to `last`.
        last: the last step of the traces.
    """

    steps_K: NDArray[np.int64]
    last: int

    @property
    def all(self) -> bool:
        """Whether no step was left out."""
        return len(self.steps_K) == self.last + 1

    @property
    def note(self) -> str:
        """A sentence for the picture about what was kept."""
        kept, of = f"{len(self.steps_K):,}", f"{self.last + 1:,}"
        if self.all:
            return t("lab.kept_all", kept=kept)
        return t("lab.kept_some", kept=kept, of=of, dense=f"{self.dense_until:,}")

    @property
    def axis_key(self) -> str:
        """The key of the step axis's name in the catalogue."""
        return "lab.axis_step_log" if self.logarithmic else "lab.axis_step"

    @property
    def logarithmic(self) -> bool:
        """Whether the step axis is logarithmic: most traces run far at first, and stay near the end for long."""
        return self.last > _LOG_FROM

    @property
    def dense_until(self) -> int:
        """The last step before the first gap."""
        gaps = np.flatnonzero(np.diff(self.steps_K) > 1)
        return int(self.steps_K[gaps[0]]) if len(gaps) else self.last


def keep_steps(traces: Sequence[Trace], *, limit: int) -> Kept:
    """Choose the steps at which all traces are drawn.

    Args:
        traces: any number; a shorter one ends earlier.
        limit: how many steps may be kept, at least 8.

    Returns:
        At most `limit` steps; all of them, where they are no more than that.
    """
    last = max((trace.steps for trace in traces), default=0)
    if last + 1 <= limit:
        return Kept(np.arange(last + 1), last)
    even_K = _log_spaced(last, limit // 2)
    candidates = [*_first_events(traces, last), *_extremes(traces, even_K)]
    wanted = _first_distinct(candidates, set(even_K.tolist()), limit - len(even_K))
    even_K = _log_spaced(last, limit - len(wanted))
    return Kept(np.union1d(even_K, np.array(wanted, dtype=np.int64)), last)


def _log_spaced(last: int, count: int) -> NDArray[np.int64]:
    """About `count` whole numbers from 0 to `last`, at most `count`: all the small ones, then even on a log scale."""
    low, high = 2, 64 * count  # how finely to space, so that `count` are left after rounding
    while low < high:
        middle = (low + high + 1) // 2
        if len(_rounded(last, middle)) <= count:
            low = middle
        else:
            high = middle - 1
    return _rounded(last, low)


def _rounded(last: int, count: int) -> NDArray[np.int64]:
    return np.unique(np.rint(np.expm1(np.linspace(0.0, np.log1p(last), count)))).astype(np.int64)


def _first_events(traces: Sequence[Trace], last: int) -> Iterator[int]:
    """The steps around the first event of each kind on each trace; later ones stand out by themselves."""
    for trace in traces:
        firsts = {event.kind: event.step for event in reversed(trace.events)}
        for step in firsts.values():
            yield from (near for near in (step - 1, step, step + 1) if 0 <= near <= last)


def _extremes(traces: Sequence[Trace], even_K: NDArray[np.int64]) -> list[int]:
    """Steps of peaks and dips between the even steps, the most prominent first."""
    found: list[tuple[float, int]] = []
    for trace in traces:
        for column_S in (trace.loss, trace.gradient_norm):
            found += _extremes_of(_decades(column_S), even_K)
    return [step for _, step in sorted(found, reverse=True)]


def _extremes_of(decades_S: NDArray[np.float64], even_K: NDArray[np.int64]) -> list[tuple[float, int]]:
    """(prominence, step) of each bucket's highest and lowest point."""
    starts_B = even_K[even_K < len(decades_S) - 1]
    ends_B = np.append(starts_B[1:], len(decades_S) - 1)
    edge_high_B = np.maximum(decades_S[starts_B], decades_S[ends_B])
    edge_low_B = np.minimum(decades_S[starts_B], decades_S[ends_B])
    above_B = np.maximum.reduceat(decades_S, starts_B) - edge_high_B
    below_B = edge_low_B - np.minimum.reduceat(decades_S, starts_B)
    return [
        (float(prominence_B[bucket]), int(starts_B[bucket] + pick(decades_S[starts_B[bucket] : ends_B[bucket] + 1])))
        for prominence_B, pick in ((above_B, np.argmax), (below_B, np.argmin))
        for bucket in np.flatnonzero(prominence_B > _PROMINENT)
    ]


def _decades(column_S: NDArray[np.float64]) -> NDArray[np.float64]:
    """log10 of the size; zeros and NaN count as the smallest finite one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        decades_S = np.log10(np.abs(column_S))
    finite_S = np.isfinite(decades_S)
    floor = decades_S[finite_S].min() if finite_S.any() else 0.0
    return np.where(finite_S, decades_S, floor)


def _first_distinct(candidates: Iterable[int], taken: set[int], count: int) -> list[int]:
    wanted: dict[int, None] = {}
    for step in candidates:
        if len(wanted) == count:
            break
        if step not in taken:
            wanted[step] = None
    return list(wanted)
