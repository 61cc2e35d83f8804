"""Measures of several processes that train one model: do they hold equal weights, share the data, and keep step?

Shape suffixes: L groups of layers.
"""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from thalweg.probes.layers import DENSE


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.history import History
    from thalweg.probes.peers import Row, Told
    from thalweg.probes.replicas import ReplicaProbe

FEWEST = 5  # measured steps; in fewer, equal batches or a late process may be chance
WARM = 2  # first steps, whose times say nothing
SHORTEST_S = 0.01  # a wait that is shorter is the operating system's


def replica_measures(probe: ReplicaProbe) -> dict[str, float]:
    """Measure what the processes have told up to now, or, after the loop, to its end."""
    if probe.failure is not None:
        raise probe.failure
    found = of_told(probe.told(), probe.sizes_L, probe.varied_L, promised=probe.peers.promised)
    ranks = probe.peers.ranks
    return {name: float(ranks[int(value)]) if name.endswith("_process") else value for name, value in found.items()}


def of_told(
    told: Sequence[Told], sizes_L: Sequence[int], varied_L: Sequence[bool], *, promised: bool
) -> dict[str, float]:
    """Measure what the processes of one training have told.

    Args:
        told: by each process.
        sizes_L: number of values of each group of layers.
        varied_L: whether a group's weights had several values at first.
        promised: whether all weights must be equal, as in `DistributedDataParallel`. Otherwise a group counts whose
            weights varied and were equal in all processes at first: those that are cut among processes are not.

    Returns:
        Name to number; nothing where only this process has told anything.
    """
    if sum(one.steps is not None for one in told) < 2:
        return {}
    found, shared = _of_lacking(told), _shared(told)
    held_L = [promised or (varied and _all_equal(shared, at)) for at, varied in enumerate(varied_L)]
    if not shared or not any(held_L):
        return found
    found |= {"wrapped": float(promised)}
    return found | _of_weights(shared, sizes_L, held_L) | _of_data(shared) | _of_draws(shared) | _of_times(told)


def of_rates(processes: History) -> dict[str, float]:
    """Measure how long the processes of a run wait for the slowest.

    Args:
        processes: columns `step`, `process`, and `photos_per_second` while it works.

    Example:
        >>> from thalweg.history import History
        >>> history = History({"step": "", "process": "", "photos_per_second": "1/s"})
        >>> for step in range(6):
        ...     history.extend([[step, 0, 90.0], [step, 1, 30.0]])
        >>> of_rates(history)["slowest_process"]
        1.0
    """
    rows: dict[float, dict[int, float]] = {}
    for step, process, rate in processes.rows_NC:
        rows.setdefault(step, {})[int(process)] = float(rate)
    ranks = sorted({rank for row in list(rows.values())[-FEWEST:] for rank in row})  # a resumed run may have others
    timed = [[row[rank] for rank in ranks] for row in list(rows.values())[1:] if sorted(row) == ranks]
    if len(ranks) < 2 or len(timed) < FEWEST:
        return {}
    own = [median(rates) for rates in zip(*timed, strict=True)]
    slowest = min(range(len(ranks)), key=lambda at: own[at])
    others = [median(rate for at, rate in enumerate(rates) if at != slowest) for rates in timed]
    shares = sorted(max(0.0, 1 - rates[slowest] / other) for rates, other in zip(timed, others, strict=True))
    return {
        "slowest_process": float(ranks[slowest]),
        "slowest_times": median(others) / max(own[slowest], 1e-9),
        "waiting": shares[len(shares) // 5],
    }


def _shared(told: Sequence[Told]) -> list[dict[int, Row]]:
    """The steps that several processes have measured, in their order: rank to row."""
    steps = sorted({step for one in told for step in one.rows})
    rows = [{rank: one.rows[step] for rank, one in enumerate(told) if step in one.rows} for step in steps]
    return [at for at in rows if len(at) > 1]


def _all_equal(shared: Sequence[dict[int, Row]], group: int) -> bool:
    return bool(shared) and len({row.weights_L[group] for row in shared[0].values()}) == 1


def _of_weights(shared: Sequence[dict[int, Row]], sizes_L: Sequence[int], held_L: Sequence[bool]) -> dict[str, float]:
    """Which weights differ to the end, and whether their gradients did before they differed."""
    values = sum(size for size, held in zip(sizes_L, held_L, strict=True) if held)
    apart, unsummed, since, odd = 0, 0, math.inf, math.nan
    for at, size in enumerate(sizes_L):
        differ = [len({row.weights_L[at] for row in rows.values()}) > 1 for rows in shared]
        first = differ.index(True) if any(differ) else len(differ)
        if not held_L[at] or not differ[-1] or not all(differ[first:]):
            continue  # what is made equal again is averaged now and then, by design
        apart += size
        unsummed += size * any(_is_unsummed(rows, at) for rows in shared[:first])
        rows = shared[first]
        if (step := next(iter(rows.values())).step) < since:
            since, odd = float(step), float(_odd({rank: row.weights_L[at] for rank, row in rows.items()}))
    found = {"weights_differ": apart / values, "gradients_differ": unsummed / values}
    return found | ({"differ_since": since, "odd_process": odd} if apart else {})


def _is_unsummed(rows: dict[int, Row], group: int) -> bool:
    """Whether gradients differ after equally many backward passes: a process that skipped a step is one pass ahead."""
    same_pass = len({row.passes for row in rows.values()}) == 1
    return same_pass and len({row.gradients_L[group] for row in rows.values()}) > 1


def _odd(sums: dict[int, int]) -> int:
    """The first process that is not like most."""
    counts = list(sums.values())
    usual = max(counts, key=lambda one: (counts.count(one), one == counts[0]))
    return next(rank for rank, one in sums.items() if one != usual)


def _of_data(shared: Sequence[dict[int, Row]]) -> dict[str, float]:
    """How many of the batches another process had at the same step: 1 if all had one.

    An input that stays from one step to the next tells nothing of the samples: a grid of coordinates, edges of a graph.
    """
    repeated = []
    for before, rows in pairwise(shared):
        known = {rank: row.mark for rank, row in rows.items() if math.isfinite(row.mark)}
        marks = [mark for rank, mark in known.items() if rank in before and mark != before[rank].mark]
        if len(marks) > 1:
            repeated.append((len(marks) - len(set(marks))) / (len(marks) - 1))
    return {"data_shared": sum(repeated) / len(repeated)} if len(repeated) >= FEWEST else {}


def _of_draws(shared: Sequence[dict[int, Row]]) -> dict[str, float]:
    """The share of the steps in which torch's generator moved, and all processes drew the same random numbers.

    Python's and NumPy's alone are no evidence: a size of images or a depth that is drawn for all processes is meant so.
    """
    alike = []
    for before, rows in pairwise(shared):
        steps = [next(iter(part.values())).step for part in (before, rows)]
        if steps[1] - steps[0] != 1 or len(before) != len(rows) or steps[1] > DENSE:
            continue
        states = [{row.draws[at] for row in rows.values()} for at in range(len(next(iter(rows.values())).draws))]
        drawn = [
            any(row.draws[at] != rows[rank].draws[at] for rank, row in before.items() if rank in rows)
            for at in range(len(states))
        ]
        moved = [state for state, has in zip(states, drawn, strict=True) if has]
        alike.append(drawn[0] and all(len(state) == 1 for state in moved))
    return {"draws_shared": sum(alike) / len(alike)} if len(alike) >= FEWEST else {}


def _of_times(told: Sequence[Told]) -> dict[str, float]:
    """The process that needs longest, relative to the others, and the share of a step that they wait for it."""
    ranks = [rank for rank, one in enumerate(told) if one.steps is not None]
    timed = [
        [told[rank].rows[step] for rank in ranks]
        for step in sorted(set.intersection(*(set(told[rank].rows) for rank in ranks)))
        if step > WARM and all(math.isfinite(told[rank].rows[step].own) for rank in ranks)
    ]
    if len(timed) < FEWEST:
        return {}
    own = [median(row.own for row in rows) for rows in zip(*timed, strict=True)]
    slowest = max(range(len(ranks)), key=lambda at: own[at])
    others = [median(row.own for at, row in enumerate(rows) if at != slowest) for rows in timed]
    waits = [(rows[slowest].own - other, rows[slowest].whole) for rows, other in zip(timed, others, strict=True)]
    shares = sorted(wait / whole if wait > SHORTEST_S else 0.0 for wait, whole in waits)
    return {
        "slowest_process": float(ranks[slowest]),
        "slowest_times": own[slowest] / max(median(others), 1e-9),
        "waiting": shares[len(shares) // 5],  # in four of five steps, at least
    }


def _of_lacking(told: Sequence[Told]) -> dict[str, float]:
    """The processes that had no sample, though others had some."""
    known = {rank: one for rank, one in enumerate(told) if one.steps is not None}
    idle = [rank for rank, one in known.items() if not (one.steps or one.passes) or _is_empty(one)]
    lacking = [rank for rank in idle if known[rank].ended or known[rank].rows]  # the others may not have told yet
    if not lacking or len(idle) == len(known):
        return {"processes_lacking": 0.0}
    return {"processes_lacking": float(len(lacking)), "lacking_process": float(lacking[0])}


def _is_empty(one: Told) -> bool:
    samples = [row.samples for row in one.rows.values() if row.samples >= 0]
    return bool(samples) and not any(samples)
