"""Start a training, or go on with one; and what is written down when it ends."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from thalweg import models
from thalweg._files import write_bytes
from thalweg.errors import RunError, StorageError, TrainingError, UsageError
from thalweg.training.calibration import fitted_temperature
from thalweg.training.evaluation import score
from thalweg.training.listener import Listener
from thalweg.training.loop import Training
from thalweg.training.memory import give_back
from thalweg.training.plan import ready_machine, settled_device
from thalweg.training.preparation import Plan, Preparation, cached, opened
from thalweg.training.rate import with_found_rate
from thalweg.training.run import Run


if TYPE_CHECKING:
    from pathlib import Path

    from thalweg.training.config import TrainingConfig


def train(photos: Path | str, config: TrainingConfig, out: Path, *, listener: Listener | None = None) -> Run:
    """Train a classifier and leave a run.

    Args:
        photos: a folder, a table or an archive, as `thalweg.data.open_images` takes them; or `builtin`.
        config: what is wanted.
        out: the run's folder; must not hold anything yet.
        listener: is told how it goes.

    Returns:
        The run; its `summary()` says what came out.

    Raises:
        UsageError: the folder is taken, or the configuration asks for what there is not.
        DataError: the photos cannot be used.
        TrainingError: the loss became no number; the last good checkpoint is kept.
        StorageError: something cannot be written.

    Example:
        >>> from dataclasses import replace
        >>> from pathlib import Path
        >>> from tempfile import mkdtemp
        >>> from thalweg.training import recipe
        >>> config = replace(recipe("quick"), budget=1.0)  # a second: no more than a try
        >>> run = train("builtin", config, Path(mkdtemp()) / "run")
        >>> run.summary()["stopped"]
        'budget'
    """
    began = time.monotonic()
    if config.folds and config.fold is None:
        raise UsageError("training.bad_fold", value=None, most=config.folds - 1)
    listener = listener or Listener()
    plan = Plan.of(photos, config, listener)
    _claim(out)
    prepared = Preparation.of(plan, out, listener)
    run, cache = prepared.run, prepared.cache
    if config.find_lr:
        run = with_found_rate(prepared, listener)
    run.write_split(cache.photos)
    run.write_json("data-check.json", prepared.check.to_json())
    run.save()  # last: a folder with config.toml is a run
    card = models.describe(run.config.model, size=plan.size, classes=len(run.classes))
    listener.started(run.path, {"model": card, "choice": prepared.choice, "run": run})
    return _finish(Training(run, cache, seconds_before=time.monotonic() - began), listener)


def resume(path: Path, *, listener: Listener | None = None) -> Run:
    """Go on with a run from its last checkpoint; bit by bit, on the CPU, as if it had never stopped.

    Raises:
        RunError: not a run, of another version, or its photos are no longer what they were.
    """
    listener = listener or Listener()
    training = reopen(path, listener=listener)
    listener.started(training.run.path, {"run": training.run, "resumed_at": training.state.step})
    return _finish(training, listener)


def reopen(path: Path, *, listener: Listener | None = None, threads: int | None = None) -> Training:
    """A run as its last checkpoint left it, with its photos: to go on, or to be asked questions.

    Args:
        path: the run's folder.
        listener: is told how the photos come.
        threads: of the processor; None: as many as the run had.

    Raises:
        RunError: not a run, of another version, or its photos are no longer what they were.
    """
    run = Run.open(path)
    facts = {**run.environment, **run.data}
    missing = {"device", "threads", "precision", "path", "stored", "fingerprint", "mean", "std"} - facts.keys()
    if missing:
        raise RunError("training.not_a_run", path=path, reason=", ".join(sorted(missing)))
    settled_device(run.environment["device"])
    ready_machine(threads or run.environment["threads"])
    images = opened(run.data["path"], run.config)
    cache = cached(images, run.config, run.data["stored"], listener or Listener())
    if cache.fingerprint != run.data["fingerprint"]:
        raise RunError("training.photos_changed", path=run.data["path"], run=path)
    training = Training(run, cache)
    if run.last.exists():
        training.restore()
    return training


def _claim(out: Path) -> None:
    """Take the run's folder before the long work begins, so that no other training takes it meanwhile.

    Raises:
        UsageError: there is something in it.
        StorageError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        taken = any(out.iterdir())
    except OSError as error:
        raise StorageError("errors.cannot_write", path=out, reason=error.strerror or error) from error
    if taken:
        raise UsageError("training.out_taken", path=out)


def _finish(training: Training, listener: Listener) -> Run:
    """Train to the end, then write down what came out, with the weights that were kept."""
    run = training.run
    try:
        stopped = training.run_to_end(listener)
    except TrainingError as error:
        _write_summary(training, "nan", message=str(error))
        raise
    finally:
        give_back()
    if stopped == "interrupted" or not run.best.exists():
        _write_summary(training, stopped)
        return run
    kept = training.use_best()
    outputs = training.features("valid")
    labels = torch.from_numpy(training.cache.labels("valid"))
    write_bytes(run.evaluation, save({**outputs, "labels": labels}))
    temperature = fitted_temperature(outputs["logits"].numpy(), labels.numpy())
    scores = {"valid": asdict(score(outputs["logits"], labels, run.config.loss)), "test": None}
    if training.has_labels("test"):
        scores["test"] = asdict(training.evaluate("test"))
    _write_summary(training, stopped, scores={"kept_epoch": kept, "temperature": temperature, **scores})
    return run


def _write_summary(
    training: Training, stopped: str, *, scores: dict[str, Any] | None = None, message: str = ""
) -> None:
    state = training.state
    training.run.write_json(
        "summary.json",
        {
            "stopped": stopped,
            "epochs": state.epoch,
            "steps": state.step,
            "best_epoch": state.best_epoch,
            **(scores or {}),
            "seconds": {**training.seconds_spent, "total": training.clock.seconds},
            "messages": [message] if message else [],
        },
    )
