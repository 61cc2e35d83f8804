"""How the processes of one training begin: the first prepares the run, the others take it from there."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PIL
import torch

from thalweg import __version__
from thalweg._files import cache_folder
from thalweg.data.addresses import address_of, without_password
from thalweg.data.parallel import cores
from thalweg.data.sharding import cut
from thalweg.distributed.disk import DiskGroup
from thalweg.distributed.joining import usual_shards
from thalweg.errors import BadImageError, DataError, EndedElsewhereError, RunError, ThalwegError, UsageError
from thalweg.runs import Run
from thalweg.runs.config import SettledConfig
from thalweg.runs.photos import decode_photos
from thalweg.training.loop import TrainingLoop
from thalweg.training.machine import ready_machine, settled_device, usable_threads


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from thalweg.data import Cache
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
        if group.fail(error.exit_code):
            raise
        raise group.ended() from error  # another was faster: one sentence is enough


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
        loop = _loop_of(group, photos)
    group.device = loop.device
    group.post("ready", "")
    group.read("ready", of=range(group.processes))
    return loop


def announce(group: Group, run: Run) -> DiskGroup:
    """Tell the other processes which photos to open, and how; return those that decode them with the first one.

    Args:
        group: the processes; this is the first of them.
        run: the run; of a new one, `data` has what is known before any photo is decoded.
    """
    group.post("photos", json.dumps(_facts(run)))
    return DiskGroup(group, cache_folder())


def _facts(run: Run) -> dict[str, Any]:
    return {
        "versions": _versions(),
        "path": str(run.path),
        "config": run.config.to_dict(),
        "data": run.data,
        "environment": run.environment,
    }


def _loop_of(group: Group, photos: Path | str | None) -> TrainingLoop:
    """Return the loop of a process that is not the first, on the photos that it finds itself."""
    cache = _photos_of(group, photos)
    (told,) = group.read("run", of=[0])
    run = _run_of(json.loads(told), photos)
    if cache.fingerprint != run.data["fingerprint"]:
        reason = RunError("runs.photos_changed", path=without_password(run.data["path"]), run=run.path)
        raise UsageError("distributed.other_photos", rank=group.rank, reason=reason)
    settled_device(run.environment["device"])
    ready_machine(1)
    return TrainingLoop(run, cache, threads=run.config.threads or usable_threads(), team=group)


def _photos_of(group: Group, photos: Path | str | None) -> Cache:
    """Open the photos that the first process has announced, and decode those of them that fall to this one."""
    (told,) = group.read("photos", of=[0])
    facts = json.loads(told)
    for name, version in _versions().items():
        if version != facts["versions"][name]:
            there = facts["versions"][name]
            raise UsageError("distributed.other_version", rank=group.rank, name=name, here=version, there=there)
    run = _run_of(facts, photos)
    rendering = run.rendering if "fingerprint" in run.data else None  # a new run's follows from the photos
    try:
        images = run.find_photos()
        builders = DiskGroup(group, cache_folder())
        return decode_photos(images, run.config, run.data["stored"], rendering=rendering, builders=builders)
    except BadImageError:
        raise
    except DataError as error:
        raise UsageError("distributed.other_photos", rank=group.rank, reason=error) from error


def _run_of(facts: dict[str, Any], photos: Path | str | None) -> Run:
    data = facts["data"] if photos is None else {**facts["data"], "path": address_of(photos)}
    return Run(Path(facts["path"]), SettledConfig.from_dict(facts["config"]), data, facts["environment"])


def _versions() -> dict[str, str]:
    """What steps and pixels depend on: Pillow 13 weighs tall photos in another order than 12 does."""
    return {"thalweg": __version__, "torch": str(torch.__version__), "pillow": PIL.__version__}
