"""The processes of a training that share a disk: each sees the files that the others write to its folder of caches.

It is tried, not asked: a folder may be mounted from one server on all machines, or have one path and another content on
each. Of the processes that see one another's file, the one with the smallest number is the first.
"""

from __future__ import annotations

import json
import secrets
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from thalweg.data.parallel import cores


if TYPE_CHECKING:
    from pathlib import Path

    from thalweg.distributed.group import Group

_SEEN: Final = "seen"  # the folder of the files to be seen


class DiskGroup:
    """The processes that build a cache with this one (`thalweg.data.building.Builders`); for one build.

    All processes of the training make theirs at once.

    Args:
        group: all processes of the training.
        folder: where this one keeps caches.

    Attributes:
        rank: number of this process among those that share its disk, from 0.
        processes: how many they are.
        workers: threads of each, so that those of one machine have a thread for each core together.

    Raises:
        ProcessLostError: a process is gone.
    """

    def __init__(self, group: Group, folder: Path) -> None:
        self._group = group
        firsts, machines = _firsts_of(group, folder / _SEEN)
        self._ranks = [rank for rank, first in enumerate(firsts) if first == firsts[group.rank]]
        self.rank, self.processes = self._ranks.index(group.rank), len(self._ranks)
        self.workers = max(1, cores() // machines.count(machines[group.rank]))

    def agree(self, text: str) -> bool:
        """As in `Builders`."""
        self.tell("agree", text)
        return self._group.read("cache/agree", of=[0]) == [text]

    def tell(self, name: str, text: str) -> None:
        """As in `Builders`."""
        self._group.post(f"cache/{name}", text)

    def hear(self, name: str, rank: int) -> str:
        """As in `Builders`."""
        return self._group.read(f"cache/{name}", of=[self._ranks[rank]])[0]


def _firsts_of(group: Group, folder: Path) -> tuple[list[int], list[str]]:
    """Return, for each process, the first one whose file it sees, and the name of its machine.

    A name is looked up only after its file was written: a network's file system may remember for a while that there was
    none.
    """
    if group.first:
        group.post("disk/token", secrets.token_hex(8))
    (token,) = group.read("disk/token", of=[0])
    own = folder / f"{token}-{group.rank}"
    try:
        with suppress(OSError):  # a folder that only others may write: what is in it is read
            folder.mkdir(parents=True, exist_ok=True)
            own.touch()
        _all_have(group, "written")
        first = next((rank for rank in range(group.rank) if (folder / f"{token}-{rank}").exists()), group.rank)
        found = _told_by_all(group, [first, socket.gethostname()])
    finally:
        with suppress(OSError):
            own.unlink(missing_ok=True)
    return [first for first, _ in found], [machine for _, machine in found]


def _all_have(group: Group, name: str) -> None:
    """Wait until all processes have come here."""
    group.post(f"disk/{name}", "")
    if group.first:
        group.read(f"disk/{name}", of=range(group.processes))
        group.post(f"disk/{name}/all", "")
    group.read(f"disk/{name}/all", of=[0])


def _told_by_all(group: Group, own: list[int | str]) -> list[tuple[int, str]]:
    """Return what each process tells."""
    group.post("disk/first", json.dumps(own))
    if group.first:
        told = group.read("disk/first", of=range(group.processes))
        group.post("disk/firsts", f"[{','.join(told)}]")
    return json.loads(group.read("disk/firsts", of=[0])[0])
