"""Start a training, or go on with one; and what is written down when it ends."""

from __future__ import annotations

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

from thalweg import data, models, schedules
from thalweg._files import write_bytes
from thalweg.data.augment import augmentation
from thalweg.errors import DataError, RunError, StorageError, TrainingError, UsageError
from thalweg.training.calibration import fitted_temperature
from thalweg.training.evaluation import score
from thalweg.training.listener import Listener
from thalweg.training.loop import Training
from thalweg.training.optimizers import build_optimizer, muon_split
from thalweg.training.plan import (
    fits_memory,
    free_memory,
    machine_facts,
    settled_device,
    settled_sizes,
    typical_side,
    usable_cores,
)
from thalweg.training.probe import choose_format
from thalweg.training.run import Run


if TYPE_CHECKING:
    from torch import nn

    from thalweg.data import Cache, ImageSet
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
    device = settled_device(config.device)
    threads = config.threads or usable_cores()
    torch.set_num_threads(threads)
    images = opened(photos, config)
    listener.note("training.found", what=images.describe())
    if config.classes and Path(config.classes).exists():
        config = replace(config, classes=str(Path(config.classes).resolve()))  # to be found from elsewhere, later
    typical = typical_side(images)
    size, stored = settled_sizes(config.size, typical, augmentation(config.augment).enlarge)
    config = replace(config, size=size)
    model = _first_network(config, len(images.classes))
    _claim(out)
    check = data.check_images(images, progress=listener.checking)
    for warning in check.warnings():
        listener.note(warning.key, **warning.values)
    cache = _cached(images, config, stored, listener)
    if not len(cache.rows("train")) or not len(cache.rows("valid")):
        raise DataError("training.split_empty", path=photos)
    _say_where_photos_are(cache, listener)
    choice = choose_format(model, config, size, device)
    if config.optimizer == "muon":
        matrices, rest = muon_split(model)
        share = sum(map(torch.numel, matrices)) / sum(map(torch.numel, model.parameters()))
        listener.note("training.muon_line", matrices=len(matrices), rest=len(rest), share=share)
    environment = {
        **machine_facts(device),
        "threads": threads,
        "precision": choice.format.precision,
        "layout": choice.format.layout,
    }
    run = Run(out, config, _data_facts(images, cache, config), environment)
    run.write_split(cache.photos)
    run.write_json("data-check.json", check.to_json())
    run.save()  # last: a folder with config.toml is a run
    listener.started(
        run.path,
        {"model": models.describe(config.model, size=size, classes=len(images.classes)), "choice": choice, "run": run},
    )
    return _finish(Training(run, cache, seconds_before=time.monotonic() - began), listener, time.monotonic() - began)


def resume(path: Path, *, listener: Listener | None = None) -> Run:
    """Go on with a run from its last checkpoint; bit by bit, on the CPU, as if it had never stopped.

    Raises:
        RunError: not a run, of another version, or its photos are no longer what they were.
    """
    began = time.monotonic()
    listener = listener or Listener()
    run = Run.open(path)
    settled_device(run.environment["device"])
    torch.set_num_threads(run.environment["threads"])
    images = opened(run.data["path"], run.config)
    cache = _cached(images, run.config, run.data["stored"], listener)
    if cache.fingerprint != run.data["fingerprint"]:
        raise RunError("training.photos_changed", path=run.data["path"], run=path)
    training = Training(run, cache)
    if run.last.exists():
        training.restore()
    listener.started(run.path, {"run": run, "resumed_at": training.state.step})
    return _finish(training, listener, time.monotonic() - began)


def opened(photos: Path | str, config: TrainingConfig) -> ImageSet:
    """The photos, with the splits and the classes that a configuration asks for."""
    images = data.open_images(photos, classes=config.classes, seed=config.seed, valid_fraction=config.valid_fraction)
    if config.folds is None or config.fold is None:
        return images
    return data.fold_of(images, folds=config.folds, fold=config.fold, seed=config.seed)


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


def _first_network(config: TrainingConfig, classes: int) -> nn.Module:
    """The network before any photo is decoded: what is misspelt is said at once."""
    torch.manual_seed(config.seed)
    assert config.size is not None, "sizes are settled first"  # noqa: S101 - for the type checker
    model = models.build(config.model, classes=classes, size=config.size)
    models.set_drop_path(model, config.drop_path)
    build_optimizer(model, config)
    schedules.parse(config.schedule)
    models.check_sizes(model, config.model, config.smaller_sizes)
    return model


def _cached(images: ImageSet, config: TrainingConfig, stored: int, listener: Listener) -> Cache:
    return data.build_cache(
        images, size=stored, fit=config.fit, on_bad_image=config.on_bad_image, progress=listener.caching
    )


def _say_where_photos_are(cache: Cache, listener: Listener) -> None:
    if not fits_memory(cache.images_NHWC):
        needed, free = cache.images_NHWC.nbytes / 1e9, free_memory() / 1e9
        listener.note("training.mapped", needed=needed, free=free)


def _data_facts(images: ImageSet, cache: Cache, config: TrainingConfig) -> dict[str, Any]:
    labels = cache.labels("train")
    counts = np.bincount(labels, minlength=len(images.classes))
    return {
        "path": str(images.root.resolve()),
        "layout": images.layout,
        "classes": list(images.classes),
        "fingerprint": cache.fingerprint,
        "stored": cache.size,
        "mean": list(cache.mean) if config.normalize else [0.0] * 3,
        # A channel without any contrast is not to be divided by zero.
        "std": [max(std, 1 / 255) for std in cache.std] if config.normalize else [1.0] * 3,
        "class_shares": [float(count) / len(labels) for count in counts],
        "train": len(labels),
        "valid": len(cache.rows("valid")),
        "test": len(cache.rows("test")),
        "bad": len(cache.bad),
    }


def _finish(training: Training, listener: Listener, preparing: float) -> Run:
    """Train to the end, then write down what came out, with the weights that were kept."""
    run = training.run
    try:
        stopped = training.run_to_end(listener)
    except TrainingError as error:
        _write_summary(training, "nan", preparing, message=str(error))
        raise
    if stopped == "interrupted" or not run.best.exists():
        _write_summary(training, stopped, preparing)
        return run
    kept = training.use_best()
    outputs = training.features("valid")
    labels = torch.from_numpy(training.cache.labels("valid"))
    write_bytes(run.evaluation, save({**outputs, "labels": labels}))
    temperature = fitted_temperature(outputs["logits"].numpy(), labels.numpy())
    scores = {"valid": asdict(score(outputs["logits"], labels, run.config.loss)), "test": None}
    if training.has_labels("test"):
        scores["test"] = asdict(training.evaluate("test"))
    _write_summary(training, stopped, preparing, scores={"kept_epoch": kept, "temperature": temperature, **scores})
    return run


def _write_summary(
    training: Training, stopped: str, preparing: float, *, scores: dict[str, Any] | None = None, message: str = ""
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
            "seconds": {"preparing": preparing, **training.seconds_spent, "total": training.clock.seconds},
            "messages": [message] if message else [],
        },
    )
