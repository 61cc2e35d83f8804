"""The training loop: `run_to_end` over `_epoch` over `step`.

Shape suffixes: N photos of a batch, C channels or classes, H height, W width.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import torch
from torch.nn.utils import get_total_norm

from thalweg import models, schedules
from thalweg.data.augmentation import augmentation
from thalweg.data.batches import Batches
from thalweg.distributed.team import Heard, Team
from thalweg.errors import TrainingError
from thalweg.probes import LayerProbe
from thalweg.runs import checkpoint, schema
from thalweg.training.features import Features
from thalweg.training.fitting import HeadFit
from thalweg.training.losses import Objective, Targets, weights_of_classes
from thalweg.training.machine import gentle_interrupt
from thalweg.training.number_format import Format
from thalweg.training.optimizers import build_optimizer, set_rate
from thalweg.training.progress import Clock, State
from thalweg.training.record import Recorder, Witness
from thalweg.training.splits import Splits, augmenter_of
from thalweg.training.start import begin_at_shares
from thalweg.training.step import Gradients
from thalweg.training.stepping import batch_step
from thalweg.training.weight_averaging import Average, at_average


if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import Any

    from torch import Tensor, nn

    from thalweg.data import Cache
    from thalweg.data.photos import Split
    from thalweg.runs import Run
    from thalweg.training.evaluation import Score
    from thalweg.training.progress import Listener

NORM_BATCHES = 16  # that batch-norm statistics are estimated from before an evaluation
NOTHING = b""  # what the first process gives the others if it was asked to stop before it had anything
MOST_SAVING = 0.05  # fraction of the time for checkpoints at epoch ends: on a GPU one can take half a second


class TrainingLoop:
    """A training run in progress: the network, optimizer and batches of its configuration.

    Args:
        run: the run; its environment gives device, precision and layout.
        cache: its photos.
        seconds_before: time spent on preparation, which counts toward the budget.
        like: another training on the same photos from the same weights, whose photos and features are used.
        initial: weights and buffers to start from, by name; None: random weights, which the seed determines.
        team: the processes of the training; None: this one alone.
        threads: that work side by side on the shards of a batch; None: as many as the run began with.
    """

    def __init__(
        self,
        run: Run,
        cache: Cache,
        *,
        seconds_before: float = 0.0,
        like: TrainingLoop | None = None,
        initial: Mapping[str, Tensor] | None = None,
        team: Team | None = None,
        threads: int | None = None,
    ) -> None:
        config = run.config
        self.team = team or Team()
        self.run, self.cache, self.config = run, cache, config
        self.device = torch.device(run.environment["device"])
        self.format = Format(run.environment["precision"], run.environment["layout"])
        self._initial = initial
        self.model = self._network()
        models.set_drop_path(self.model, config.drop_path)
        models.freeze(self.model, config.freeze, config.norms)
        self.optimizer = build_optimizer(self.model, config)
        self.layers = LayerProbe(self.model)
        self.schedule = schedules.parse(config.schedule)
        self.augmenter = like.augmenter if like else augmenter_of(cache, run.data, self.device)
        self.head_features = like.head_features if like else Features(self.model, self.augmenter, cache, run)
        labels = cache.labels("train")
        self.batches = Batches(
            self.augmenter,
            cache.rows("train"),
            labels,
            size=config.size,
            batch_size=config.batch_size,
            policy=augmentation(config.augment),
            seed=config.seed,
            sampling=config.sampling,
        )
        known_C = weights_of_classes(config.class_weights, labels, len(run.classes))
        weights_C = None if known_C is None else torch.from_numpy(known_C).to(self.device)
        objective = Objective(config.loss, config.label_smoothing, weights_C)
        self.gradients = Gradients(self.model, objective, self.format, clip_grad_norm=config.clip_grad_norm)
        machine = {"device": self.device, "team": self.team, "threads": threads or run.environment["threads"]}
        self.lanes, self._take, self._update = batch_step(
            config, self.batches, self.gradients, self.optimizer, **machine
        )
        self.average = Average(self.model, self._network(), config.ema, self.lanes) if config.ema else None
        self._splits = Splits(cache, self.augmenter, config, self.lanes, len(run.classes))
        self.state = State(seconds=seconds_before)
        self.first_step_at, self.reserve = seconds_before, 0.0
        self.seconds_spent = {"preparing": seconds_before, "data": 0.0, "training": 0.0, "evaluation": 0.0}
        self._saved_at, self._saving_took = time.monotonic(), 0.0

    def _network(self) -> nn.Module:
        """The network with its initial weights: those given, else those that the seed determines."""
        torch.manual_seed(self.config.seed)
        model = models.build(self.config.model, classes=len(self.run.classes), size=self.config.size)
        if self._initial is not None:
            model.load_state_dict(self._initial)
        if self.run.task.several:
            begin_at_shares(model, self.run.data)
        return model.to(self.device, memory_format=self.format.memory_format)  # type: ignore[call-overload] - torch types leave it out

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds spent by activity, and `total`."""
        return {**self.seconds_spent, "total": self.clock.seconds}

    @property
    def evaluated(self) -> nn.Module:
        """The network to evaluate and keep: the averaged one if there is an average."""
        return self.average.twin if self.average else self.model

    def run_to_end(self, listener: Listener) -> str:
        """Train until epochs, budget or patience run out, or an interrupt asks to stop.

        Returns:
            Why it stopped: `done`, `budget`, `patience` or `interrupted`.

        Raises:
            TrainingError: the loss is not finite; the last good checkpoint is kept.
        """
        self._start_clock()
        self.gradients.on_smaller = lambda photos: listener.note("training.micro_batches", photos=photos)
        kind, units = Recorder if self.team.first else Witness, self.run.task.epoch_units(len(self.run.classes))
        with (
            kind(self.run.path, self.state, self.device, listener, self.layers, units) as self.recorder,
            gentle_interrupt(of_many=self.team.processes > 1) as asked_to_stop,
        ):
            self.meter = self.recorder.meter
            if self.team.first and self.state.step == 0 and not self.state.fitted:
                self._save_epoch()
                self._checkpoint()
                if self.config.fit_head and not self._fit_first(listener, asked_to_stop.is_set):
                    self.team.spread(NOTHING)
                    return "interrupted"
            if self.team.processes > 1 and not self._share_start():
                return "interrupted"
            between_epochs = self.state.epoch and not self.state.batch
            stopped = self._why_stop() if between_epochs else ""
            while not stopped:
                stopped = self._epoch(asked_to_stop) or self._why_stop()
                if stopped or time.monotonic() - self._saved_at > self._saving_took / MOST_SAVING:
                    self._checkpoint()
            return stopped

    def _start_clock(self) -> None:
        """Start or go on to count the time from the state."""
        self.clock = Clock(
            self.config, len(self.batches), seconds_before=self.state.seconds, first_step_at=self.first_step_at
        )
        valid, test = (len(self.cache.rows(split)) for split in ("valid", "test"))
        self.clock.reserve, self.clock.photos_after = self.reserve, 2 * valid + test
        self.clock.told = lambda: self.team.heard

    def fit_head(
        self, progress: Callable[[int, int], None] | None = None, stop: Callable[[], bool] | None = None
    ) -> HeadFit | None:
        """Fit the classifier to the features of the training split; None, and nothing changes, if `stop` says so."""
        fit = HeadFit.of(self.head_features, self.cache, self.run, progress=progress, stop=stop)
        if fit is not None:
            self.state.fitted = len(fit.iterations) - 1
            self._use_fit(fit, self.state.fitted)
        return fit

    def _use_fit(self, fit: HeadFit, number: int) -> None:
        fit.put_into(self.model, number)
        if self.average:
            self.average.restart(self.model)

    def _fit_first(self, listener: Listener, stop: Callable[[], bool]) -> bool:
        """Fit the classifier before the first step; False if an interrupt came first."""
        began = time.monotonic()
        fit = self.fit_head(lambda done, total: listener.working("features", done, total), stop)
        if fit is None:
            return False
        listener.note("training.head_fitted", **fit.facts())
        self.seconds_spent["preparing"] += time.monotonic() - began
        if self.config.only_head:
            self._record_fit(fit, listener)
        else:
            self.first_step_at = self.clock.begin_steps()
            self._save_epoch()
        self._checkpoint()
        return True

    def _record_fit(self, fit: HeadFit, listener: Listener) -> None:
        """Write a fit that is the whole training: each iteration, over all photos, is a step and an epoch."""
        rows = []
        for row in fit.epochs(self.state, self.config.loss, self.clock.seconds):
            rows.append(row)
            self._use_fit(fit, self.state.epoch)
            self._save_epoch()
        kept = self.state.epoch if self.config.keep == "last" else self.state.best_epoch
        self._use_fit(fit, kept)
        self.recorder.add(fit.step_rows(self.config.size), rows, fit.layer_rows())
        listener.epoch_ended(rows[-1])
        checkpoint.save(self.run.best, checkpoint.model_tensors(self.evaluated), {"epoch": kept})

    def _epoch(self, asked_to_stop: threading.Event) -> str:
        """Train the rest of an epoch and evaluate, saving checkpoints on the way."""
        state = self.state
        self.model.train()
        # An epoch has at least one step however short the budget is, so untrained weights are never evaluated.
        while state.batch < len(self.batches) and (state.batch == 0 or self.clock.share(state.step) < 1):
            self.team.say(Heard(asked_to_stop.is_set(), self.clock.seconds, self.clock.reserve))
            self.step()
            heard = self.team.heard
            if asked_to_stop.is_set() if heard is None else heard.stop:
                return "interrupted"
            if self.meter.due:
                self.recorder.read(self.clock)
            if time.monotonic() - self._saved_at > self.config.checkpoint_every and state.batch < len(self.batches):
                self._checkpoint()
        self.recorder.read(self.clock)
        self._end_epoch()
        return ""

    def step(self) -> None:
        """Train on the next batch; `clock` and `meter` are set."""
        state, began = self.state, time.monotonic()
        size = self.clock.size(state.step)
        lr = self.config.lr * self.schedule(*self.clock.schedule_position(state.step), state.valid_losses)
        set_rate(self.optimizer, lr)
        taken = self._take(state, size, mixes=self.clock.mixes(state.step))
        self.layers.before_step(state.step)
        self._update()
        self.layers.after_step()
        self.optimizer.zero_grad(set_to_none=True)

        state.step += 1
        state.batch += 1
        if self.average:
            self.average.update(state.step)
        if not state.valid_losses:  # no evaluation was timed yet: a forward pass takes about a third of a step
            larger = (self.config.sizes[-1] / size) ** 2
            self.clock.expect((time.monotonic() - began) / taken.photos / 3 * larger)
        epoch = state.epoch + state.batch / len(self.batches)
        self.meter.add(taken, step=state.step, epoch=epoch, lr=lr, size=size)
        self.seconds_spent["data"] += taken.seconds
        self.seconds_spent["training"] += time.monotonic() - began - taken.seconds

    def _end_epoch(self) -> None:
        """Count the epoch, and evaluate the weights if due."""
        state = self.state
        state.epoch += 1
        state.batch = 0
        if not self._evaluates() and self.clock.share(state.step) < 1:
            return
        with self.at_evaluation_weights():
            self._evaluate_epoch()

    def _evaluate_epoch(self) -> None:
        """Evaluate, keep the weights if `keep` selects them, and write the epoch's row."""
        state, sums = self.state, self.state.sums
        valid = self.evaluate("valid")
        if not math.isfinite(valid.loss):  # before these weights could be kept
            if not self.team.first:  # all processes find the same; the first says it
                raise self.team.until_said(TrainingError.exit_code)
            raise TrainingError("training.weights_not_finite", step=state.step, run=self.run.path)
        state.valid_losses.append(valid.loss)
        better = state.keep_if_better(valid.quality, valid.loss)
        if self.team.first and (better or self.config.keep == "last"):
            checkpoint.save(self.run.best, checkpoint.model_tensors(self.evaluated), {"epoch": state.epoch})
        self._save_epoch()
        counted = {"step": state.step, "epoch": state.epoch, "seconds": self.clock.seconds}
        self.recorder.end_epoch({**counted, **sums.means(), **valid.row()})
        sums.clear()

    def at_evaluation_weights(self) -> AbstractContextManager[None]:
        """Use the optimizer's evaluation weights if they differ from those of its steps."""
        images = (self.batches(self.state.epoch, index)[0] for index in range(min(len(self.batches), NORM_BATCHES)))
        on_device = (batch.to(self.device, memory_format=self.format.memory_format) for batch in images)
        return at_average(self.optimizer, self.model, on_device, self.format.autocast(self.device))

    def _save_epoch(self) -> None:
        """Save the epoch's weights if `save_every_epoch` is set; epoch 0 is the initial weights."""
        if self.config.save_every_epoch and self.team.first:
            epoch = self.state.epoch
            checkpoint.save(self.run.checkpoint(epoch), checkpoint.model_tensors(self.model), {"epoch": epoch})

    def _why_stop(self) -> str:
        """Return why training stops after the epoch that just ended; empty if it continues."""
        if self.config.only_head or self.clock.share(self.state.step) >= 1:
            return "done" if self.config.budget is None or self.config.only_head else "budget"
        patience = self.config.patience
        if patience and self._evaluates() and self.state.epoch - self.state.best_epoch >= patience:
            return "patience"
        return ""

    def _evaluates(self) -> bool:
        """Whether to evaluate the epoch that just ended."""
        return self.state.epoch % self.config.evaluate_every == 0

    def _checkpoint(self) -> None:
        """Save everything needed to resume; weights that are not finite never replace a good checkpoint."""
        if not self.team.first:
            return
        began = time.monotonic()
        self.recorder.read(self.clock)
        self.state.seconds = self.clock.seconds
        weights = [parameter.detach() for parameter in self.model.parameters()]
        if not torch.isfinite(get_total_norm(weights)):
            raise TrainingError("training.weights_not_finite", step=self.state.step, run=self.run.path)
        checkpoint.save(self.run.last, *self._snapshot())
        self._saved_at = time.monotonic()
        self._saving_took = self._saved_at - began
        self.recorder.restart_rate()

    def _snapshot(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return everything that a training needs to go on: tensors, and what is written as JSON."""
        clock = {"first_step_at": self.first_step_at, "reserve": self.clock.reserve, "spent": self.seconds_spent}
        twin = self.average.twin if self.average else None
        return checkpoint.snapshot(self.model, self.optimizer, twin, {"state": self.state.to_dict(), "clock": clock})

    def _share_start(self) -> bool:
        """Give all processes the state of the first; False if that one was asked to stop before it had one."""
        content = self.team.spread(checkpoint.packed(*self._snapshot()) if self.team.first else None)
        if content and not self.team.first:
            self._use(*checkpoint.unpacked(content))
            self.meter.sums = self.state.sums
            self._start_clock()
        self.team.hear(torch.tensor([0.0, self.state.seconds, self.clock.reserve]))
        return bool(content)

    def restore(self) -> None:
        """Restore the last checkpoint.

        Raises:
            RunError: it is missing, damaged, or belongs to another version or network.
        """
        self._use(*checkpoint.load(self.run.last, schema.LAST))

    def _use(self, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        twin = self.average.twin if self.average else None
        checkpoint.restore(self.model, self.optimizer, twin, (tensors, facts), self.run.last)
        self.state = State.from_dict(facts["state"])
        self.first_step_at, self.reserve = facts["clock"]["first_step_at"], facts["clock"]["reserve"]
        self.seconds_spent |= facts["clock"].get("spent", {})  # absent in older runs

    def use_best(self) -> int:
        """Load the kept weights for evaluation, and return their epoch."""
        tensors, facts = checkpoint.load(self.run.best, schema.KEPT)
        checkpoint.load_model(self.evaluated, tensors)
        return facts["epoch"]

    def evaluate(self, split: Split, **chosen: Any) -> Score:
        """Evaluate the current weights on a split, in fp32, so that all figures of a run agree.

        Args:
            split: the split to evaluate; its photos are not augmented.
            **chosen: `temperature` and `thresholds_C`, as `score` takes them.
        """
        began = time.monotonic()
        result = self._splits.score(self.evaluated, split, self.team, **chosen)
        self.seconds_spent["evaluation"] += (took := time.monotonic() - began)
        self.clock.expect(took / result.count)  # what comes after the last step must fit into the budget, too
        return result

    def batch_loss(self, logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        """The loss that a step minimizes, label smoothing and class weights included, for photos that are not mixed."""
        return self.gradients.objective(logits_NC, Targets(labels_N))

    def features(self, split: Split) -> Iterator[dict[str, Tensor]]:
        """Compute logits and the features at the taps with the current weights on a split, batch by batch."""
        return self._splits.features(self.evaluated, split)

    def plain_batches(self, split: Split) -> Iterator[Tensor]:
        """Yield the photos of a split, normalized but not augmented: (N, 3, H, W), in the order of the cache."""
        return self._splits.batches(split)
