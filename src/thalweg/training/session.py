"""A training session: start or resume a run, and write its results."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from thalweg import models
from thalweg._files import hold, is_held, is_part, remove_abandoned, write_bytes
from thalweg.data.addresses import short_name
from thalweg.distributed.joining import join
from thalweg.distributed.team import Team
from thalweg.errors import ProcessLostError, RunError, StorageError, TrainingError, UsageError
from thalweg.loggers.live import opened
from thalweg.runs import Run, TrainingConfig, files
from thalweg.runs.config import training_options
from thalweg.runs.options import flag_of
from thalweg.training.evaluation import keep_outputs, write_summary
from thalweg.training.loop import TrainingLoop
from thalweg.training.machine import give_back, ready_machine, settled_device, usable_threads
from thalweg.training.prepare import Plan, Preparation, initial_weights
from thalweg.training.printing import heard
from thalweg.training.progress import Clock, Listener
from thalweg.training.rate import with_found_rate
from thalweg.training.request import ENDS, extended, resolve
from thalweg.training.together import announce, begin_together, explaining, sharded


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from thalweg.distributed.group import Group
    from thalweg.loggers.live import Live

FINISHED: Final = ("done", "budget", "patience")  # how a run stops that has nothing left to do
# What a process that is killed while it prepares a run may leave in the folder.
_BEFORE_CONFIG: Final = (files.SPLIT, files.APPLIED, files.CHECK, files.FINDINGS, files.RATE_SWEEP, files.CLASSES)


def train(
    photos: Path | str,
    config: TrainingConfig | None = None,
    out: Path | str | None = None,
    *,
    recipe: str | None = None,
    listener: Listener | None = None,
    verbose: bool | None = None,
    log: Live | str | Iterable[str] = (),
    **overrides: Any,
) -> Run:
    """Train a classifier and write a run.

    Args:
        photos: a folder, a table or an archive, as `thalweg.open_images` takes them; or `builtin`.
        config: the configuration; None: resolved from `recipe` and `overrides`, as on the command line.
        out: the run's folder, which must be empty or new; None: the first unused name below `runs/`.
        recipe: a name from `thalweg.training.RECIPES`; None: `standard`, or what a `budget` affords.
        listener: receives the progress.
        verbose: True: show the progress, in a notebook as a chart that grows, elsewhere in lines on stderr, as the
            command line does. False: show nothing. None: as True in a notebook and at Python's prompt, as False in a
            program.
        log: loggers to send the run to, such as `"tensorboard:tb"`, see `docs/loggers.md`. If one fails, the listener
            gets a note, from another thread, and the training goes on.
        **overrides: fields of `TrainingConfig`, as values or as the command line writes them (`budget="10m"`).

    Returns:
        The run; its `summary()` holds the results.

    Raises:
        UsageError: the folder is taken, or the configuration is invalid.
        MissingExtraError: the library of a logger is not installed.
        DataError: the photos cannot be used.
        TrainingError: the loss became NaN or infinite; the last good checkpoint is kept.
        StorageError: a file cannot be written.

    Example:
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> run = train("builtin", recipe="quick", budget="1s", out=Path(mkdtemp()) / "run")  # no more than a try
        >>> run.summary()["stopped"]
        'budget'
    """
    with heard(listener, verbose) as told:
        if config is None:
            config = resolve(recipe, overrides, photos=photos, note=told.note)
        elif recipe is not None or overrides:
            raise UsageError("training.config_alone")
        if config.folds and config.fold is None:
            raise UsageError("training.folds_apart", folds=config.folds)
        return _train(photos, config, out, told, log)


def _train(
    photos: Path | str,
    config: TrainingConfig,
    out: Path | str | None,
    listener: Listener,
    log: Live | str | Iterable[str],
) -> Run:
    """Train alone, or as one of several processes."""
    group = join()
    if group is None:
        with opened(log, listener.note) as loggers:
            return _finish(_begun(photos, config, out, listener), listener, loggers)
    with explaining(group), opened(log, listener.note) as loggers:
        settled = sharded(config, group, listener) if group.first else config

        def begin() -> TrainingLoop:
            known = group.remember("run")
            if known is not None and (Path(known) / files.CONFIG).exists():  # torchrun has started us again
                return _reopened(known, listener, group)
            if known is not None:
                for name in _BEFORE_CONFIG:
                    (Path(known) / name).unlink(missing_ok=True)
            return _begun(photos, settled, known or out, listener, group)

        return _finish(begin_together(group, photos, begin, listener), listener, loggers)


def _begun(
    photos: Path | str, config: TrainingConfig, out: Path | str | None, listener: Listener, group: Group | None = None
) -> TrainingLoop:
    """Prepare a run in its folder and return its loop.

    Raises:
        UsageError: the folder is taken, or the configuration is invalid.
        DataError: the photos cannot be used.
    """
    began = time.monotonic()
    plan = Plan.of(photos, config, listener)
    with claimed(out, photos) as path:
        if group is not None:
            group.remember("run", str(path))
        builders = None if group is None else announce(group, Run(path, plan.config, plan.facts()))
        prepared = Preparation.of(plan, path, listener, builders)
        run, cache = prepared.run, prepared.cache
        if config.find_lr:
            run = with_found_rate(prepared, listener)
        run.write_split(cache.photos)
        if plan.images.corrections is not None:
            write_bytes(run.path / files.APPLIED, plan.images.corrections.content)
        run.write_json(files.CHECK, prepared.check.to_json())
        if prepared.check.has_more_than():
            prepared.check.write_csv(run.path / files.FINDINGS)
        run.save()  # last: a folder with config.toml is a run
    card = models.describe(run.config.model, size=run.config.size, classes=len(run.classes))
    listener.started(run.path, {"model": card, "choice": prepared.choice, "run": run})
    return TrainingLoop(run, cache, seconds_before=time.monotonic() - began, initial=prepared.initial, team=group)


def resume(
    path: Path | str,
    *,
    photos: Path | str | None = None,
    listener: Listener | None = None,
    verbose: bool | None = None,
    log: Live | str | Iterable[str] | None = None,
    **ends: Any,
) -> Run:
    """Resume a run from its last checkpoint; with `epochs` on the CPU, bit-identically to an uninterrupted run.

    With another end, the run goes on as if it had been started with that: the schedule, and what else follows the
    fraction of the run, are those of the new length from the next step on.

    Args:
        path: the run's folder.
        photos: where its photos are now, if they have moved; the run keeps the new place.
        listener: receives the progress.
        verbose: as for `train`.
        log: loggers, as for `train`; None: those that the training had before; `"none"`: none.
        **ends: `epochs`, `budget` or `patience`, to replace the run's, as values or as the command line writes them.

    Raises:
        RunError: the folder is not a run, is damaged or has another version, or its photos have changed.
        UsageError: an end is invalid, or the run is already past it.
        DataError: the photos are gone.
    """
    group = join()
    with heard(listener, verbose) as told:
        if group is None:
            with opened(log, told.note, before=[Path(path)]) as loggers:
                return _finish(_reopened(path, told, photos=photos, **ends), told, loggers)
        with explaining(group), opened(log, told.note, before=[Path(path)]) as loggers:
            loop = begin_together(group, photos, lambda: _reopened(path, told, group, photos=photos, **ends), told)
            return _finish(loop, told, loggers)


def _reopened(
    path: Path | str, listener: Listener, team: Group | None = None, *, photos: Path | str | None = None, **ends: Any
) -> TrainingLoop:
    """Reopen a run to go on with it, write what changes, and tell it."""
    before = Run.open(path)
    loop = reopen(path, photos=photos, listener=listener, team=team, **ends)
    run, state = loop.run, loop.state
    extends = run.config != before.config
    if extends:
        _check_end(loop, ends)
    if extends or run.data["path"] != before.data["path"]:
        if is_held(run.path / files.STEPS):
            raise RunError("training.in_use", run=run.path)
        run.save()
    stopped = run.summary().get("stopped")
    if extends:
        listener.note("training.extended", run=run.path, **_rates(loop, before))
    elif stopped in FINISHED:
        listener.note(f"training.was_{stopped}", run=run.path, epochs=state.epoch, steps=state.step)
    if extends or stopped not in FINISHED:
        listener.started(run.path, {"run": run, "resumed_at": state.step})
    return loop


def reopen(
    path: Path | str,
    *,
    photos: Path | str | None = None,
    listener: Listener | None = None,
    threads: int | None = None,
    team: Group | None = None,
    **ends: Any,
) -> TrainingLoop:
    """Reopen a run at its last checkpoint, with its photos, to resume or diagnose it.

    Args:
        path: the run's folder.
        photos: where its photos are now, if they have moved.
        listener: receives the progress of decoding.
        threads: CPU threads; None: the run's number, or with shards, whose bits do not depend on it, this machine's.
        team: the processes of the training; None: this one alone.
        **ends: as for `resume`.

    Raises:
        RunError: the folder is not a run, is damaged or has another version, or its photos have changed.
        UsageError: an end is invalid.
    """
    run = Run.open(path, photos=photos)
    run = replace(run, config=extended(run.config, ends))
    settled_device(run.environment["device"])
    if team is not None and not run.config.is_sharded:
        raise UsageError("distributed.not_sharded", run=path)
    own = (run.config.threads or usable_threads()) if run.config.is_sharded else run.environment["threads"]
    threads = int(threads or own)
    ready_machine(1 if run.config.is_sharded else threads)
    builders = None if team is None else announce(team, run)
    photos_of_run = run.open_photos(progress=(listener or Listener()).caching, builders=builders)
    if run.last.exists():
        loop = TrainingLoop(run, photos_of_run, threads=threads, team=team)
        loop.restore()
        return loop
    # it was killed before the first checkpoint
    return TrainingLoop(run, photos_of_run, initial=initial_weights(run), threads=threads, team=team)


def _check_end(loop: TrainingLoop, ends: Mapping[str, Any]) -> None:
    """Refuse an end that the run has already reached."""
    config, state = loop.run.config, loop.state
    if "epochs" in ends and config.epochs is not None and config.epochs <= state.epoch:
        raise UsageError("training.end_reached", run=loop.run.path, option="--epochs", done=state.epoch)
    if "budget" in ends and config.budget is not None and config.budget <= state.seconds:
        raise UsageError("training.end_reached", run=loop.run.path, option="--budget", done=f"{state.seconds:.0f} s")


def _rates(loop: TrainingLoop, before: Run) -> dict[str, Any]:
    """The old and the new end in words, and the learning rate of the next step beside that of the last."""
    position = Clock(
        loop.run.config, len(loop.batches), seconds_before=loop.state.seconds, first_step_at=loop.first_step_at
    ).schedule_position(loop.state.step)
    steps = before.steps()
    return {
        "was": _end_of(before.config),
        "now": _end_of(loop.run.config),
        "last": float(steps["lr"][-1]) if len(steps) else 0.0,
        "next": loop.run.config.lr * loop.schedule(*position, loop.state.valid_losses),
    }


def _end_of(config: TrainingConfig) -> str:
    """The end of a run as flags."""
    return " ".join(
        f"{flag_of(name)} {training_options()[name].show(getattr(config, name))}"
        for name in ENDS
        if getattr(config, name)
    )


@contextmanager
def claimed(out: Path | str | None, photos: Path | str) -> Iterator[Path]:
    """Claim a folder while a run is prepared; no two processes can claim the same one.

    The claim is a locked file in the folder; the lock ends with its process.

    Args:
        out: the folder, empty or new; None: the first unused one of `runs/NAME`, `runs/NAME-2`, ...
        photos: the photos; their name is NAME.

    Yields:
        The folder. It is removed at the end if nothing was written to it.

    Raises:
        UsageError: the folder is not empty, or another process has claimed it.
        StorageError: it cannot be created.
    """
    try:
        folder = new_folder(short_name(photos)) if out is None else Path(out)
        folder.mkdir(parents=True, exist_ok=True)
        taken = not _is_free(folder)
        claim = None if taken else (folder / files.CLAIM).open("ab")
    except OSError as error:
        raise StorageError("errors.cannot_write", path=out or "runs", reason=error.strerror or error) from error
    if claim is None or not hold(claim):
        raise UsageError("training.out_taken", path=folder)
    with claim:
        try:
            if not _is_free(folder):  # another process was faster and has already released its claim
                raise UsageError("training.out_taken", path=folder)
            remove_abandoned(folder)
            yield folder
        finally:
            with suppress(OSError):  # Windows cannot remove an open file
                (folder / files.CLAIM).unlink(missing_ok=True)
                folder.rmdir()  # only if it is empty


def new_folder(name: str) -> Path:
    """Create the first of `runs/NAME`, `runs/NAME-2`, ... that does not exist yet.

    Raises:
        OSError: it cannot be created.
    """
    parent = Path("runs")
    parent.mkdir(exist_ok=True)
    for number in count(1):
        folder = parent / ((name or "run") if number == 1 else f"{name or 'run'}-{number}")
        with suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise AssertionError("count does not end")


def _is_free(folder: Path) -> bool:
    try:
        return all(child.name == files.CLAIM or is_part(child.name) for child in folder.iterdir())
    except FileNotFoundError:  # whoever had claimed it failed, and removed it
        return False


def _finish(loop: TrainingLoop, listener: Listener, loggers: Live) -> Run:
    """Train to the end, then write the results of the kept weights: the first process alone, if there are several."""
    run, team = loop.run, loop.team
    if not team.first:
        loop.run_to_end(Listener())
        team.leave()
        return run
    for folder in (run.path, run.path / files.CHECKPOINTS, (run.path / files.STEPS).parent):
        remove_abandoned(folder)  # of a process that was killed while it wrote
    loggers.start(run.path)
    try:
        stopped = loop.run_to_end(listener)
        team.leave()
        loop.team = Team()
    except ProcessLostError:  # the processes may be started again
        raise
    except TrainingError as error:
        write_summary(run, loop.state, loop.seconds, "nan", scores={}, message=str(error))
        raise
    finally:
        give_back()
    if stopped == "interrupted" or not run.best.exists():
        write_summary(run, loop.state, loop.seconds, stopped, scores={})
        listener.ended(run, run.summary())
        return run
    kept = loop.use_best()
    scores = keep_outputs(run, loop.features("valid"), loop.cache.labels("valid"))
    chosen = {"temperature": scores["temperature"], "thresholds_C": scores.get("thresholds")}
    test = loop.evaluate("test", **chosen).to_dict() if loop.cache.is_labeled("test") else None
    scores = {"kept_epoch": kept, **scores, "test": test}
    write_summary(run, loop.state, loop.seconds, stopped, scores=scores)
    listener.ended(run, run.summary())
    return run
