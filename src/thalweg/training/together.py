"""How the processes of one training begin: the first prepares the run, the others take it from there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from thalweg import __version__
from thalweg.data.addresses import address_of
from thalweg.data.parallel import cores
from thalweg.data.sharding import cut
from thalweg.distributed.joining import usual_shards
from thalweg.errors import DataError, EndedElsewhereError, RunError, ThalwegError, UsageError
from thalweg.runs import Run
from thalweg.runs.config import SettledConfig
from thalweg.training.loop import TrainingLoop
from thalweg.training.machine import ready_machine, settled_device, usable_threads


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thalweg.distributed.group import Group
    from thalweg.runs import TrainingConfig
    from thalweg.training.progress import Listener


@contextmanager
def explaining(group: Group) -> Iterator[None]:
    """Connect the processes, and let all end when one of them has said what is wrong."""
    try:
        group.meet()
        yield
    except EndedElsewhereError:
        raise
    except ThalwegError as error:
        group.fail(error.exit_code)
        raise


def sharded(config: TrainingConfig, group: Group, listener: Listener) -> TrainingConfig:
    """Return a configuration whose batches have a shard for each process.

    Raises:
        UsageError: there are more processes than shards, or than photos in a batch; folds are trained one by one; the
            fit of a classifier has no batches.
    """
    if config.folds and config.fold is None:
        raise UsageError("distributed.folds", folds=config.folds)
    if config.only_head:
        raise UsageError("distributed.only_head")
    if config.shards is None:
        config = replace(config, shards=usual_shards(config.batch_size, group.processes))
        listener.note("distributed.shards_chosen", shards=config.shards, batch_size=config.batch_size)
    check_shards(config, config.batch_size, group.processes)
    return config


def check_shards(config: TrainingConfig, photos: int, processes: int) -> None:
    """Refuse more processes than shards of a batch.

    Args:
        config: of the run.
        photos: in the largest batch.
        processes: how many there are.
    """
    shards = len(cut(photos, config.shards or 1))
    if processes > shards:
        raise UsageError("distributed.too_many_processes", processes=processes, shards=shards, photos=photos)


def begin_together(
    group: Group, photos: Path | str | None, begin: Callable[[], TrainingLoop], listener: Listener
) -> TrainingLoop:
    """Begin or resume a run in all processes.

    Args:
        group: the processes.
        photos: where this process finds the photos; None: where the first one does.
        begin: opens the run on the first process, which alone reads and writes its folder.
        listener: receives the progress on the first process.

    Raises:
        UsageError: another process has another version or other photos, or there are too many processes.
    """
    if group.first:
        loop = begin()
        check_shards(loop.config, loop.batches.count(0), group.processes)
        if group.processes > cores():
            listener.note("distributed.few_cores", processes=group.processes, cores=cores())
        group.post("run", json.dumps(_facts(loop.run)))
    else:
        (facts,) = group.read("run", of=[0])
        loop = _loop_of(json.loads(facts), group, photos)
    group.device = loop.device
    group.post("ready", "")
    group.read("ready", of=range(group.processes))
    return loop


def _facts(run: Run) -> dict[str, Any]:
    return {
        "versions": _versions(),
        "path": str(run.path),
        "config": run.config.to_dict(),
        "data": run.data,
        "environment": run.environment,
    }


def _loop_of(facts: dict[str, Any], group: Group, photos: Path | str | None) -> TrainingLoop:
    """Return the loop of a process that is not the first, on the photos that it finds itself."""
    for name, version in _versions().items():
        if version != facts["versions"][name]:
            there = facts["versions"][name]
            raise UsageError("distributed.other_version", rank=group.rank, name=name, here=version, there=there)
    config = SettledConfig.from_dict(facts["config"])
    data = facts["data"] if photos is None else {**facts["data"], "path": address_of(photos)}
    run = Run(Path(facts["path"]), config, data, facts["environment"])
    settled_device(run.environment["device"])
    ready_machine(1)
    try:
        cache = run.open_photos()
    except (DataError, RunError) as error:
        raise UsageError("distributed.other_photos", rank=group.rank, reason=error) from error
    return TrainingLoop(run, cache, threads=config.threads or usable_threads(), team=group)


def _versions() -> dict[str, str]:
    return {"thalweg": __version__, "torch": str(torch.__version__)}
