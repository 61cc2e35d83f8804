"""The processes of one training: what a process that trains alone answers; `group.Group` answers for several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import torch

from thalweg.errors import EndedElsewhereError


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from thalweg.data.sharding import Tree


class Heard(NamedTuple):
    """What the processes told one another with the sum of a step.

    Attributes:
        stop: whether one of them was asked to stop.
        seconds: time since the training began, on the first of them.
        reserve: seconds of the budget that it reserves for what comes after the last step.
    """

    stop: bool
    seconds: float
    reserve: float


Value = TypeVar("Value")


class Vectors(Protocol[Value]):
    """Vectors of one length that are used again, and hold values for an exchange.

    Attributes:
        length: numbers of each.
        only_own: whether each process needs of a sum only what it owns; processes that share no memory get all of it.
    """

    length: int
    only_own: bool

    def new(self) -> Tensor:
        """Return one with any content."""
        ...

    def give_back(self, flat_F: Tensor) -> None:
        """Take back one that nobody needs any more."""
        ...

    def pack(self, given: Value) -> Tensor:
        """Return a vector that holds a value."""
        ...

    def parted(self, flat_F: Tensor) -> Value:
        """Return the value that a vector holds; it may be a view."""
        ...

    def write_for_others(self, given: Value, flat_F: Tensor, rank: int) -> None:
        """Write into a vector what the other processes need of a value."""
        ...

    def own_of(self, source: Value | Tensor, rank: int) -> Value:
        """Return what a process needs of a value, or of a vector with it, whose part it may change."""
        ...

    def without_unused(self, total: Value) -> Value:
        """Return a sum of such values without what no process gave."""
        ...


class Team:
    """A process that trains alone.

    Attributes:
        rank: number of this process.
        processes: how many there are.
        message: numbers that this process adds to the sum of the next step.
    """

    rank: int = 0
    processes: int = 1

    def __init__(self) -> None:
        self.message: list[float] = []

    @property
    def first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0

    def until_said(self, code: int) -> EndedElsewhereError:
        """Return the error of a process that found what all find, once the first has said it.

        Args:
            code: exit code of what was found.
        """
        return EndedElsewhereError("distributed.ended_elsewhere", code=code)

    def say(self, heard: Heard) -> None:
        """Send this along with the next sum."""

    def hear(self, message: Tensor) -> None:
        """Take the sum of all messages."""

    def worked(self, photos: int, seconds: float) -> None:
        """Send along how many photos this process took in this step, and how long it worked before the sum."""

    @property
    def rates(self) -> list[float]:
        """Photos per second of each process in the last step whose sum was heard, while it worked; 0: it had none."""
        return []

    @property
    def heard(self) -> Heard | None:
        """What the processes last agreed on; None: each decides for itself, since it is alone."""
        return None

    def total(self, tree: Tree[Value], shards: int, vectors: Vectors[Value]) -> Value:  # noqa: ARG002 - they count for several
        """Return the sum over all shards of a batch, valid until `take_back`.

        Args:
            tree: holds the sums over the shards of this process; it is empty afterwards.
            shards: of the batch.
            vectors: for the exchange.
        """
        return tree.total()

    def take_back(self, vectors: Vectors[Any]) -> None:
        """Take back the last total, if there is one: nobody needs it any more.

        Args:
            vectors: as in `total`.
        """

    def gather(self, own: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:  # noqa: ARG002 - the same
        """Return a vector of each process; they are valid until the next call, or the next total.

        Args:
            own: what this process's is joined of; numbers of one type, on all processes.
            lengths: of all of them.
        """
        return [torch.cat(list(own)) if own else torch.empty(0)]

    def wait(self) -> None:
        """Wait until all processes are here."""

    def numbers(self, count: int) -> Tensor | None:  # noqa: ARG002 - the same
        """Return so many numbers in memory that all processes see; None: they have none."""
        return None

    def spread(self, content: bytes | None) -> bytes:
        """Return what the first process gives to all; on the others, wait until it does.

        Args:
            content: on the first process.
        """
        if content is None:
            raise ValueError("the first process gives it")
        return content

    def leave(self) -> None:
        """End the team: from now on each process is alone."""
