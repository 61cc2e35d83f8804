"""A training session: start or resume a run, and write its results."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg import models
from thalweg._files import hold
from thalweg.errors import StorageError, TrainingError, UsageError
from thalweg.runs import Run, TrainingConfig, files
from thalweg.training.evaluation import keep_outputs, write_summary
from thalweg.training.loop import TrainingLoop
from thalweg.training.machine import give_back, ready_machine, settled_device
from thalweg.training.prepare import Plan, Preparation
from thalweg.training.printing import Printer
from thalweg.training.progress import Listener
from thalweg.training.rate import with_found_rate
from thalweg.training.request import resolve


if TYPE_CHECKING:
    from collections.abc import Iterator


def train(
    photos: Path | str,
    config: TrainingConfig | None = None,
    out: Path | str | None = None,
    *,
    recipe: str | None = None,
    listener: Listener | None = None,
    verbose: bool = False,
    **overrides: Any,
) -> Run:
    """Train a classifier and write a run.

    Args:
        photos: a folder, a table or an archive, as `thalweg.open_images` takes them; or `builtin`.
        config: the configuration; None: resolved from `recipe` and `overrides`, as on the command line.
        out: the run's folder, which must be empty or new; None: the first unused name below `runs/`.
        recipe: a name from `thalweg.training.RECIPES`; None: `standard`, or what a `budget` affords.
        listener: receives the progress.
        verbose: print the progress on stderr, as the command line does; without it, nothing is printed.
        **overrides: fields of `TrainingConfig`, as values or as the command line writes them (`budget="10m"`).

    Returns:
        The run; its `summary()` holds the results.

    Raises:
        UsageError: the folder is taken, or the configuration is invalid.
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
    began = time.monotonic()
    listener = listener or (Printer() if verbose else Listener())
    if config is None:
        config = resolve(recipe, overrides, photos=photos, note=listener.note)
    elif recipe is not None or overrides:
        raise UsageError("training.config_alone")
    if config.folds and config.fold is None:
        raise UsageError("training.folds_apart", folds=config.folds)
    plan = Plan.of(photos, config, listener)
    with claimed(out, photos) as path:
        prepared = Preparation.of(plan, path, listener)
        run, cache = prepared.run, prepared.cache
        if config.find_lr:
            run = with_found_rate(prepared, listener)
        run.write_split(cache.photos)
        run.write_json(files.CHECK, prepared.check.to_json())
        run.save()  # last: a folder with config.toml is a run
    card = models.describe(run.config.model, size=run.config.size, classes=len(run.classes))
    listener.started(run.path, {"model": card, "choice": prepared.choice, "run": run})
    return _finish(TrainingLoop(run, cache, seconds_before=time.monotonic() - began), listener)


def resume(path: Path | str, *, listener: Listener | None = None, verbose: bool = False) -> Run:
    """Resume a run from its last checkpoint; with `epochs` on the CPU, bit-identically to an uninterrupted run.

    Args:
        path: the run's folder.
        listener: receives the progress.
        verbose: print the progress on stderr.

    Raises:
        RunError: the folder is not a run, is damaged or has another version, or its photos have changed.
    """
    listener = listener or (Printer() if verbose else Listener())
    loop = reopen(path, listener=listener)
    listener.started(loop.run.path, {"run": loop.run, "resumed_at": loop.state.step})
    return _finish(loop, listener)


def reopen(path: Path | str, *, listener: Listener | None = None, threads: int | None = None) -> TrainingLoop:
    """Reopen a run at its last checkpoint, with its photos, to resume or diagnose it.

    Args:
        path: the run's folder.
        listener: receives the progress of decoding.
        threads: CPU threads; None: the run's number.

    Raises:
        RunError: the folder is not a run, is damaged or has another version, or its photos have changed.
    """
    run = Run.open(path)
    settled_device(run.environment["device"])
    ready_machine(threads or run.environment["threads"])
    loop = TrainingLoop(run, run.open_photos(progress=(listener or Listener()).caching))
    if run.last.exists():
        loop.restore()
    return loop


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
        folder = new_folder(Path(photos).resolve().name.split(".")[0]) if out is None else Path(out)
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
        return all(child.name == files.CLAIM for child in folder.iterdir())
    except FileNotFoundError:  # whoever had claimed it failed, and removed it
        return False


def _finish(loop: TrainingLoop, listener: Listener) -> Run:
    """Train to the end, then write the results of the kept weights."""
    run = loop.run
    try:
        stopped = loop.run_to_end(listener)
    except TrainingError as error:
        write_summary(run, loop.state, loop.seconds, "nan", scores={}, message=str(error))
        raise
    finally:
        give_back()
    if stopped == "interrupted" or not run.best.exists():
        write_summary(run, loop.state, loop.seconds, stopped, scores={})
        return run
    kept = loop.use_best()
    scores = keep_outputs(run, loop.features("valid"), loop.cache.labels("valid"))
    test = loop.evaluate("test").to_dict() if loop.has_labels("test") else None
    scores = {"kept_epoch": kept, **scores, "test": test}
    write_summary(run, loop.state, loop.seconds, stopped, scores=scores)
    return run
