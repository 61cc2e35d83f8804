"""Callbacks that watch a training loop of another library: Lightning or the transformers Trainer.

Each is a thin class around `thalweg.watch`, and comes with the extra `callbacks`. A library is imported when its
callback is created.
"""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import torch

from thalweg.diagnosis.watching import Watch
from thalweg.errors import MissingExtraError, UsageError
from thalweg.probes.hooks import around_forward
from thalweg.probes.pair import pair_of


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.verdict import Verdict
    from thalweg.probes.batches import LossFunction

__all__ = ["Listener", "lightning_callback", "transformers_callback"]

logger = logging.getLogger("thalweg")
PACKAGES = ("lightning.pytorch", "pytorch_lightning")  # two names of one library
VALIDATION_LOSS = "val_loss"


class Listener:
    """A watch that a trainer opens, feeds and closes.

    Args:
        batch: one batch or several for the diagnosis at the end, in any form of `thalweg.probes.batches`; without one,
            the diagnosis reads only the history.
        loss_fn: called with (outputs, targets); None: the outputs hold the loss.
        save: the folder in which to save the watch, for `thalweg diagnose FOLDER`.
        tell: called with the verdict at the end, such as `print`.

    Attributes:
        watch: the watch; None before training starts.
        verdict: the diagnosis; None until training ends.
    """

    def __init__(
        self,
        *,
        batch: Any = None,
        loss_fn: LossFunction | None = None,
        save: Path | str | None = None,
        tell: Callable[[Verdict], Any] | None = print,
    ) -> None:
        self.batch, self.loss_fn, self.save, self.tell = batch, loss_fn, save, tell
        self.watch: Watch | None = None
        self.verdict: Verdict | None = None

    def open(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        """Start watching; close a watch that is already open.

        If this is not a torch module and a torch optimizer, that is said, and the training goes on unwatched.
        """
        self.close()
        self.watch = self.verdict = None
        try:
            self.watch = Watch(*pair_of(model, optimizer))
        except UsageError as error:
            logger.warning(str(error))
            return
        self.watch.__enter__()

    def step(self, loss: Any) -> None:
        """Close a step; without a known loss, leave it open."""
        if self.watch is not None and loss is not None:
            self.watch.step(loss)

    def validate(self, loss: Any) -> None:
        """Record a validation loss if it is a finite number."""
        try:
            value = float(loss)
        except (TypeError, ValueError, RuntimeError):  # nothing, or more than one number
            return
        if self.watch is not None and math.isfinite(value):
            self.watch.validate(value)

    def finish(self) -> None:
        """Diagnose, save, and hand the verdict to `tell`."""
        if self.watch is None:
            return
        self.close()
        if not len(self.watch.steps):
            self.watch.note("no_loss")
        self.verdict = self.watch.diagnose(batch=self.batch, loss_fn=self.loss_fn)
        if self.save is not None:
            self.watch.save(self.save)
        if self.tell is not None:
            self.tell(self.verdict)

    def close(self) -> None:
        """Release the model and the optimizer; keep the measurements."""
        if self.watch is not None:
            self.watch.__exit__(None, None, None)


def lightning_callback(*, monitor: str = VALIDATION_LOSS, **options: Any) -> Any:
    """Return a Lightning callback that watches training and diagnoses it at the end.

    Args:
        monitor: the name under which the module logs its validation loss.
        **options: passed to `Listener`: `batch`, `loss_fn`, `save`, `tell`.

    Returns:
        A `lightning.pytorch.Callback`, for `Trainer(callbacks=[...])`; its `listener` holds the watch and the verdict.
        If a module has several optimizers, only the first is watched; without one, nothing is.

    Raises:
        MissingExtraError: Lightning is not installed.

    Source: https://lightning.ai/docs/pytorch/stable/extensions/callbacks.html.
    """
    library = _import_lightning()
    base: Any = library.Callback

    class WatchCallback(base):
        """Forwards Lightning's events to a listener."""

        def __init__(self) -> None:
            super().__init__()
            self.listener = Listener(**options)

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.listener.open(pl_module, next(iter(trainer.optimizers), None))
            self._steps = trainer.global_step

        def on_train_batch_end(self, trainer: Any, _module: Any, outputs: Any, *_: Any) -> None:
            if trainer.global_step > self._steps:  # while gradients are accumulated, no step was taken
                self._steps = trainer.global_step
                self.listener.step(outputs.get("loss") if isinstance(outputs, dict) else outputs)

        def on_validation_epoch_end(self, trainer: Any, _module: Any) -> None:
            if not getattr(trainer, "sanity_checking", False):
                self.listener.validate(trainer.callback_metrics.get(monitor))

        def on_exception(self, *_: Any) -> None:
            self.listener.close()

        def on_train_end(self, *_: Any) -> None:
            self.listener.finish()

    return WatchCallback()


def _import_lightning() -> ModuleType:
    for name in PACKAGES:
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name not in {name, name.partition(".")[0]}:
                raise
    raise MissingExtraError("pytorch-lightning", "callbacks")


def transformers_callback(**options: Any) -> Any:
    """Return a `TrainerCallback` that watches training and diagnoses it at the end.

    The Trainer does not pass the loss of each step to its callbacks, so a hook on the model reads `outputs.loss`, which
    every transformers model returns when it gets labels.

    Args:
        **options: of `Listener`: `batch`, `loss_fn`, `save`, `tell`.

    Returns:
        A callback for `Trainer(callbacks=[...])`; its `listener` holds the watch and the verdict.

    Raises:
        MissingExtraError: transformers is not installed.

    Source: https://huggingface.co/docs/transformers/main_classes/callback.
    """
    base: Any = _import_base()

    class WatchCallback(base):
        """Forwards the Trainer's events to a listener."""

        def __init__(self) -> None:
            super().__init__()
            self.listener = Listener(**options)
            self._losses: list[torch.Tensor] = []
            self._hook = ExitStack()

        def on_train_begin(self, _args: Any, _state: Any, _control: Any, **given: Any) -> None:
            model, optimizer = given["model"], given["optimizer"]
            # the Trainer wraps the torch optimizer, which takes the actual step
            self.listener.open(model, getattr(optimizer, "optimizer", optimizer))
            self._losses.clear()
            self._hook.close()  # of a training that ended with an error
            self._hook = around_forward(model, after=partial(self._keep, model))

        def on_step_end(self, *_: Any, **_given: Any) -> None:
            if self._losses:  # several if gradients are accumulated: the step minimized their mean
                self.listener.step(torch.stack(self._losses).mean())
                self._losses.clear()

        def on_evaluate(self, *_: Any, metrics: Any = None, **_given: Any) -> None:
            self.listener.validate((metrics or {}).get("eval_loss"))

        def on_train_end(self, *_: Any, **_given: Any) -> None:
            self._hook.close()
            self.listener.finish()

        def _keep(self, model: Any, outputs: Any) -> None:
            loss = outputs.get("loss") if isinstance(outputs, dict) else getattr(outputs, "loss", None)
            if model.training and isinstance(loss, torch.Tensor):
                self._losses.append(loss.detach())

    return WatchCallback()


def _import_base() -> Any:
    try:
        return import_module("transformers").TrainerCallback
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise MissingExtraError("transformers", "callbacks") from error
