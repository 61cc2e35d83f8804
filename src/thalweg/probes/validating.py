"""In which mode a model is validated: seen in its passes without gradients between a step and the next validation."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import torch

from thalweg.probes.hooks import around_forward


if TYPE_CHECKING:
    from torch import nn


class ValidationMode:
    """Tells whether validation leaves a model in training mode.

    A model in evaluation mode at the first validation tells at once. One in training mode may have been set back, so
    its passes are listened to until the next validation, and no longer.

    Args:
        model: the model in training.

    Attributes:
        in_training: share of the passes of a validation that ran in training mode; 0 without one, NaN: unknown.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._hooks = ExitStack()
        self._listens = self._told = False
        self._modes: list[bool] = []  # of the passes without gradients since the last step
        self.in_training = 0.0

    def stepped(self) -> None:
        """Forget the passes before a step: they are none of a validation's."""
        self._modes.clear()

    def validated(self) -> None:
        """Look at the mode when a validation has ended."""
        if self._told:
            return
        if self._modes:
            self.in_training = sum(self._modes) / len(self._modes)
        else:
            self.in_training = float("nan") if self._model.training else 0.0
        if self._listens or not self._model.training:
            self._told = True
            self.close()
        else:
            self._listens = True
            self._hooks = around_forward(self._model, self._enter)

    def close(self) -> None:
        """Listen no more."""
        self._hooks.close()
        self._modes.clear()

    def _enter(self, _inputs: Any) -> None:
        if not torch.is_grad_enabled():
            self._modes.append(self._model.training)
