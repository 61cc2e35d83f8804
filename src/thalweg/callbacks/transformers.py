"""A callback for the Trainer of transformers."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from thalweg.callbacks.listening import Listener
from thalweg.errors import MissingExtraError


def transformers_callback(**options: Any) -> Any:
    """A `TrainerCallback` that watches the training and diagnoses it at its end.

    The Trainer tells its callbacks no loss of a single step, so a hook on the model reads `outputs.loss`, which every
    model of transformers returns where it is given labels.

    Args:
        **options: of `Listener`: `batch`, `loss_fn`, `save`, `tell`.

    Returns:
        A callback for `Trainer(callbacks=[...])`; its `listener` holds watch and verdict.

    Raises:
        MissingExtraError: transformers is not installed.

    Source: https://huggingface.co/docs/transformers/main_classes/callback.
    """
    base: Any = _import_base()

    class WatchCallback(base):
        """Hands what the Trainer tells to a listener."""

        def __init__(self) -> None:
            super().__init__()
            self.listener = Listener(**options)
            self._losses: list[torch.Tensor] = []
            self._hook: Any = None

        def on_train_begin(self, _args: Any, _state: Any, _control: Any, **told: Any) -> None:
            model, optimizer = told["model"], told["optimizer"]
            # the Trainer wraps the optimizer of torch, which is what takes the step
            self.listener.open(model, getattr(optimizer, "optimizer", optimizer))
            self._losses.clear()
            self._hook = model.register_forward_hook(self._keep)

        def on_step_end(self, *_: Any, **_told: Any) -> None:
            if self._losses:  # several where gradients are accumulated: their mean is what was minimized
                self.listener.step(torch.stack(self._losses).mean())
                self._losses.clear()

        def on_evaluate(self, *_: Any, metrics: Any = None, **_told: Any) -> None:
            self.listener.validate((metrics or {}).get("eval_loss"))

        def on_train_end(self, *_: Any, **_told: Any) -> None:
            if self._hook is not None:
                self._hook.remove()
            self.listener.finish()

        def _keep(self, module: Any, _inputs: Any, outputs: Any) -> None:
            loss = outputs.get("loss") if isinstance(outputs, dict) else getattr(outputs, "loss", None)
            if module.training and isinstance(loss, torch.Tensor):
                self._losses.append(loss.detach())

    return WatchCallback()


def _import_base() -> Any:
    try:
        return import_module("transformers").TrainerCallback
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise MissingExtraError("transformers", "callbacks") from error
