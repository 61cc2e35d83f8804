"""The training loop: `run_to_end` over `_epoch` over `_step`.

Shape suffixes: N photos of a batch, C channels or classes, H height, W width.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import clip_grad_norm_, get_total_norm

from thalweg import models, schedules
from thalweg.data.augment import augmentation
from thalweg.data.batches import Batches, plain_batches
from thalweg.errors import TrainingError
from thalweg.training import checkpoint
from thalweg.training.clock import Clock
from thalweg.training.evaluation import features_of, logits_of, score
from thalweg.training.interrupt import gentle_interrupt
from thalweg.training.losses import loss_of
from thalweg.training.optimizers import build_optimizer
from thalweg.training.probe import Format
from thalweg.training.recorder import Recorder
from thalweg.training.state import State


if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from torch import Tensor

    from thalweg.data import Cache
    from thalweg.data.photos import Split
    from thalweg.training.evaluation import Score
    from thalweg.training.listener import Listener
    from thalweg.training.run import Run

EVALUATION_BATCH = 128


class Training:
    """A training under way: a run's configuration made into a network, an optimizer and batches.

    Args:
        run: where it is kept; its environment says device, precision and layout.
        cache: the photos.
        seconds_before: spent on preparing; part of the budget.
    """

    def __init__(self, run: Run, cache: Cache, *, seconds_before: float = 0.0) -> None:
        config = run.config
        assert config.size is not None, "a run's size is settled"  # noqa: S101 - for the type checker
        self.run, self.cache, self.config = run, cache, config
        self.device = torch.device(run.environment["device"])
        self.format = Format(run.environment["precision"], run.environment["layout"])
        torch.manual_seed(config.seed)
        model = models.build(config.model, classes=len(run.classes), size=config.size)
        self.model = model
        self.model.to(self.device, memory_format=self.format.memory_format)  # type: ignore[call-overload] - torch types leave it out
        self.optimizer = build_optimizer(self.model, config)
        self.schedule = schedules.parse(config.schedule)
        self.batches = Batches(
            cache.images_NHWC,
            cache.rows("train"),
            cache.labels("train"),
            size=config.size,
            batch_size=config.batch_size,
            policy=augmentation(config.augment),
            mean=run.data["mean"],
            std=run.data["std"],
            seed=config.seed,
        )
        self.state = State(seconds=seconds_before)
        self.first_step_at = seconds_before
        self.reserve = 0.0
        self.seconds_spent = {"data": 0.0, "training": 0.0, "evaluation": 0.0}

    def run_to_end(self, listener: Listener) -> str:
        """Train until epochs, budget or patience end it, or somebody asks to stop.

        Returns:
            Why it stopped: `done`, `budget`, `patience` or `interrupted`.

        Raises:
            TrainingError: the loss is no finite number; the last good checkpoint is kept.
        """
        self.clock = Clock(
            self.config, len(self.batches), seconds_before=self.state.seconds, first_step_at=self.first_step_at
        )
        self.clock.reserve = self.reserve
        with (
            Recorder(self.run.path, self.state, self.device, listener) as self.recorder,
            gentle_interrupt() as asked_to_stop,
        ):
            if self.state.step == 0:
                self._keep_epoch()
                self._checkpoint()
            between_epochs = self.state.epoch and not self.state.batch
            stopped = self._why_stop() if between_epochs else ""
            while not stopped:
                stopped = self._epoch(asked_to_stop) or self._why_stop()
                self._checkpoint()
            return stopped

    def _epoch(self, asked_to_stop: threading.Event) -> str:
        """The rest of an epoch and its evaluation, with checkpoints on the way."""
        state, saved = self.state, time.monotonic()
        self.model.train()
        # An epoch has a step at least, however short the budget: what is evaluated has been trained.
        while state.batch < len(self.batches) and (state.batch == 0 or self.clock.share(state.step) < 1):
            self._step()
            if asked_to_stop.is_set():
                return "interrupted"
            if self.recorder.meter.due:
                self.recorder.read(self.clock)
            if time.monotonic() - saved > self.config.checkpoint_every and state.batch < len(self.batches):
                self._checkpoint()
                saved = time.monotonic()
        self.recorder.read(self.clock)
        self._end_epoch()
        return ""

    def _step(self) -> None:
        state, began = self.state, time.monotonic()
        images_NCHW, labels_N = self.batches(state.epoch, state.batch)
        images_NCHW = images_NCHW.to(self.device, memory_format=self.format.memory_format)
        labels_N = labels_N.to(self.device)
        ready = time.monotonic()

        torch.manual_seed(self.config.seed * 1_000_003 + state.step)  # dropout is a function of the step, too
        lr = self.config.lr * self.schedule(*self.clock.schedule_position(state.step), state.valid_losses)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        with self.format.autocast(self.device):
            logits_NC = self.model(images_NCHW)
        loss = loss_of(self.config.loss, logits_NC, labels_N, self.config.label_smoothing)
        loss.backward()
        norm = self._gradient_norm()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

        state.step += 1
        state.batch += 1
        if state.epoch == 0:  # no evaluation has been timed yet: a forward pass is about a third of a step
            self.clock.reserve = (time.monotonic() - began) / len(labels_N) * len(self.cache.rows("valid")) / 3
        epoch = state.epoch + state.batch / len(self.batches)
        self.recorder.meter.add(state.step, epoch, lr, loss=loss, norm=norm, logits_NC=logits_NC, labels_N=labels_N)
        self.seconds_spent["data"] += ready - began
        self.seconds_spent["training"] += time.monotonic() - ready

    def _gradient_norm(self) -> Tensor:
        """Over all parameters, before any clipping."""
        parameters = [parameter for parameter in self.model.parameters() if parameter.grad is not None]
        if self.config.clip is not None:
            return clip_grad_norm_(parameters, self.config.clip)
        return get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])

    def _end_epoch(self) -> None:
        """Evaluate, keep the weights if they are the best so far, and write the epoch's row."""
        state, sums = self.state, self.state.sums
        valid = self.evaluate("valid")
        if not math.isfinite(valid.loss):  # before these weights could become the best
            raise TrainingError("training.weights_not_finite", step=state.step, run=self.run.path)
        state.epoch += 1
        state.batch = 0
        state.valid_losses.append(valid.loss)
        if state.keep_if_better(valid.accuracy, valid.loss):
            checkpoint.save(self.run.best, checkpoint.model_tensors(self.model), {"epoch": state.epoch})
        self._keep_epoch()
        self.recorder.end_epoch(
            {
                "step": state.step,
                "epoch": state.epoch,
                "train_loss": sums.loss / sums.photos,
                "train_accuracy": sums.right / sums.photos,
                "valid_loss": valid.loss,
                "valid_accuracy": valid.accuracy,
                "seconds": self.clock.seconds,
            }
        )
        sums.clear()

    def _keep_epoch(self) -> None:
        """Weights after an epoch, 0 before the first, if wanted; an epoch that is done again writes the same again."""
        if self.config.keep_epochs:
            epoch = self.state.epoch
            checkpoint.save(self.run.epoch_weights(epoch), checkpoint.model_tensors(self.model), {"epoch": epoch})

    def _why_stop(self) -> str:
        """Whether an epoch that has just ended was the last, and why."""
        if self.clock.share(self.state.step) >= 1:
            return "done" if self.config.budget is None else "budget"
        if self.config.patience and self.state.epoch - self.state.best_epoch >= self.config.patience:
            return "patience"
        return ""

    def _checkpoint(self) -> None:
        """Keep all that is needed to go on; never over a good checkpoint with weights that are no numbers."""
        self.recorder.read(self.clock)
        self.state.seconds = self.clock.seconds
        weights = [parameter.detach() for parameter in self.model.parameters()]
        if not torch.isfinite(get_total_norm(weights)):
            raise TrainingError("training.weights_not_finite", step=self.state.step, run=self.run.path)
        tensors, numbers = checkpoint.optimizer_tensors(self.optimizer)
        clock = {"first_step_at": self.first_step_at, "reserve": self.clock.reserve}
        facts = {"state": self.state.to_dict(), "optimizer": numbers, "clock": clock}
        checkpoint.save(self.run.last, checkpoint.model_tensors(self.model) | tensors, facts)
        self.recorder.restart_rate()

    def restore(self) -> None:
        """Go back to the last checkpoint.

        Raises:
            RunError: it is missing, or of another version or network.
        """
        tensors, facts = checkpoint.load(self.run.last)
        checkpoint.load_model(self.model, tensors)
        checkpoint.load_optimizer(self.optimizer, tensors, facts["optimizer"])
        self.state = State.from_dict(facts["state"])
        self.first_step_at, self.reserve = facts["clock"]["first_step_at"], facts["clock"]["reserve"]

    def use_best(self) -> None:
        """Go to the weights of the best epoch, for evaluation."""
        tensors, _ = checkpoint.load(self.run.best)
        checkpoint.load_model(self.model, tensors)

    def evaluate(self, split: Split) -> Score:
        """Loss and accuracy of the present weights on a split."""
        began = time.monotonic()
        logits_NC = logits_of(self.model, self._plain_batches(split))
        result = score(logits_NC, torch.from_numpy(self.cache.labels(split)), self.config.loss)
        self.clock.reserve = time.monotonic() - began  # the last one must fit into the budget, too
        self.seconds_spent["evaluation"] += self.clock.reserve
        return result

    def features(self, split: Split) -> dict[str, Tensor]:
        """Logits, and the features at the taps, of the present weights on a split."""
        return features_of(self.model, self._plain_batches(split))

    def has_labels(self, split: Split) -> bool:
        """Whether the photos of a split can be scored."""
        labels = self.cache.labels(split)
        return len(labels) > 0 and bool((labels >= 0).all())

    def _plain_batches(self, split: Split) -> Iterator[Tensor]:
        return plain_batches(
            self.cache.images_NHWC,
            self.cache.rows(split),
            size=self.batches.size,
            batch_size=min(EVALUATION_BATCH, 2 * self.config.batch_size),  # what trains must not fail here
            mean=self.run.data["mean"],
            std=self.run.data["std"],
        )
