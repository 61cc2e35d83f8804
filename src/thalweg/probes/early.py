"""Whether the gradients of a step were cleared between its backward pass and the optimizer's step."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.nn.parameter import is_lazy

from thalweg.probes.wiring import is_able


if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor


class EarlyClearing:
    """Tells exactly which gradients arrived and were gone when the optimizer stepped.

    A tensor without a gradient at one look is listened to until the next: if a pass gives it a gradient, and the step
    finds none, its gradient was cleared. A tensor that was written to since then is trained by somebody else, as where
    each tensor's hook steps an optimizer of its own. Tensors with gradients are not listened to.
    """

    def __init__(self) -> None:
        self._hooks = ExitStack()
        self._heard: set[int] = set()  # ids of the tensors that are listened to
        self._arrived: dict[int, int] = {}  # id of a tensor to its version when its gradient arrived

    def look(self, parameters: Sequence[Tensor]) -> float | None:
        """Look at the gradients that a step begins with, and listen to the tensors without one from now on.

        Args:
            parameters: all trained parameters.

        Returns:
            The share of their values whose gradient was cleared, of those that ask for one; None: not known yet.
        """
        asking = [parameter for parameter in parameters if parameter.requires_grad and not is_lazy(parameter)]
        without = [parameter for parameter in asking if parameter.grad is None and is_able(parameter)]
        cleared = sum(p.numel() for p in without if self._arrived.get(id(p)) == p._version)  # noqa: SLF001 - no public name
        known = all(id(parameter) in self._heard for parameter in without)
        if self._heard != {id(parameter) for parameter in without}:
            self.forget()
            self._heard = {id(parameter) for parameter in without}
            for parameter in without:
                self._hooks.callback(parameter.register_post_accumulate_grad_hook(self._note).remove)
        return cleared / sum(parameter.numel() for parameter in asking) if known and asking else None

    def stepped(self) -> None:
        """Forget what arrived before a step."""
        self._arrived.clear()

    def forget(self) -> None:
        """Stop listening."""
        self._hooks.close()
        self._heard.clear()
        self._arrived.clear()

    def _note(self, parameter: Tensor) -> None:
        if parameter.grad is not None:  # else a hook of the program has used it
            self._arrived[id(parameter)] = parameter._version  # noqa: SLF001 - as above


def zeroed(arrived: Tensor, length: Tensor) -> Callable[[], float]:
    """What tells 1.0 if a gradient arrived that was not zero, and all are zero when the optimizer steps; else 0.0."""
    return partial(_is_zeroed, arrived.detach(), length)


def _is_zeroed(arrived: Tensor, length: Tensor) -> float:
    return float(float(length) == 0 and bool(torch.isfinite(arrived)) and float(arrived) > 0)
