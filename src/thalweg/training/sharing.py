"""An optimizer's work, shared out: parameters among the threads of a process, or among processes that share memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer

from thalweg.training.muon import ITERATIONS, orthogonal


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from torch import Tensor

    from thalweg.distributed.team import Team
    from thalweg.training.lanes import Lanes

_PRODUCTS = 4 * ITERATIONS  # of R by R matrices
FUSED = (Adam, AdamW, SGD, Adagrad)  # torch updates each of their parameters by itself, in one kernel


def update_of(optimizer: Optimizer, lanes: Lanes) -> Callable[[], Any]:
    """Return what takes an optimizer's step: on one thread, or on several if they give the same bits.

    Args:
        optimizer: torch's fused ones go side by side; others know best how their parameters belong together.
        lanes: threads.
    """
    if lanes.count == 1 or type(optimizer) not in FUSED:
        return optimizer.step
    return StepInLanes(optimizer, lanes)


class StepInLanes:
    """Takes a fused optimizer's step side by side: each thread updates some of the parameters.

    Checkpoints and schedules see the optimizer alone: the threads use its state, and its settings of the moment.

    Args:
        optimizer: one of torch's that updates each parameter by itself.
        lanes: threads.
        only: parameters to update; None: all.
    """

    def __init__(self, optimizer: Optimizer, lanes: Lanes, only: Iterable[Tensor] | None = None) -> None:
        self._optimizer, self._lanes = optimizer, lanes
        members = [(at, parameter) for at, group in enumerate(optimizer.param_groups) for parameter in group["params"]]
        if only is not None:
            chosen = set(map(id, only))
            members = [(at, parameter) for at, parameter in members if id(parameter) in chosen]
        self._twins: list[tuple[Optimizer, list[int]]] = []
        for places in dealt([parameter.numel() for _, parameter in members], lanes.count):
            own: dict[int, list[Tensor]] = {}
            for at, parameter in (members[place] for place in sorted(places)):
                own.setdefault(at, []).append(parameter)
            if own:
                groups = [{**optimizer.param_groups[at], "params": parameters} for at, parameters in own.items()]
                kind: Any = type(optimizer)
                self._twins.append((kind(groups), list(own)))

    def __call__(self) -> None:
        """Take one step with the parameters' current gradients."""
        for twin, homes in self._twins:
            twin.state = self._optimizer.state
            for group, at in zip(twin.param_groups, homes, strict=True):
                group |= {name: value for name, value in self._optimizer.param_groups[at].items() if name != "params"}
        list(self._lanes.map(lambda _, twin: twin[0].step(), self._twins))


class SharedMatrices:
    """Applies `orthogonal` to matrices: each process to some of them, so that all have about equally much work.

    Args:
        team: the processes.
        lanes: threads of this one.
    """

    def __init__(self, team: Team, lanes: Lanes) -> None:
        self._team, self._lanes = team, lanes

    def __call__(self, shapes: Sequence[tuple[int, int]], matrix: Callable[[int], Tensor]) -> list[Tensor]:
        """Return all results, on every process.

        Args:
            shapes: of the matrices.
            matrix: makes one of them, by its number; each process makes its own.
        """
        owned = dealt(list(map(work_of, shapes)), self._team.processes)
        mine = owned[self._team.rank]
        results = list(self._lanes.map(lambda _, at: orthogonal(matrix(at)), mine))
        if self._team.processes == 1:
            return [result for _, result in sorted(zip(mine, results, strict=True), key=lambda pair: pair[0])]
        sizes = [[math.prod(shapes[at]) for at in places] for places in owned]
        found: dict[int, Tensor] = {}
        gathered = self._team.gather([result.reshape(-1) for result in results], list(map(sum, sizes)))
        for places, vector_F, parts in zip(owned, gathered, sizes, strict=True):
            for at, part in zip(places, vector_F.split(parts) if parts else (), strict=True):
                found[at] = part.view(shapes[at])
        return [found[at] for at in range(len(shapes))]


def work_of(shape: tuple[int, int]) -> int:
    """Return about how many multiplications `orthogonal` does for a matrix.

    Example:
        >>> work_of((2, 10))
        240
    """
    return min(shape) ** 2 * (2 * max(shape) + _PRODUCTS * min(shape))


def dealt(work: Sequence[int], parts: int) -> list[list[int]]:
    """Deal pieces of work out: the largest first, each to the part that has least so far.

    Args:
        work: of each piece.
        parts: how many there are.

    Returns:
        For each part, the positions of its pieces.

    Example:
        >>> dealt([5, 9, 3], 2)
        [[1], [0, 2]]
    """
    owned: list[list[int]] = [[] for _ in range(parts)]
    for at in sorted(range(len(work)), key=lambda at: (-work[at], at)):
        min(owned, key=lambda places: sum(work[place] for place in places)).append(at)
    return owned
