"""From torchrun's environment to a team."""

from __future__ import annotations

import math
import os
from datetime import timedelta
from functools import cache, partial
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Final

from thalweg.errors import NotMetError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed import Store  # pyright: ignore[reportPrivateImportUsage] - torch's public name

    from thalweg.distributed.group import Group


PATIENCE: Final = "THALWEG_PATIENCE"  # environment variable: seconds that a process waits for another
_PATIENCE_S = 600.0
_GRACE_S = 1.0  # for torch to say why itself
_USUAL_PHOTOS = 16  # of a shard, at least, if there are so many
_RANK, _SIZE, _ADDRESS, _PORT = "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"  # torchrun's names


def is_one_of_many() -> bool:
    """Whether torchrun, or whatever sets its variables, has started this process as one among several."""
    return os.environ.get(_SIZE, "1") != "1"


def is_first() -> bool:
    """Whether this process is alone, or the first."""
    return not is_one_of_many() or os.environ.get(_RANK) == "0"


def speaks() -> bool:
    """Whether this process says what is wrong: the first, and whichever has met the others.

    Before they meet, all of them find the same wrong option.
    """
    return is_first() or bool(join.cache_info().currsize)


@cache
def join() -> Group | None:
    """Join the other processes; the answer is the same for as long as this process lives. None: it is alone.

    Raises:
        UsageError: torchrun's variables are incomplete.
        NotMetError: another process has the same number or the same port, or the first one cannot be reached.
        TrainingError: the other processes did not come in time.
    """
    if not is_one_of_many():
        return None
    from torch.distributed import TCPStore  # pyright: ignore[reportPrivateImportUsage] - torch's public name

    from thalweg.distributed.group import Group

    numbers = {name: _number(name) for name in (_RANK, _SIZE, _PORT)}
    rank, processes, port = numbers[_RANK], numbers[_SIZE], numbers[_PORT]
    address = os.environ.get(_ADDRESS, "")
    if not address or rank >= processes:
        raise UsageError("distributed.bad_variable", name=_RANK if address else _ADDRESS, value=rank if address else "")
    by_torchrun = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    patience = _patience()
    is_host = rank == 0 and not by_torchrun
    time = timedelta(seconds=patience)
    connect = partial(TCPStore, address, port, processes, is_host, time, wait_for_workers=False, multi_tenant=False)
    try:
        store = _within(connect, patience)
    except (RuntimeError, TimeoutError) as error:
        key = "distributed.port_taken" if is_host else "distributed.no_store"
        raise NotMetError(key, address=address, port=port, seconds=patience, rank=rank) from error
    if not by_torchrun and store.add(f"thalweg/rank/{rank}", 1) > 1:
        raise NotMetError("distributed.rank_taken", rank=rank, address=address, port=port)
    attempt, local = (_number(name, usual="0") for name in ("TORCHELASTIC_RESTART_COUNT", "LOCAL_RANK"))
    return Group(rank, processes, store, patience=patience, attempt=attempt, local_rank=local)


def _within(connect: Callable[[], Store], seconds: float) -> Store:
    """Connect to a store; torch waits for ever for a program that takes the connection and never answers.

    Raises:
        TimeoutError: it takes longer than that.
        RuntimeError: it fails.
    """
    done: Queue[Store | RuntimeError] = Queue()

    def run() -> None:
        try:
            done.put(connect())
        except RuntimeError as error:
            done.put(error)

    Thread(target=run, name="thalweg-connect", daemon=True).start()  # torch cannot be interrupted
    try:
        found = done.get(timeout=seconds + _GRACE_S)
    except Empty:
        raise TimeoutError from None
    if isinstance(found, RuntimeError):
        raise found
    return found


def usual_shards(batch_size: int, processes: int) -> int:
    """Return a number of shards for a batch: as many as 16 photos in each allow, but one for each process.

    It is a power of two, so that 1, 2, 4, ... processes have equally many, and batch norm has enough photos.

    Example:
        >>> usual_shards(64, 2), usual_shards(64, 6), usual_shards(1024, 8)
        (4, 8, 64)
    """
    affordable = 2 ** int(math.log2(max(1, batch_size // _USUAL_PHOTOS)))
    return max(affordable, 2 ** math.ceil(math.log2(processes)))


def _patience() -> float:
    """Return the seconds that a process waits for another."""
    value = os.environ.get(PATIENCE) or str(_PATIENCE_S)
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError("distributed.bad_patience", name=PATIENCE, value=value)
    return seconds


def _number(name: str, usual: str = "") -> int:
    value = os.environ.get(name, usual)
    if not value.isdecimal():
        raise UsageError("distributed.bad_variable", name=name, value=value)
    return int(value)
