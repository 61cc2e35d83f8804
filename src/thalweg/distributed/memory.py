"""Memory that all processes of one machine share: they add up one another's vectors where they lie, without messages.

It has no name in the file system and ends with the last process that uses it, however that ends.

Shape suffixes: F numbers of a vector, P numbers of one part of it, M numbers of the memory.
"""

from __future__ import annotations

import mmap
import os
import secrets
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thalweg._memory import SHARE_OF_MEMORY, free_memory
from thalweg.data.sharding import Block, Tree


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

    from thalweg.distributed.team import Vectors

_BYTES = torch.float32.itemsize
_MARK = 64  # bytes at the start, by which a process knows that it has opened the right memory


class SharedMemory:
    """Vectors in memory that several processes see.

    Every process calls the same methods in the same order.

    Args:
        memory: from `offered` or `opened`.
        rank: number of this process.
        processes: how many there are.
        wait: waits until all processes have called it.

    Attributes:
        numbers_M: all of it.
    """

    def __init__(self, memory: mmap.mmap, rank: int, processes: int, wait: Callable[[], None]) -> None:
        self.numbers_M = torch.frombuffer(memory, dtype=torch.float32, offset=_MARK)
        self._rank, self._processes, self._wait_for_all = rank, processes, wait
        self._may_be_read: set[str] = set()  # what other processes may still read

    @property
    def size(self) -> int:
        """How many numbers there is room for."""
        return len(self.numbers_M)

    def total(self, own: list[Tensor], blocks: Sequence[Sequence[tuple[int, int]]], vectors: Vectors[Any]) -> Tensor:
        """Return the sum over all blocks, of which each process adds up one part.

        It is a vector of this process alone, since clipping and some optimizers write into gradients.

        Args:
            own: the sums over this process's blocks.
            blocks: (first, size) of each block of each process.
            vectors: what `own` belongs to, and the sum; the others are given back.
        """
        length, starts = vectors.length, [0, *accumulate(map(len, blocks))]
        part = length // self._processes
        mine = slice(self._rank * part, (self._rank + 1) * part)
        total_F, *slots = self.numbers_M[: (1 + starts[-1]) * length].view(-1, length)
        others = (slice(0, mine.start), slice(mine.stop, length))
        if self._may_be_read:
            self._wait()
        for slot_F, value_F in zip(slots[starts[self._rank] :], own, strict=False):
            for places in others:
                slot_F[places].copy_(value_F[places])
        self._wait()
        sums: Tree[Tensor] = Tree(lambda left_P, right_P: left_P.add_(right_P))
        for rank, (start, places) in enumerate(zip(starts, blocks, strict=False)):
            values = own if rank == self._rank else slots[start:]
            for (first, size), value_F in zip(places, values, strict=False):
                sums.push(Block(first, size, value_F[mine]))
        whole_F = own[0] if own else vectors.new()
        total_F[mine].copy_(sums.total())
        whole_F[mine].copy_(total_F[mine])
        for spare in own[1:]:
            vectors.give_back(spare)
        self._wait()
        for places in others:
            whole_F[places].copy_(total_F[places])
        return whole_F

    def total_of_own(
        self, tree: Tree[Any], own: Sequence[Any], blocks: Sequence[Sequence[tuple[int, int]]], vectors: Vectors[Any]
    ) -> Any:
        """Return what this process needs of the sum over all blocks; it lies in this memory, behind its first vector.

        Args:
            tree: adds values up; it is empty.
            own: the values of this process's blocks.
            blocks: as in `total`.
            vectors: of the values.
        """
        length, starts = vectors.length, [0, *accumulate(map(len, blocks))]
        _, *slots = self.numbers_M[: (1 + starts[-1]) * length].view(-1, length)
        if self._may_be_read:
            self._wait()
        for slot_F, value in zip(slots[starts[self._rank] :], own, strict=False):
            vectors.write_for_others(value, slot_F, self._rank)
        self._wait()
        self._may_be_read.add("slots")
        for rank, (start, places) in enumerate(zip(starts, blocks, strict=False)):
            values = own if rank == self._rank else slots[start:]
            for (first, size), value in zip(places, values, strict=False):
                tree.push(Block(first, size, vectors.own_of(value, self._rank)))
        return vectors.without_unused(tree.total())

    def all_have_read(self) -> None:
        """Take note that all processes have waited for one another since they last read."""
        self._may_be_read.clear()

    def gather(self, own: Sequence[Tensor], lengths: Sequence[int], *, first: int) -> list[Tensor]:
        """Return a vector of each process; they are valid until the next call of any method.

        Args:
            own: what this process's is joined of.
            lengths: of all.
            first: place of the first number; they overwrite what lies from there.
        """
        if "gathered" in self._may_be_read:
            self._wait()
        _, *found = self.numbers_M[: first + sum(lengths)].split([first, *lengths])
        if own:
            torch.cat(list(own), out=found[self._rank])
        self._wait()
        self._may_be_read.add("gathered")
        return found

    def _wait(self) -> None:
        self._wait_for_all()
        self.all_have_read()


def offered(numbers: int) -> tuple[mmap.mmap, int, str] | None:
    """Make memory for other processes.

    Returns:
        The memory, the descriptor to close once the others have it, and what they need to open it; None: this system
        cannot, or has too little of it.
    """
    size = _MARK + numbers * _BYTES
    # Linux would not refuse what it does not have: it would kill processes, those of others as well.
    if size > SHARE_OF_MEMORY * free_memory():
        return None
    try:
        descriptor = os.memfd_create("thalweg")
    except (AttributeError, OSError):  # Linux alone has it
        return None
    try:
        os.posix_fallocate(descriptor, 0, size)  # now, while it is known to be free
        memory = mmap.mmap(descriptor, size)
    except OSError:
        os.close(descriptor)
        return None
    memory[:_MARK] = mark = secrets.token_bytes(_MARK)
    return memory, descriptor, f"{os.getpid()} {descriptor} {mark.hex()}"


def opened(offer: str, numbers: int) -> mmap.mmap | None:
    """Open the memory of another process; None: it is on another machine, or in a container of its own."""
    pid, descriptor, mark = offer.split() if offer else ("", "", "")
    with suppress(OSError, ValueError):
        with Path(f"/proc/{pid}/fd/{descriptor}").open("r+b") as file:
            memory = mmap.mmap(file.fileno(), _MARK + numbers * _BYTES)
        if memory[:_MARK].hex() == mark:
            return memory
    return None
