"""What shards of a batch give: gradients, changes of the buffers, loss; and all of it in one vector, for an exchange.

Shape suffixes: F numbers of the vector, R numbers beside the gradients.
"""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

import torch

from thalweg.probes import foreach
from thalweg.training.sharing import dealt


if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor, nn

    from thalweg.training.lanes import Lanes

_NUMBERS = 2  # loss and correct photos


class Given:
    """The sum over some shards.

    Attributes:
        gradients: of the parameters; None: no shard used the parameter.
        rest_R: changes of the buffers, numbers, which parameters have gradients, a message.
        is_own: whether nobody else may hold the gradients, so that they may change in place.
    """

    def __init__(self, gradients: list[Tensor | None], rest_R: Tensor, *, is_own: bool) -> None:
        self.gradients, self.rest_R, self.is_own = gradients, rest_R, is_own

    @torch.no_grad()
    def add(self, other: Given, lanes: Lanes) -> None:
        """Add what other shards gave, as if an absent gradient were 0.

        Args:
            other: from other shards; nobody may use it afterwards.
            lanes: threads; each adds some of the gradients.
        """
        if other.is_own and not self.is_own:  # a + b is b + a, bit by bit: what may change takes the sum
            self.gradients, other.gradients = other.gradients, self.gradients
            self.is_own = True
        pairs = dict(enumerate(zip(self.gradients, other.gradients, strict=True)))
        both = {at: (left, right) for at, (left, right) in pairs.items() if left is not None and right is not None}
        places = list(both)
        shares = dealt([both[at][0].numel() for at in places], lanes.count)
        list(lanes.map(lambda _, share: self._add_some({places[at]: both[places[at]] for at in share}), shares))
        for at in pairs.keys() - both.keys():
            alone = pairs[at][0] if pairs[at][1] is None else pairs[at][1]
            self.gradients[at] = None if alone is None else alone + 0.0  # as the sum with 0, whose sign differs from -0
        self.rest_R += other.rest_R
        self.is_own = True

    @torch.no_grad()
    def _add_some(self, both: dict[int, tuple[Tensor, Tensor]]) -> None:
        if not both:
            return
        lefts, rights = zip(*both.values(), strict=True)
        if self.is_own:
            foreach.add(lefts, rights)
            return
        for at, total in zip(both, foreach.sums(lefts, rights), strict=True):
            self.gradients[at] = total


class Flat:
    """The layout of the vector: gradients, changes of the buffers, numbers, which parameters have gradients, a message.

    Gradients are stored in the memory order of their parameters, so that a view of the vector is the gradient. Of a
    buffer of floating-point numbers, such as the running mean of a batch norm, the change counts with the shard's share
    of the batch; of a counter, the change in the first shard. So what does not change keeps its bits.

    Args:
        model: the network.
        words: numbers of the message that the processes send along.
        owners: positions of the parameters that each process owns; the length is a multiple of their number.

    Attributes:
        owners: as given.
        only_own: whether each process needs the gradients of its own parameters alone.
    """

    def __init__(self, model: nn.Module, words: int, owners: Sequence[Sequence[int]]) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.buffers = buffers_of(model)
        self.owners, self.only_own = owners, False
        self._device = self.parameters[0].device
        starts = [0, *accumulate(parameter.numel() for parameter in self.parameters)]
        self._places = [slice(*ends) for ends in pairwise(starts)]
        self._sizes = [buffer.numel() for buffer in self.buffers]
        self._parts = [sum(self._sizes), _NUMBERS, len(self.parameters), words]
        self._rest = slice(starts[-1], starts[-1] + sum(self._parts))
        self.length = -(-self._rest.stop // len(owners)) * len(owners)
        self._spare: list[Tensor] = []
        self._have_gradient: list[bool] | None = None

    @property
    def on_host(self) -> bool:
        """Whether the vectors are the processor's."""
        return self._device.type == "cpu"

    def new(self) -> Tensor:
        """Return a vector with any content; vectors are used again, because large new ones cost page faults."""
        try:
            return self._spare.pop()
        except IndexError:  # threads that ask at the same time
            return torch.empty(self.length, device=self._device)

    def give_back(self, flat_F: Tensor) -> None:
        """Take back a vector that nobody needs any more."""
        self._spare.append(flat_F)

    @torch.no_grad()
    def given(
        self,
        gradients: Sequence[Tensor | None],
        buffers: Sequence[Tensor],
        numbers: tuple[Tensor, Tensor],
        *,
        share: float,
        counts: bool,
    ) -> Given:
        """Return what a shard gave.

        Args:
            gradients: of the parameters, of the shard's part of the mean loss; None: the parameter was not used.
            buffers: as the shard left them; before, they were those of the model.
            numbers: the shard's part of the mean loss, and its correct photos.
            share: the shard's of the batch, in (0, 1].
            counts: whether the changes of counters are those of this shard.
        """
        changes = [
            (after - before).flatten().to(torch.float32) * (share if before.is_floating_point() else float(counts))
            for before, after in zip(self.buffers, buffers, strict=True)
        ]
        has = torch.tensor([float(gradient is not None) for gradient in gradients])
        message = torch.zeros(self._parts[-1], device=self._device)
        rest_R = torch.cat([*changes, torch.stack([numbers[0], numbers[1].float()]), has.to(self._device), message])
        ordered = list(map(_in_order_of, gradients, self.parameters))
        if not self.on_host:  # a replay writes them again
            ordered = [gradient if gradient is None else gradient.clone() for gradient in ordered]
        return Given(ordered, rest_R, is_own=not self.on_host)

    @torch.no_grad()
    def pack(self, given: Given) -> Tensor:
        """Return a vector with what shards gave."""
        flat_F = self.new()
        self._write(given, flat_F, range(len(self.parameters)))
        return flat_F

    def parted(self, flat_F: Tensor) -> Given:
        """Return a sum over all shards that is in a vector, as views of it."""
        rest_R = flat_F[self._rest]
        if self._have_gradient is None or self.on_host:  # a GPU is waited for once, at the first step
            self._have_gradient = self._flags(rest_R)
        gradients = [
            self._view(flat_F, at) if has else None
            for at, has in zip(range(len(self.parameters)), self._have_gradient, strict=True)
        ]
        return Given(gradients, rest_R, is_own=True)

    @torch.no_grad()
    def write_for_others(self, given: Given, flat_F: Tensor, rank: int) -> None:
        """Write into a vector what the other processes need of what shards of this one gave."""
        others = [at for owner, places in enumerate(self.owners) if owner != rank for at in places]
        self._write(given, flat_F, others)

    def own_of(self, source: Given | Tensor, rank: int) -> Given:
        """Return what a process needs of what shards gave, or of a vector with it, whose part it may change."""
        if isinstance(source, Given):
            gradients, rest_R, is_own = source.gradients, source.rest_R, source.is_own
        else:
            gradients = {at: self._view(source, at) for at in self.owners[rank]}
            rest_R, is_own = source[self._rest].clone(), True  # others read it as well
        own: list[Tensor | None] = [None] * len(self.parameters)
        for at in self.owners[rank]:
            own[at] = gradients[at]
        return Given(own, rest_R, is_own=is_own)

    def without_unused(self, total: Given) -> Given:
        """Return a sum over all shards without the gradients that no shard gave."""
        flags = self._have_gradient = self._flags(total.rest_R)
        used = [gradient if has else None for gradient, has in zip(total.gradients, flags, strict=True)]
        return Given(used, total.rest_R, is_own=total.is_own)

    @property
    def used(self) -> list[int]:
        """Positions of the parameters that have a gradient in the last sum from a vector."""
        return [at for at, has in enumerate(self._have_gradient or ()) if has]

    def message(self, given: Given) -> Tensor:
        """Return the view of the message."""
        return given.rest_R.split(self._parts)[-1]

    @torch.no_grad()
    def put(self, given: Given) -> tuple[Tensor, Tensor]:
        """Put a sum over all shards into the model: gradients are set, buffers change.

        Returns:
            Loss and number of correct photos.
        """
        changes, numbers, *_ = given.rest_R.split(self._parts)
        for parameter, gradient in zip(self.parameters, given.gradients, strict=True):
            parameter.grad = gradient if gradient is None or given.is_own else gradient.clone()
        for buffer, change in zip(self.buffers, changes.split(self._sizes) if self._sizes else (), strict=True):
            moved = change if buffer.is_floating_point() else change.round().to(buffer.dtype)
            buffer.add_(moved.view(buffer.shape))
        loss, right = numbers.clone()
        return loss, right

    def _write(self, given: Given, flat_F: Tensor, places: Iterable[int]) -> None:
        for at in places:
            gradient, place = given.gradients[at], self._view(flat_F, at)
            if gradient is None:
                place.zero_()
            else:
                place.copy_(gradient)
        flat_F[self._rest] = given.rest_R

    def _flags(self, rest_R: Tensor) -> list[bool]:
        """Whether each parameter has a gradient."""
        return [flag > 0 for flag in rest_R.split(self._parts)[2].tolist()]

    def _view(self, flat_F: Tensor, at: int) -> Tensor:
        place, like = self._places[at], self.parameters[at]
        return flat_F[place].as_strided(like.shape, like.stride(), place.start + flat_F.storage_offset())


def buffers_of(model: nn.Module) -> list[Tensor]:
    """Return the buffers that a step may change: all that are numbers."""
    return [buffer for buffer in model.buffers() if buffer.dtype != torch.bool]


def _in_order_of(gradient: Tensor | None, parameter: Tensor) -> Tensor | None:
    """Return a gradient in the memory order of its parameter, which fused optimizers take for granted."""
    if gradient is None:
        return None
    sides = zip(gradient.stride(), parameter.stride(), parameter.shape, strict=True)
    if all(ours == theirs for ours, theirs, side in sides if side > 1):
        return gradient.as_strided(parameter.shape, parameter.stride())  # where a side is 1, torch has several strides
    return torch.empty_like(parameter).copy_(gradient)
