"""An optimizer's step in processes that share memory: each updates the parameters that it owns, for all of them.

Weights and the optimizer's state lie in that memory once. So a process needs no more of a sum than the gradients of its
own parameters, and nobody sends weights: the same bits for half the work in two processes.

Shape suffix: F numbers.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils import clip_grads_with_norm_

from thalweg.distributed.team import Team
from thalweg.probes.layers import is_due
from thalweg.training.muon import Muon
from thalweg.training.sharing import FUSED, SharedMatrices, StepInLanes, dealt, update_of, work_of


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from thalweg.training.flat import Flat
    from thalweg.training.lanes import Lanes

_LINE = 16  # numbers of a cache line, where torch lets every tensor begin


def owners_of(optimizer: Optimizer, parameters: Sequence[Tensor], processes: int) -> list[list[int]]:
    """Deal parameters out to processes, so that an optimizer has about equally much work in each.

    Returns:
        For each process, positions of its parameters.

    Example:
        >>> parameters = [torch.zeros(size, requires_grad=True) for size in (3, 9, 5)]
        >>> owners_of(torch.optim.SGD(parameters), parameters, 2)
        [[1], [2, 0]]
    """
    matrices = set(map(id, optimizer.param_groups[0]["params"])) if isinstance(optimizer, Muon) else set()
    work = [
        work_of((len(one), one[0].numel())) if id(one) in matrices else one.numel()  # muon's is that of its products
        for one in parameters
    ]
    return dealt(work, processes)


class OwnedUpdate:
    """Takes an optimizer's step in several processes: each alone, and once they share the weights, each its part.

    They share them after a first step, if they are on one machine, if the optimizer updates each parameter by itself
    and if its state is all numbers of float32.

    Args:
        optimizer: of the network.
        lanes: threads of this process.
        flat: the layout of the sums; its owners own.
        team: the processes.

    Attributes:
        on_moved: called when the weights have moved into the memory; other tensors that were the same must follow.
    """

    def __init__(self, optimizer: Optimizer, lanes: Lanes, flat: Flat, team: Team) -> None:
        self._optimizer, self._lanes, self._flat, self._team = optimizer, lanes, flat, team
        self._update = update_of(optimizer, lanes)
        self._owned = [flat.parameters[at] for at in flat.owners[team.rank]]
        others = {at for places in flat.owners for at in places} - set(flat.owners[team.rank])
        self._others = [flat.parameters[at] for at in sorted(others)]
        self._may_share = type(optimizer) in FUSED or isinstance(optimizer, Muon)
        self._shares = False
        self.on_moved: Callable[[], None] = lambda: None

    def begin(self, step: int) -> None:
        """Begin a step; `flat.only_own` is whether each process needs the gradients of its own parameters alone.

        Args:
            step: steps done so far. Where the layers are measured, all gradients are needed.
        """
        self._flat.only_own = self._shares and not is_due(step)

    def clipped_norm(self, most: float | None) -> Tensor:
        """Clip the process's own gradients, and return the norm of all before.

        Args:
            most: largest norm of all gradients; None: no clipping.
        """
        used = set(self._flat.used)
        places = [[at for at in owned if at in used] for owned in self._flat.owners]
        own = [self._flat.parameters[at].grad for at in places[self._team.rank]]
        norms = [torch.linalg.vector_norm(gradient).reshape(1) for gradient in own if gradient is not None]
        gathered = self._team.gather(norms, list(map(len, places)))
        norm_of = {
            at: norm for some, found in zip(places, gathered, strict=True) for at, norm in zip(some, found, strict=True)
        }
        total = torch.linalg.vector_norm(torch.stack([norm_of[at] for at in sorted(norm_of)]))
        if most is not None:
            clip_grads_with_norm_(self._owned, most, total)
        return total

    def __call__(self) -> None:
        """Take one step with the parameters' current gradients."""
        if not self._shares:
            self._update()
            self._share()
            return
        if not self._flat.only_own:  # others may still copy the weights, to measure what this step changes
            self._team.wait()
        for parameter in self._others:
            parameter.grad = None
        self._update()
        self._team.wait()

    @torch.no_grad()
    def _share(self) -> None:
        """Move weights and state into memory that all processes see."""
        if not self._may_share or len(self._flat.used) < len(self._flat.parameters):
            return  # a parameter without a gradient has no state yet
        tensors = [tensor for parameter in self._flat.parameters for tensor in self._tensors_of(parameter)]
        sizes = [-(-tensor.numel() // _LINE) * _LINE for tensor in tensors]
        self._may_share = all(tensor.dtype == torch.float32 for tensor in tensors)
        memory_F = self._team.numbers(sum(sizes) + _LINE) if self._may_share else None
        if memory_F is None:
            self._may_share = False
            return
        first = -(memory_F.data_ptr() // memory_F.element_size()) % _LINE
        starts = iter(accumulate(sizes, initial=first))
        views = [_like(memory_F, next(starts), tensor) for tensor in tensors]
        own = {id(tensor) for parameter in self._owned for tensor in self._tensors_of(parameter)}
        for view, tensor in zip(views, tensors, strict=True):
            if id(tensor) in own:
                view.copy_(tensor)
        self._team.wait()
        self._point_at(views)
        self.on_moved()
        if isinstance(self._optimizer, Muon):
            self._optimizer.share_out = SharedMatrices(Team(), self._lanes)
        else:
            self._update = StepInLanes(self._optimizer, self._lanes, only=self._owned)
        self._shares = True

    def _tensors_of(self, parameter: Tensor) -> list[Tensor]:
        """A parameter's weights and its state, in one order on all processes."""
        state = self._optimizer.state[parameter]
        return [parameter, *(state[key] for key in sorted(state) if isinstance(state[key], torch.Tensor))]

    def _point_at(self, views: Sequence[Tensor]) -> None:
        given = iter(views)
        for parameter in self._flat.parameters:
            state: dict[str, Any] = self._optimizer.state[parameter]
            parameter.data = next(given)
            for key in sorted(state):
                if isinstance(state[key], torch.Tensor):
                    state[key] = next(given)


def _like(memory_F: Tensor, start: int, tensor: Tensor) -> Tensor:
    """Part of a vector in the shape and order of a tensor."""
    return memory_F.as_strided(tensor.shape, tensor.stride(), memory_F.storage_offset() + start)
