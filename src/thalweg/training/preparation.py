"""All that a training needs and that is known before its first step: photos in the cache, format, sizes, facts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import nn

from thalweg import data, models, schedules
from thalweg.data.augmentation import augmentation
from thalweg.data.classes import FOOD11
from thalweg.errors import DataError, ThalwegError, UsageError
from thalweg.training import checkpoint
from thalweg.training.optimizers import EXTRA, build_optimizer, muon_split, optimizer_over
from thalweg.training.plan import (
    fits_device,
    fits_memory,
    free_memory,
    machine_facts,
    ready_machine,
    settled_device,
    settled_sizes,
    typical_side,
    usable_threads,
)
from thalweg.training.probe import choose_format
from thalweg.training.run import Run


if TYPE_CHECKING:
    from thalweg.data import Cache, Check, ImageSet
    from thalweg.training.config import TrainingConfig
    from thalweg.training.listener import Listener
    from thalweg.training.probe import Choice


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training will be: settled in a moment, before any photo is decoded.

    Attributes:
        config: with its size settled.
        images: the photos, found and not yet opened.
        model: the network with its first weights.
        device: where it trains.
        threads: of the processor.
        stored: side of the pictures in the cache, in pixels.
    """

    config: TrainingConfig
    images: ImageSet
    model: nn.Module
    device: torch.device
    threads: int
    stored: int

    @property
    def size(self) -> int:
        """Side of what the network sees, in pixels."""
        assert self.config.size is not None, "a plan's size is settled"  # noqa: S101 - for the type checker
        return self.config.size

    @classmethod
    def of(cls, photos: Path | str, config: TrainingConfig, listener: Listener) -> Self:
        """Find the photos and settle what the configuration leaves open.

        Raises:
            UsageError: the configuration asks for what there is not.
            DataError: there are no photos.
        """
        device = settled_device(config.device)
        threads = config.threads or usable_threads()
        ready_machine(threads)
        images = opened(photos, config)
        listener.note("training.found", what=images.describe())
        if config.classes not in (None, FOOD11) and Path(config.classes).exists():
            config = replace(config, classes=str(Path(config.classes).resolve()))  # to be found from elsewhere, later
        typical = typical_side(images)
        size, stored = settled_sizes(config.size, config.max_size, typical, augmentation(config.augment).enlarge)
        smaller = tuple(side for side in config.smaller_sizes if config.size is not None or side < size)
        config = replace(config, size=size, smaller_sizes=smaller)
        return cls(config, images, _first_network(config, len(images.classes)), device, threads, stored)


@dataclass(frozen=True, slots=True)
class Preparation:
    """A plan with its photos decoded and its format measured.

    Attributes:
        run: not yet written.
        cache: the photos.
        check: what may be wrong with them.
        choice: precision and layout, and what was measured.
    """

    run: Run
    cache: Cache
    check: Check
    choice: Choice

    @classmethod
    def of(cls, plan: Plan, out: Path, listener: Listener) -> Self:
        """Check and decode the photos, and choose the format.

        Raises:
            DataError: a split has no photo that can be used.
        """
        config = plan.config
        check = data.check_images(plan.images, progress=listener.checking)
        for warning in check.warnings():
            listener.note(warning.key, **warning.values)
        cache = cached(plan.images, config, plan.stored, listener)
        if not len(cache.rows("train")) or not len(cache.rows("valid")):
            raise DataError("training.split_empty", path=plan.images.root)
        _say_where_photos_are(cache, plan.device, listener)
        choice = choose_format(plan.model, config, plan.size, plan.device)
        if config.optimizer == "muon":
            _say_what_muon_updates(plan.model, listener)
        environment = {
            **machine_facts(plan.device),
            "threads": plan.threads,
            "precision": choice.format.precision,
            "layout": choice.format.layout,
        }
        return cls(Run(out, config, _data_facts(plan.images, cache, config), environment), cache, check, choice)


def opened(photos: Path | str, config: TrainingConfig) -> ImageSet:
    """The photos, with the splits and the classes that a configuration asks for."""
    images = data.open_images(photos, classes=config.classes, seed=config.seed, valid_fraction=config.valid_fraction)
    if config.folds is None or config.fold is None:
        return images
    return data.fold_of(images, folds=config.folds, fold=config.fold, seed=config.seed)


def cached(images: ImageSet, config: TrainingConfig, stored: int, listener: Listener) -> Cache:
    """The photos, decoded."""
    return data.build_cache(
        images, size=stored, resize=config.resize, on_bad_image=config.on_bad_image, progress=listener.caching
    )


def _first_network(config: TrainingConfig, classes: int) -> nn.Module:
    """The network before any photo is decoded: what is misspelt is said at once."""
    torch.manual_seed(config.seed)
    assert config.size is not None, "sizes are settled first"  # noqa: S101 - for the type checker
    model = models.build(config.model, classes=classes, size=config.size)
    models.set_drop_path(model, config.drop_path)
    if config.optimizer.startswith(EXTRA):
        _try(config)
    build_optimizer(model, config)
    schedules.parse(config.schedule)
    models.check_sizes(model, config.model, config.smaller_sizes)
    if config.batch_size == 1:
        models.check_sizes(model, config.model, config.sizes, alone=True)
    return model


def _try(config: TrainingConfig) -> None:
    """Two steps of an optimizer of another library on a toy: what it cannot do is said now, and not after an hour.

    Raises:
        UsageError: it fails in steps like ours, or its state cannot be kept in a checkpoint.
    """
    toy = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    try:
        optimizer = optimizer_over(toy.parameters(), config)
        for _ in range(2):
            toy(torch.ones(2, 3, 3, 3)).square().mean().backward()
            optimizer.step()
    except ThalwegError:
        raise
    except Exception as error:  # whatever another library raises
        raise UsageError("training.optimizer_fails", optimizer=config.optimizer, reason=error) from error
    checkpoint.optimizer_tensors(optimizer)


def _say_where_photos_are(cache: Cache, device: torch.device, listener: Listener) -> None:
    if device.type == "cuda":
        if fits_device(cache.images_NHWC, device):
            return
        needed, free = cache.images_NHWC.nbytes / 1e9, torch.cuda.mem_get_info(device)[0] / 1e9
        listener.note("training.not_on_device", needed=needed, free=free)
    if not fits_memory(cache.images_NHWC):
        needed, free = cache.images_NHWC.nbytes / 1e9, free_memory() / 1e9
        listener.note("training.mapped", needed=needed, free=free)


def _say_what_muon_updates(model: nn.Module, listener: Listener) -> None:
    matrices, rest = muon_split(model)
    share = sum(map(torch.numel, matrices)) / sum(map(torch.numel, model.parameters()))
    listener.note("training.muon_line", matrices=len(matrices), rest=len(rest), share=share)


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
