"""The learning rate search of a run: done before the first step, recorded, then fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg import schedules
from thalweg.rate import find_lr
from thalweg.runs import files
from thalweg.training.loop import TrainingLoop
from thalweg.training.losses import loss_of
from thalweg.training.optimizers import optimizer_over
from thalweg.training.prepare import Plan, Preparation
from thalweg.training.progress import Listener


if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from thalweg.rate import RateSweep
    from thalweg.runs import Run, TrainingConfig

_SCHEDULE_STEPS = 100


def with_found_rate(prepared: Preparation, listener: Listener) -> Run:
    """Return the run with the learning rate that was found; the sweep is kept in its folder.

    The found rate replaces `lr` in the run's configuration, so that a resumed run does not search again; the
    environment records that it was found. If the sweep is unusable, the given `lr` stays.

    Args:
        prepared: photos, number format and the run; its folder exists.
        listener: receives the rate, or the reason why there is none.
    """
    run = prepared.run
    listener.note("rate.searching")
    sweep = search(prepared)
    run.write_json(files.RATE_SWEEP, sweep.to_dict())
    if sweep.suggestion is None:
        listener.note(f"rate.unusable_{sweep.reason}")
        listener.note("rate.keeps", rate=run.config.lr)
        return replace(run, environment={**run.environment, "lr_found": False})
    listener.note("rate.found", rate=sweep.suggestion, steps=sweep.steps)
    return replace(
        run,
        config=replace(run.config, lr=sweep.suggestion),
        environment={**run.environment, "lr_found": True},
    )


def search_photos(
    photos: Path | str, config: TrainingConfig, *, listener: Listener | None = None, **options: Any
) -> RateSweep:
    """Search for the learning rate of a run that has not started; only the photo cache is written.

    Args:
        photos: as `thalweg.train` takes them.
        config: the configuration of the run.
        listener: receives the progress.
        **options: passed to `thalweg.find_lr`.

    Raises:
        UsageError: the configuration or an option is invalid.
        DataError: the photos cannot be used.
    """
    listener = listener or Listener()
    prepared = Preparation.of(Plan.of(photos, config, listener), Path(), listener)
    listener.note("rate.searching")
    return search(prepared, **options)


def search(prepared: Preparation, **options: Any) -> RateSweep:
    """Search for the learning rate of a prepared run, with its network, optimizer, augmentation, loss and clipping.

    Args:
        prepared: photos, format and configuration.
        **options: passed to `thalweg.find_lr`.
    """
    training = TrainingLoop(prepared.run, prepared.cache)
    config = training.config

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return (training.batches(0, index) for index in range(len(training.batches)))

    def loss_fn(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
        return loss_of(config.loss, logits_NC, labels_N, config.label_smoothing)

    options.setdefault("anneal", _anneals(config.schedule))
    training.model.train()
    with training.format.autocast(training.device):
        return find_lr(
            training.model,
            lambda parameters: optimizer_over(parameters, config),
            batches,
            loss_fn,
            **{
                "clip_grad_norm": config.clip_grad_norm,
                "seed": config.seed,
                "anneal": _anneals(config.schedule),
                **options,
            },
        )


def _anneals(schedule: str) -> bool:
    """Whether a schedule ends far below its peak."""
    factors_N = schedules.factors(schedules.parse(schedule), _SCHEDULE_STEPS)
    return bool(factors_N[-1] < 0.2 * factors_N.max())
