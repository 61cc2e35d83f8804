"""All that one shard of a batch gives, in one vector: so one sum, in one order, covers gradients, statistics and loss.

Shape suffixes: F numbers of the vector.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

_NUMBERS = 2  # loss and correct photos


class Flat:
    """The layout of the vector: gradients, changes of the buffers, which parameters have gradients, numbers, a message.

    Gradients are stored in the memory order of their parameters, so that a view of the vector is the gradient. Of a
    buffer of floating-point numbers, such as the running mean of a batch norm, the change counts with the shard's share
    of the batch; of a counter, the change in the first shard. So what does not change keeps its bits.

    Args:
        model: the network.
        words: numbers of the message that the processes send along.
        parts: the length is a multiple of it.
    """

    def __init__(self, model: nn.Module, words: int, parts: int) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.buffers = buffers_of(model)
        self._device = self.parameters[0].device
        sizes = [tensor.numel() for tensor in (*self.parameters, *self.buffers)]
        self._starts = [0, *accumulate(sizes)]
        self._flags = self._starts[-1]
        self._numbers = self._flags + len(self.parameters)
        self._message = self._numbers + _NUMBERS
        self._end = self._message + words
        self.length = -(-self._end // parts) * parts
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
    def pack(
        self,
        gradients: Sequence[Tensor | None],
        buffers: Sequence[Tensor],
        numbers: tuple[Tensor, Tensor],
        *,
        share: float,
        counts: bool,
    ) -> Tensor:
        """Fill a vector.

        Args:
            gradients: of the parameters, of the shard's mean loss; None: the parameter was not used.
            buffers: as the shard left them; before, they were those of the model.
            numbers: the shard's mean loss, and its correct photos.
            share: the shard's of the batch, in (0, 1].
            counts: whether the changes of counters are those of this shard.
        """
        flat_F = self.new()
        flags = [float(gradient is not None) for gradient in gradients]
        for at, (parameter, gradient) in enumerate(zip(self.parameters, gradients, strict=True)):
            place = self._view(flat_F, at, parameter)
            if gradient is None:
                place.zero_()
            else:
                torch.mul(gradient, share, out=place)
        for at, (before, after) in enumerate(zip(self.buffers, buffers, strict=True), start=len(self.parameters)):
            change = (after - before).to(flat_F.dtype)
            self._view(flat_F, at, before).copy_(change * (share if before.is_floating_point() else float(counts)))
        flat_F[self._flags : self._numbers] = torch.tensor(flags)
        flat_F[self._numbers : self._message] = torch.stack([numbers[0] * share, numbers[1].float()])
        flat_F[self._message :] = 0.0
        return flat_F

    def message(self, flat_F: Tensor) -> Tensor:
        """Return the view of the message."""
        return flat_F[self._message : self._end]

    @torch.no_grad()
    def unpack(self, flat_F: Tensor) -> tuple[Tensor, Tensor]:
        """Put a sum over all shards into the model: views of it become gradients, buffers change.

        Returns:
            Loss and number of correct photos.
        """
        if self._have_gradient is None or self.on_host:  # a GPU is waited for once, at the first step
            self._have_gradient = [flag > 0 for flag in flat_F[self._flags : self._numbers].tolist()]
        for at, (parameter, has_gradient) in enumerate(zip(self.parameters, self._have_gradient, strict=True)):
            parameter.grad = self._view(flat_F, at, parameter) if has_gradient else None
        for at, buffer in enumerate(self.buffers, start=len(self.parameters)):
            change = self._view(flat_F, at, buffer)
            buffer.add_(change if buffer.is_floating_point() else change.round().to(buffer.dtype))
        loss, right = flat_F[self._numbers : self._message].clone()
        return loss, right

    def _view(self, flat_F: Tensor, at: int, like: Tensor) -> Tensor:
        return flat_F[self._starts[at] : self._starts[at + 1]].as_strided(
            like.shape, like.stride(), self._starts[at] + flat_F.storage_offset()
        )


def buffers_of(model: nn.Module) -> list[Tensor]:
    """Return the buffers that a step may change: all that are numbers."""
    return [buffer for buffer in model.buffers() if buffer.dtype != torch.bool]
