"""The learning rate of a training that is to find its own: searched before the first step, written down, then fixed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg import schedules
from thalweg.rate import find_lr
from thalweg.training.listener import Listener
from thalweg.training.loop import Training
from thalweg.training.losses import loss_of
from thalweg.training.optimizers import optimizer_over
from thalweg.training.preparation import Plan, Preparation


if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from thalweg.rate import RateSweep
    from thalweg.training.config import TrainingConfig
    from thalweg.training.run import Run

SWEEP_FILE = "lr-sweep.json"
_SCHEDULE_STEPS = 100


def with_found_rate(prepared: Preparation, listener: Listener) -> Run:
    """The run with the learning rate that was found; the sweep is left in its folder.

    `lr` in the run's configuration becomes the rate found, so that a resumed run searches nothing; that it was found
    is a fact of the environment. Where the sweep is unusable `lr` stays as it was given.

    Args:
        prepared: photos, format and the run, whose folder is there.
        listener: is told the rate, or why there is none.
    """
    run = prepared.run
    listener.note("rate.searching")
    sweep = search(prepared)
    run.write_json(SWEEP_FILE, sweep.to_dict())
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
    """Search the learning rate for a training that is not begun: nothing is written but the cache of the photos.

    Args:
        photos: as `thalweg.train` takes them.
        config: what the training would be.
        listener: is told how it goes.
        **options: of `thalweg.find_lr`.

    Raises:
        UsageError: the configuration or an option asks for what there is not.
        DataError: the photos cannot be used.
    """
    listener = listener or Listener()
    prepared = Preparation.of(Plan.of(photos, config, listener), Path(), listener)
    listener.note("rate.searching")
    return search(prepared, **options)


def search(prepared: Preparation, **options: Any) -> RateSweep:
    """Search the learning rate for a prepared training: its network, optimizer, views, loss, precision and clipping.

    Args:
        prepared: photos, format and configuration.
        **options: of `thalweg.find_lr`.
    """
    training = Training(prepared.run, prepared.cache)
    config = training.config

    def batches() -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        return (training.batches(0, index) for index in range(len(training.batches)))

    def loss_fn(logits_NC: torch.Tensor, labels_N: torch.Tensor) -> torch.Tensor:
        return loss_of(config.loss, logits_NC, labels_N, config.label_smoothing)

    training.model.train()
    with training.format.autocast(training.device):
        return find_lr(
            training.model,
            lambda parameters: optimizer_over(parameters, config),
            batches,
            loss_fn,
            **{"clip": config.clip, "seed": config.seed, "anneal": _anneals(config.schedule), **options},
        )


def _anneals(schedule: str) -> bool:
    """Whether a schedule ends far below where it was."""
    factors_N = schedules.factors(schedules.parse(schedule), _SCHEDULE_STEPS)
    return bool(factors_N[-1] < 0.2 * factors_N.max())
