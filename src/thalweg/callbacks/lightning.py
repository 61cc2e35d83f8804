"""A callback for Lightning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from thalweg.callbacks.listening import Listener
from thalweg.errors import MissingExtraError


if TYPE_CHECKING:
    from types import ModuleType

PACKAGES = ("lightning.pytorch", "pytorch_lightning")  # two names of one library
VALIDATION_LOSS = "val_loss"


def lightning_callback(*, monitor: str = VALIDATION_LOSS, **options: Any) -> Any:
    """A Lightning callback that watches the training and diagnoses it at its end.

    Args:
        monitor: name under which the module logs its validation loss.
        **options: of `Listener`: `batch`, `loss_fn`, `save`, `tell`.

    Returns:
        A `lightning.pytorch.Callback`, for `Trainer(callbacks=[...])`; its `listener` holds watch and verdict.
        A module with several optimizers is watched at the first.

    Raises:
        MissingExtraError: Lightning is not installed.

    Source: https://lightning.ai/docs/pytorch/stable/extensions/callbacks.html.
    """
    library = _import_lightning()
    base: Any = library.Callback

    class WatchCallback(base):
        """Hands what Lightning tells to a listener."""

        def __init__(self) -> None:
            super().__init__()
            self.listener = Listener(**options)

        def on_train_start(self, trainer: Any, pl_module: Any) -> None:
            self.listener.open(pl_module, trainer.optimizers[0])
            self._steps = trainer.global_step

        def on_train_batch_end(self, trainer: Any, _module: Any, outputs: Any, *_: Any) -> None:
            if trainer.global_step > self._steps:  # while gradients are accumulated, no step was taken
                self._steps = trainer.global_step
                self.listener.step(outputs["loss"] if isinstance(outputs, dict) else outputs)

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
