"""Preparation before the first step: sizes, photos in the cache, number format, facts about the data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import nn

from thalweg import data, models, schedules
from thalweg._memory import free_memory
from thalweg.data.augmentation import augmentation
from thalweg.data.batches import AHEAD
from thalweg.data.classes import FOOD11
from thalweg.data.decoding import reading
from thalweg.data.jpeg import JpegPhotos
from thalweg.errors import BadImageError, DataError, ThalwegError, UsageError
from thalweg.runs import Run, checkpoint
from thalweg.runs.photos import decode_photos, find_photos
from thalweg.runs.tasks import BINARY, task_of
from thalweg.training.machine import (
    fits_device,
    fits_memory,
    machine_facts,
    ready_machine,
    settled_device,
    usable_threads,
)
from thalweg.training.number_format import choose_format
from thalweg.training.optimizers import EXTRA, build_optimizer, muon_split, optimizer_over
from thalweg.training.start import Loaded
from thalweg.weights.source import kept_source


if TYPE_CHECKING:
    from torch import Tensor

    from thalweg.data import Cache, Check, ImageSet
    from thalweg.data.building import Builders
    from thalweg.runs import SettledConfig, TrainingConfig
    from thalweg.training.number_format import Choice
    from thalweg.training.progress import Listener

_PHOTOS_LOOKED_AT = 48


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a training run, made in a moment, before any photo is decoded.

    Attributes:
        config: the configuration, with its size known.
        images: the photos, found but not yet decoded.
        model: the network with its initial weights.
        device: the device to train on.
        threads: number of CPU threads.
        stored: side of the photos in the cache, in pixels.
        weights: what the initial weights are, and how much of the network they fit; None: random weights.
    """

    config: SettledConfig
    images: ImageSet
    model: nn.Module
    device: torch.device
    threads: int
    stored: int
    weights: Loaded | None = None

    @classmethod
    def of(cls, photos: Path | str, config: TrainingConfig, listener: Listener) -> Self:
        """Find the photos and fill in what the configuration leaves open.

        Raises:
            UsageError: the configuration is invalid for this machine or these photos, or the weights do not fit.
            DataError: there are no photos.
        """
        device = settled_device(config.device)
        threads = config.threads or usable_threads()
        ready_machine(1 if config.is_sharded else threads)
        images = find_photos(photos, config, progress=listener.listing)
        listener.note("training.found", what=images.describe())
        if (outline := images.outline()) is not None:
            listener.note("training.found_as", outline=outline)
        if config.classes not in (None, FOOD11) and Path(config.classes).exists():
            config = replace(
                config, classes=str(Path(config.classes).resolve())
            )  # so that another working directory finds it, too
        if config.table is not None and config.table not in images.source.names() and Path(config.table).exists():
            config = replace(config, table=str(Path(config.table).resolve()))
        if config.corrections is not None:
            config = replace(config, corrections=str(Path(config.corrections).resolve()))
        if config.weights is not None:
            config = replace(config, weights=kept_source(config.weights))
        config = for_labels(config, images, listener)
        size, stored = choose_sizes(
            config.size, config.max_size, typical_side(images), augmentation(config.augment).enlarge
        )
        settled = config.settle(size)
        model = _first_network(settled, len(images.classes))
        loaded = Loaded.into(model, settled, images.classes)
        if loaded is not None:
            loaded.tell(settled, listener)
        return cls(settled, images, model, device, threads, stored, loaded)

    def facts(self) -> dict[str, Any]:
        """Return what is known of the photos before any is decoded, under the names of `Run.data`."""
        return {"path": str(self.images.root.resolve()), "classes": list(self.images.classes), "stored": self.stored}


@dataclass(frozen=True, slots=True)
class Preparation:
    """A plan with its photos decoded and its number format measured.

    Attributes:
        run: the run, not written yet.
        cache: the photos.
        check: the findings about the photos.
        choice: precision and layout, with the measured speeds.
        initial: the weights to start from, by name; None: random ones, which the seed determines.
    """

    run: Run
    cache: Cache
    check: Check
    choice: Choice
    initial: dict[str, Tensor] | None = None

    @classmethod
    def of(cls, plan: Plan, out: Path, listener: Listener, builders: Builders | None = None) -> Self:
        """Check and decode the photos, and choose the number format.

        Args:
            plan: from `Plan.of`.
            out: the folder of the run.
            listener: receives the progress.
            builders: the processes that decode the photos together; None: this one.

        Raises:
            DataError: a split has no usable photo.
        """
        config = plan.config
        check = data.check_images(plan.images, progress=listener.checking)
        for warning in check.warnings():
            listener.note(warning.key, **warning.values)
        cache = decode_photos(plan.images, config, plan.stored, listener.caching, builders=builders)
        for note in cache.notes:
            listener.note(note.key, **note.values)
        if not len(cache.rows("train")) or not len(cache.rows("valid")):
            raise DataError("training.split_empty", path=plan.images.root)
        _note_where_photos_are(cache, config.batch_size, plan.device, listener)
        if "auto" in (config.precision, config.layout):
            listener.note("training.measuring")
        choice = choose_format(plan.model, config, config.size, plan.device)
        if config.optimizer == "muon":
            _note_what_muon_updates(plan.model, listener)
        environment = {
            **machine_facts(plan.device),
            "threads": plan.threads,
            "precision": choice.format.precision,
            "layout": choice.format.layout,
        }
        facts = _data_facts(plan.images, cache, config)
        if plan.images.corrections is not None:
            facts["corrections"] = plan.images.corrections.facts()
        initial = None
        if plan.weights is not None:
            facts |= plan.weights.facts(plan.model, cache, config, facts, listener)
            initial = {name: tensor.clone() for name, tensor in plan.model.state_dict().items()}
        return cls(Run(out, config, facts, environment), cache, check, choice, initial)


def for_labels(config: TrainingConfig, images: ImageSet, listener: Listener) -> TrainingConfig:
    """Return the configuration that fits the labels of a set: several a photo have a loss of their own.

    Raises:
        UsageError: the configuration has something that only one label a photo has, or the other way round.
    """
    if not images.several:
        if config.loss == BINARY:
            raise UsageError("training.loss_of_several", path=images.root)
        return config
    if config.loss == "cross-entropy":
        config = replace(config, loss=BINARY)
    unfit = {
        "--loss mse": config.loss == "mse",
        "--class-weights balanced": config.class_weights != "none",
        "--sampling balanced": config.sampling != "shuffled",
        "--lr auto": config.find_lr,
        "--fit-head --freeze all": config.only_head,
    }
    if any(unfit.values()):
        flag = next(name for name, is_given in unfit.items() if is_given)
        raise UsageError("training.one_label_only", flag=flag, path=images.root)
    if config.fit_head:
        listener.note("training.no_fit_of_several")
    listener.note("training.labels_line")
    return replace(config, labels="several", fit_head=False)


def initial_weights(run: Run) -> dict[str, Tensor] | None:
    """Load the initial weights of a run that has no checkpoint yet; None if they are random.

    Raises:
        UsageError: the weights are gone, or do not fit.
    """
    torch.manual_seed(run.config.seed)
    model = models.build(run.config.model, classes=len(run.classes), size=run.config.size)
    return None if Loaded.into(model, run.config, run.classes) is None else model.state_dict()


def typical_side(images: ImageSet) -> float:
    """Return the median short side, in pixels, of some training photos, from their headers; infinity if unreadable."""
    photos = images.split("train")
    sides = []
    for photo in photos[:: max(1, len(photos) // _PHOTOS_LOOKED_AT)]:
        try:
            with reading(images.read(photo), photo.path) as header:
                sides.append(min(header.size))
        except BadImageError:
            continue  # the data check reports bad photos
    return int(median(sides)) if sides else float("inf")


def choose_sizes(size: int | None, max_size: int, typical: float, enlarge: float) -> tuple[int, int]:
    """Choose the sides, in pixels, of the network's input and of the cached photos; no photo is enlarged.

    Example:
        >>> choose_sizes(None, 128, 400, 1.25), choose_sizes(None, 128, 28, 1.25), choose_sizes(64, 128, 70, 1.25)
        ((128, 160), (28, 28), (64, 70))
    """
    seen = size or int(min(max_size, typical))
    return seen, max(seen, int(min(round(seen * enlarge), typical)))


def _first_network(config: SettledConfig, classes: int) -> nn.Module:
    """Build the network before any photo is decoded, so that a misspelled name fails at once."""
    torch.manual_seed(config.seed)
    model = models.build(config.model, classes=classes, size=config.size)
    models.set_drop_path(model, config.drop_path)
    models.freeze(model, config.freeze, config.norms)
    if config.optimizer.startswith(EXTRA):
        _try(config)
    build_optimizer(model, config)
    schedules.parse(config.schedule)
    models.check_sizes(model, config.model, config.smaller_sizes)
    if config.batch_size == 1:
        models.check_sizes(model, config.model, config.sizes, alone=True)
    return model


def _try(config: TrainingConfig) -> None:
    """Try two steps of another library's optimizer on a toy, so that an unsuitable one fails now, not in an hour.

    Raises:
        UsageError: a step fails, or the state cannot be saved in a checkpoint.
    """
    toy = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4, 3))
    try:
        optimizer = optimizer_over(toy.parameters(), config)
        for _ in range(2):
            toy(torch.ones(2, 3, 3, 3)).square().mean().backward()
            optimizer.step()
    except ThalwegError:
        raise
    except Exception as error:  # another library may raise anything
        raise UsageError("training.optimizer_fails", optimizer=config.optimizer, reason=error) from error
    checkpoint.optimizer_tensors(optimizer)


def _note_where_photos_are(cache: Cache, batch_size: int, device: torch.device, listener: Listener) -> None:
    if device.type == "cuda":
        if fits_device(cache.images_NHWC, device):
            return
        needed, free = cache.images_NHWC.nbytes / 1e9, torch.cuda.mem_get_info(device)[0] / 1e9
        listener.note("training.not_on_device", needed=needed, free=free)
    if fits_memory(cache):
        return
    needed, free = cache.images_NHWC.nbytes / 1e9, free_memory() / 1e9
    if isinstance(cache.images_NHWC, JpegPhotos):
        ahead = min(cache.images_NHWC.capacity, AHEAD * batch_size)
        listener.note("training.decoded_ahead", needed=needed, free=free, count=ahead)
    else:
        listener.note("training.mapped", needed=needed, free=free)


def _note_what_muon_updates(model: nn.Module, listener: Listener) -> None:
    matrices, rest = muon_split(model)
    share = sum(map(torch.numel, matrices)) / sum(map(torch.numel, model.parameters()))
    listener.note("training.muon_line", matrices=len(matrices), rest=len(rest), share=share)


def _data_facts(images: ImageSet, cache: Cache, config: TrainingConfig) -> dict[str, Any]:
    labels = cache.labels("train")
    return {
        "path": images.address,
        "layout": images.layout,
        "classes": list(images.classes),
        "fingerprint": cache.fingerprint,
        "stored": cache.size,
        **cache.rendering.to_facts(),
        "mean": list(cache.mean) if config.normalize else [0.0] * 3,
        # Avoid dividing a channel without contrast by zero.
        "std": [max(std, 1 / 255) for std in cache.std] if config.normalize else [1.0] * 3,
        "class_shares": task_of(config.loss).shares(labels, len(images.classes)),
        "train": len(labels),
        "valid": len(cache.rows("valid")),
        "test": len(cache.rows("test")),
        "bad": len(cache.bad),
    }
