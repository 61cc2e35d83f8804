"""Measure how fast this machine trains each network, and where the time goes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg import models
from thalweg.training.loop import TrainingLoop
from thalweg.training.losses import Targets
from thalweg.training.machine import matmul_gflops
from thalweg.training.number_format import choose_format, wait
from thalweg.training.prepare import Plan, Preparation
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from thalweg.runs import TrainingConfig

PRECISIONS = ("fp32", "bf16")
_FORWARD_AND_BACKWARD = 3  # a backward pass has twice the products of a forward pass


@dataclass(frozen=True, slots=True)
class Speed:
    """The measured speed of one network at one precision.

    Attributes:
        model: name of the network.
        size: side of the photos, in pixels.
        precision: `fp32` or `bf16`.
        layout: the faster memory layout.
        photos_per_second: training speed with reading, augmentation and the optimizer's step; of the median step.
        evaluated_per_second: photos per second, forward only.
        data_share: fraction of an epoch, evaluation included, spent on preparing batches, in [0, 1].
        step_share: fraction spent on forward, backward and the optimizer.
        evaluation_share: fraction spent on the validation split.
        gflops: floating-point operations per second of the forward and backward passes, in 1e9.
        of_matmul: `gflops` as a fraction of this machine's matrix product, an upper bound: for fp32 in fp32, for bf16
            in the faster of both, since a processor without bf16 computes it in fp32.
    """

    model: str
    size: int
    precision: str
    layout: str
    photos_per_second: float
    evaluated_per_second: float
    data_share: float
    step_share: float
    evaluation_share: float
    gflops: float
    of_matmul: float

    def to_dict(self) -> dict[str, Any]:
        """By name."""
        return asdict(self)


def bench(
    photos: Path | str,
    config: TrainingConfig,
    *,
    names: Iterable[str] | None = None,
    seconds: float = 3.0,
    listener: Listener | None = None,
) -> Iterator[Speed]:
    """Train each network for some seconds at each precision; only the photo cache is kept.

    The speed of the matrix product is measured just before each: on a shared machine it shows how much speed was
    available.

    Args:
        photos: as `train` takes them.
        config: size, batch size, optimizer and augmentation; its model is ignored.
        names: names of networks; None: all that can take this size.
        seconds: time for training each network at each precision, plus half of it for evaluating.
        listener: receives the progress.

    Yields:
        A `Speed` after each measurement.

    Raises:
        UsageError: the configuration cannot be met, such as a size that no network takes.
        UnknownNameError: no such network.
        DataError: the photos cannot be used.

    Example:
        >>> from thalweg.runs import TrainingConfig
        >>> speeds = bench("builtin", TrainingConfig(batch_size=16), names=["resnet-small"], seconds=0.05)
        >>> [one.precision for one in speeds]
        ['fp32', 'bf16']
    """
    names = list(names) if names is not None else None
    first = names[0] if names else min(models.names(), key=models.smallest_size)
    fixed = replace(config, model=first, weights=None, precision="fp32", layout="channels-last")
    plan = Plan.of(photos, fixed, listener or Listener())
    chosen = names or [name for name in models.names() if models.smallest_size(name) <= plan.config.size]
    listener = listener or Listener()
    prepared = Preparation.of(plan, Path(), listener)
    measured = count()
    for name in chosen:
        card = models.describe(name, size=plan.config.size, classes=len(prepared.run.classes))
        for precision in PRECISIONS:
            listener.working("networks", next(measured), len(chosen) * len(PRECISIONS))
            roof = _upper_bound(matmul_gflops(plan.device), precision)
            training = _training(prepared, name, precision, plan)
            data, step = _median_step(training, seconds)
            evaluated = _evaluated_per_second(training, seconds / 2)
            batch = min(config.batch_size, len(prepared.cache.rows("train")))
            trained, gflops = batch / (data + step), _FORWARD_AND_BACKWARD * card.flops * batch / step / 1e9
            in_training = len(prepared.cache.rows("train")) / trained
            whole = in_training + len(prepared.cache.rows("valid")) / evaluated
            yield Speed(
                name,
                plan.config.size,
                precision,
                training.format.layout,
                trained,
                evaluated,
                data / (data + step) * in_training / whole,
                step / (data + step) * in_training / whole,
                1 - in_training / whole,
                gflops,
                gflops / roof,
            )


def _upper_bound(gflops: Mapping[str, float], precision: str) -> float:
    """The fastest matrix product that a network of this precision may use.

    Example:
        >>> emulated = {"fp32": 60.0, "bf16": 5.0}
        >>> _upper_bound(emulated, "bf16"), _upper_bound(emulated, "fp32")
        (60.0, 60.0)
    """
    return max(gflops.values()) if precision == "bf16" else gflops[precision]


def _training(prepared: Preparation, name: str, precision: str, plan: Plan) -> TrainingLoop:
    config = replace(prepared.run.config, model=name, precision=precision, layout="auto")
    model = models.build(name, classes=len(prepared.run.classes), size=plan.config.size)
    chosen = choose_format(model, config, plan.config.size, plan.device).format
    environment = {**prepared.run.environment, "precision": precision, "layout": chosen.layout}
    return TrainingLoop(replace(prepared.run, config=config, environment=environment), prepared.cache)


def _median_step(training: TrainingLoop, seconds: float) -> tuple[float, float]:
    """Return the seconds for preparing a batch and for a step on it, excluding the first step, which warms up."""
    training.model.train()
    micro_batches, spent, deadline = 1, [], float("inf")
    for index in count():
        began = time.perf_counter()
        images_NCHW, labels_N = training.batches(index // len(training.batches), index % len(training.batches))
        images_NCHW = images_NCHW.to(training.device, memory_format=training.format.memory_format)
        wait(training.device)
        ready = time.perf_counter()
        targets = Targets(labels_N).to(training.device)
        micro_batches = training.gradients(images_NCHW, targets, micro_batches).micro_batches
        training.optimizer.step()
        training.optimizer.zero_grad(set_to_none=True)
        wait(training.device)
        done = time.perf_counter()
        if index:
            spent.append((ready - began, done - ready))
        else:
            deadline = done + seconds
        if index and done > deadline:
            break
    return sorted(data for data, _ in spent)[len(spent) // 2], sorted(step for _, step in spent)[len(spent) // 2]


def _evaluated_per_second(training: TrainingLoop, seconds: float) -> float:
    """Return photos per second, batch by batch, until the time or the split ends."""
    photos, began = 0, time.perf_counter()
    batches = training.plain_batches("valid")
    while time.perf_counter() - began < seconds and (batch := list(islice(batches, 1))):
        models.logits_of(training.model, batch)
        photos += len(batch[0])
    return photos / (time.perf_counter() - began)
