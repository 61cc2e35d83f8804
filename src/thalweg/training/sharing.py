"""Muon's matrices, shared out among processes and their threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from thalweg.training.muon import ITERATIONS, orthogonal


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.distributed.team import Team
    from thalweg.training.lanes import Lanes

_PRODUCTS = 4 * ITERATIONS  # of R by R matrices


class SharedMatrices:
    """Applies `orthogonal` to matrices: each process to some of them, so that all have about equally much work.

    Args:
        team: the processes.
        lanes: threads of this one.
    """

    def __init__(self, team: Team, lanes: Lanes) -> None:
        self._team, self._lanes = team, lanes

    def __call__(self, matrices: list[Tensor]) -> list[Tensor]:
        """Return all results, on every process."""
        owned = dealt([tuple(matrix.shape) for matrix in matrices], self._team.processes)
        mine = owned[self._team.rank]
        results = list(self._lanes.map(lambda _, at: orthogonal(matrices[at]), mine))
        if self._team.processes == 1:
            return [result for _, result in sorted(zip(mine, results, strict=True), key=lambda pair: pair[0])]
        own_F = torch.cat([result.reshape(-1) for result in results]) if results else matrices[0].new_empty(0)
        sizes = [[matrices[at].numel() for at in places] for places in owned]
        found: dict[int, Tensor] = {}
        gathered = self._team.gather(own_F, list(map(sum, sizes)))
        for places, vector_F, parts in zip(owned, gathered, sizes, strict=True):
            for at, part in zip(places, vector_F.split(parts) if parts else (), strict=True):
                found[at] = part.view(matrices[at].shape)
        return [found[at] for at in range(len(matrices))]


def dealt(shapes: Sequence[tuple[int, ...]], processes: int) -> list[list[int]]:
    """Deal matrices out: the most work first, each to the process that has least so far.

    Args:
        shapes: of the matrices.
        processes: how many there are.

    Returns:
        For each process, the positions of its matrices.

    Example:
        >>> dealt([(64, 576), (128, 576), (64, 64)], 2)
        [[1], [0, 2]]
    """
    work = [min(shape) ** 2 * (2 * max(shape) + _PRODUCTS * min(shape)) for shape in shapes]
    owned: list[list[int]] = [[] for _ in range(processes)]
    for at in sorted(range(len(shapes)), key=lambda at: (-work[at], at)):
        min(owned, key=lambda places: sum(work[place] for place in places)).append(at)
    return owned
