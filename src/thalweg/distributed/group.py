"""One process among several of one training: sums in a fixed order, and sentences where torch would wait or crash.

A store of torch (TCPStore) holds short texts: who is here, what the first process has prepared, who has failed.
Tensors travel by one collective, `all_to_all`: each process sums a part of the vector, then all exchange the parts.
Processes of one machine do the same in memory that they share.

Shape suffixes: F numbers of a vector, P numbers of one part of it, K blocks of one process.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed import PrefixStore  # pyright: ignore[reportPrivateImportUsage] - torch's public name

from thalweg.data.sharding import Block, Tree, blocks_of, of_process
from thalweg.distributed.heart import Heart
from thalweg.distributed.memory import SharedMemory, offered, opened
from thalweg.distributed.team import Heard, Team
from thalweg.errors import EndedElsewhereError, ProcessLostError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from thalweg.distributed.team import Value, Vectors

_LOOK_S = 0.05  # between two looks into the store
_AGREED = 3  # numbers of a message that all agree on; one of each process follows, its photos per second
_ENOUGH = 0.9  # of the patience: whoever has waited so long has met silence, not a broken connection
_GRACE_S = 2.0  # for the others to notice as well that one is missing


class Group(Team):
    """One process among several.

    Args:
        rank: number of this process, from 0.
        processes: how many there are.
        store: holds what the processes tell one another.
        patience: seconds that a process waits for another.
        attempt: how often torchrun has started the processes again.
        local_rank: number of this process on its machine.

    Attributes:
        device: holds the vectors that are summed.
    """

    def __init__(
        self, rank: int, processes: int, store: Any, *, patience: float, attempt: int = 0, local_rank: int = 0
    ) -> None:
        super().__init__()
        self.rank, self.processes, self.local_rank, self.attempt = rank, processes, local_rank, attempt
        self.patience = patience
        self._forever = store  # what outlasts a restart
        self._store = PrefixStore(f"thalweg/{attempt}", store)
        self._heart = Heart(PrefixStore(f"thalweg/{attempt}", store.clone()), rank, patience)
        self.device = torch.device("cpu")
        self._spread_count = 0
        self._lent: Tensor | None = None
        self._memory: SharedMemory | None = None
        self._memories = 0  # that were asked for
        self._has_no_memory = False
        self._room = range(0)  # for what is gathered, in that memory
        self._heard: Tensor | None = None
        self._arrived: torch.cuda.Event | None = None
        self.message = [0.0] * (_AGREED + processes)

    def meet(self) -> None:
        """Connect all processes, and wait until all are there.

        Raises:
            ProcessLostError: some did not come in time; it names them.
        """
        self.live()
        self._wait_for({f"host/{rank}": rank for rank in range(self.processes)})
        own_gpu = self.local_rank < torch.cuda.device_count()  # without, as on CPUs, it trains on the processor
        if own_gpu:
            torch.cuda.set_device(self.local_rank)
        with self._waiting():
            dist.init_process_group(
                "cpu:gloo,cuda:nccl" if own_gpu else "gloo",
                store=PrefixStore("group", self._store),
                rank=self.rank,
                world_size=self.processes,
                timeout=timedelta(seconds=self.patience),
            )

    def live(self) -> None:
        """Say who is here, and from now on that this process lives."""
        self._store.set(f"host/{self.rank}", socket.gethostname())
        self._heart.start()

    def post(self, name: str, text: str) -> None:
        """Leave a text for the others."""
        self._store.set(f"post/{name}/{self.rank}", text)

    def read(self, name: str, *, of: Sequence[int]) -> list[str]:
        """Return the texts that some processes leave; wait as long as they live."""
        names = {f"post/{name}/{rank}": rank for rank in of}
        self._wait_for(names, living=True)
        return [self._store.get(one).decode() for one in names]

    def remember(self, name: str, text: str | None = None) -> str | None:
        """Return a text that outlasts a restart of the processes, after it is set if it is given."""
        if text is not None:
            self._forever.set(f"thalweg/{name}", text)
        return self._forever.get(f"thalweg/{name}").decode() if self._forever.check([f"thalweg/{name}"]) else None

    def fail(self, code: int) -> bool:
        """Tell the others that this process says what is wrong, and ends with an exit code.

        Returns:
            False if another process was faster.
        """
        own = f"{self.rank} {code}"
        with suppress(RuntimeError):
            return self._store.compare_set("failed", "", own) == own.encode()
        return True

    def until_said(self, code: int) -> EndedElsewhereError:
        """As in `Team`; who ended at once would cut the connection that the first still reads from."""
        deadline = time.monotonic() + self.patience
        with suppress(RuntimeError):
            while not self._store.check(["failed"]) and time.monotonic() < deadline:
                time.sleep(_LOOK_S)
        return EndedElsewhereError("distributed.ended_elsewhere", code=code)

    def say(self, heard: Heard) -> None:
        """As in `Team`; only the first process's time counts."""
        times = (heard.seconds, heard.reserve) if self.first else (0.0, 0.0)
        self.message[:_AGREED] = [float(heard.stop), *times]

    def worked(self, photos: int, seconds: float) -> None:
        """As in `Team`."""
        self.message[_AGREED + self.rank] = photos / max(seconds, 1e-9)

    def hear(self, message: Tensor) -> None:
        """As in `Team`; what is on a GPU comes without waiting for it."""
        if message.device.type == "cpu":
            self._heard = message.clone()
            return
        self._heard = message.to("cpu", non_blocking=True)
        self._arrived = torch.cuda.Event()
        self._arrived.record()

    @property
    def rates(self) -> list[float]:
        """As in `Team`."""
        return [] if self._heard is None else self._heard[_AGREED:].tolist()

    @property
    def heard(self) -> Heard | None:
        """As in `Team`; before the first step, the time is 0."""
        if self._heard is None:
            return Heard(stop=False, seconds=0.0, reserve=0.0)
        if self._arrived is not None:  # of the step before: what is waited for is nearly there
            self._arrived.synchronize()
        stop, seconds, reserve = self._heard[:_AGREED].tolist()
        return Heard(stop > 0, seconds, reserve)

    @torch.no_grad()
    def total(self, tree: Tree[Value], shards: int, vectors: Vectors[Value]) -> Value:
        """As in `Team`: each process sums one part of the vector over all blocks, in the order of the one tree."""
        blocks = [blocks_of(of_process(shards, rank, self.processes)) for rank in range(self.processes)]
        counts = list(map(len, blocks))
        values = [block.value for block in tree.blocks]
        tree.blocks.clear()
        memory = self._memory_for((1 + sum(counts)) * vectors.length)
        if memory is not None and vectors.only_own:
            self._room = range(vectors.length)  # the sum lies behind
            return memory.total_of_own(tree, values, blocks, vectors)
        own = [vectors.pack(value) for value in values]
        if memory is not None:
            self._room = range(vectors.length, memory.size)
            self._lent = memory.total(own, blocks, vectors)
            return vectors.parted(self._lent)
        part = vectors.length // self.processes
        if len(own) == 1:
            sent = own[0]
        else:
            views = [value.view(self.processes, 1, part) for value in own]
            sent = torch.cat(views, dim=1).flatten() if views else torch.empty(0, device=self.device)
        received = torch.empty(sum(counts) * part, device=self.device)
        self._swap(received, sent, [count * part for count in counts], [len(own) * part] * self.processes)
        sums: Tree[Tensor] = Tree(lambda left_P, right_P: left_P.add_(right_P))
        parts = iter(received.view(-1, part))
        for first, size in chain.from_iterable(blocks):
            sums.push(Block(first, size, next(parts)))
        whole = own[0] if own else vectors.new()
        for spare in own[1:]:
            vectors.give_back(spare)
        self._swap(whole, sums.total().repeat(self.processes), [part] * self.processes, [part] * self.processes)
        self._lent = whole
        return vectors.parted(whole)

    def take_back(self, vectors: Vectors[Any]) -> None:
        """As in `Team`."""
        if self._lent is not None:
            vectors.give_back(self._lent)
        self._lent = None

    def gather(self, own: Sequence[Tensor], lengths: Sequence[int]) -> list[Tensor]:
        """As in `Team`."""
        are_float = all(one.dtype == torch.float32 for one in own)
        if self._memory is not None and sum(lengths) <= len(self._room) and are_float:
            return self._memory.gather(own, lengths, first=self._room.start)
        own_F = torch.cat(list(own)) if own else torch.empty(0, device=self.device)
        received = torch.empty(sum(lengths), dtype=own_F.dtype, device=own_F.device)
        self._swap(received, own_F.repeat(self.processes), list(lengths), [len(own_F)] * self.processes)
        return list(received.split(list(lengths)))

    def wait(self) -> None:
        """As in `Team`."""
        self._wait_for_all()
        if self._memory is not None:
            self._memory.all_have_read()

    def numbers(self, count: int) -> Tensor | None:
        """As in `Team`."""
        if self._has_no_memory or self.device.type != "cpu":
            return None
        memory = self._met_in_memory(count)
        return None if memory is None else memory.numbers_M[:count]

    def spread(self, content: bytes | None) -> bytes:
        """As in `Team`; the others wait as long as the first process works and lives."""
        self._spread_count += 1
        name = f"spread/{self._spread_count}"
        if content is not None:
            self._store.set(name, str(len(content)))
            given = torch.frombuffer(bytearray(content), dtype=torch.uint8) if content else torch.empty(0)
        else:
            self._wait_for({name: 0}, living=True)
            given = torch.empty(int(self._store.get(name)), dtype=torch.uint8)
        if len(given):
            with self._waiting():
                dist.broadcast(given, 0)
        return given.numpy().tobytes()

    def leave(self) -> None:
        """As in `Team`."""
        self._heart.stop()
        if dist.is_initialized():
            dist.destroy_process_group()

    @property
    def shares_memory(self) -> bool:
        """Whether sums are made in memory that all processes share; False before the first."""
        return self._memory is not None

    def _memory_for(self, numbers: int) -> SharedMemory | None:
        """Return memory of all processes with room for so many numbers; None: they have none."""
        if self._has_no_memory or self.device.type != "cpu":
            return None
        if self._memory is None or numbers > self._memory.size:
            self._memory = self._met_in_memory(numbers)
            self._has_no_memory = self._memory is None
        return self._memory

    def _met_in_memory(self, numbers: int) -> SharedMemory | None:
        """Make memory that all processes see, if all are on one machine."""
        self._memories += 1
        name, offer = f"memory/{self._memories}", offered(numbers) if self.first else None
        if self.first:
            self.post(name, offer[2] if offer else "")
        memory = (offer and offer[0]) if self.first else opened(self.read(name, of=[0])[0], numbers)
        self.post(f"{name}/seen", "no" if memory is None else "yes")
        seen = self.read(f"{name}/seen", of=range(self.processes))
        if offer is not None:
            os.close(offer[1])
        if memory is None or "no" in seen:
            return None
        return SharedMemory(memory, self.rank, self.processes, self._wait_for_all)

    def _wait_for_all(self) -> None:
        with self._waiting():
            dist.barrier()

    def _swap(self, received: Tensor, sent: Tensor, receives: list[int], sends: list[int]) -> None:
        with self._waiting():
            dist.all_to_all_single(received, sent, receives, sends)

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Turn what torch raises when a process is gone or late into an error that names it."""
        began = time.monotonic()
        try:
            yield
        except RuntimeError as error:  # torch.distributed's errors are RuntimeErrors
            raise self._explained(time.monotonic() - began) from error

    def _wait_for(self, names: dict[str, int], *, living: bool = False) -> None:
        """Wait until texts are there.

        Args:
            names: of the texts, to the processes that leave them.
            living: whether to wait for as long as those processes live, not for as long as patience allows.

        Raises:
            ProcessLostError: they did not come in time.
        """
        deadline = time.monotonic() + self.patience
        with self._waiting():
            while not self._store.check(list(names)):
                if self._store.check(["failed"]):
                    raise self.ended()
                missing = [rank for name, rank in names.items() if not self._store.check([name])]
                lost = [rank for rank in missing if not self._heart.lives(rank)] if living else missing
                if lost and (living or time.monotonic() > deadline):
                    raise self._missing(lost, "silent")
                time.sleep(_LOOK_S)

    def _explained(self, seconds: float) -> ProcessLostError | EndedElsewhereError:
        """Find out which processes are missing: those that do not notice that something is missing.

        Args:
            seconds: that this process has waited.
        """
        try:
            self._store.set(f"waiting/{self.rank}", "")
            for _ in range(round(_GRACE_S / _LOOK_S)):
                if self._store.check(["failed"]):
                    return self.ended()
                time.sleep(_LOOK_S)
            missing = [rank for rank in range(self.processes) if not self._store.check([f"waiting/{rank}"])]
            return self._missing(missing, "silent" if seconds > _ENOUGH * self.patience else "gone")
        except RuntimeError:
            return ProcessLostError("distributed.store_gone", address=os.environ.get("MASTER_ADDR", ""))

    def ended(self) -> EndedElsewhereError:
        """Return the error of a process that ends because another has said what is wrong."""
        return EndedElsewhereError("distributed.ended_elsewhere", code=int(self._store.get("failed").split()[1]))

    def _missing(self, ranks: list[int], how: str) -> ProcessLostError | EndedElsewhereError:
        """Name the processes; only the first of those that are left says so."""
        if self.rank != next(rank for rank in range(self.processes + 1) if rank not in ranks):
            return EndedElsewhereError("distributed.ended_elsewhere", code=ProcessLostError.exit_code)
        hosts = [
            f"{rank} ({self._store.get(f'host/{rank}').decode()})" if self._store.check([f"host/{rank}"]) else f"{rank}"
            for rank in ranks
        ]
        if not ranks:
            return ProcessLostError("distributed.lost")
        return ProcessLostError(f"distributed.{how}", ranks=joined(hosts), seconds=self.patience)
