"""Were the gradients cleared before this backward pass? Asked of one small tensor, and answered exactly.

Let g be what this backward pass adds to the tensor's gradient, G what the gradient was after the last optimizer step,
and G' what it is now. Cleared: G' = g. Not cleared: G' = G + g.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch


if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor
    from torch.utils.hooks import RemovableHandle


class ClearingCheck:
    """Listens to the backward pass of one tensor, for one step at a time.

    Args:
        parameters: all that are trained; the smallest with more than one number is listened to.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        able = [p for p in parameters if p.requires_grad and p.is_leaf and p.numel() > 1]
        self._parameter = min(able, key=torch.Tensor.numel) if able else None
        self._handle: RemovableHandle | None = None
        self._incoming: Tensor | None = None
        self._before: Tensor | None = None

    def prepare(self, *, after_step: bool) -> None:
        """Listen to the step that comes.

        Args:
            after_step: whether the optimizer has stepped since the last call: in between, accumulating is meant.
        """
        self.forget()
        if self._parameter is None:
            return
        self._before = None
        if after_step and self._parameter.grad is not None and not self._parameter.grad.is_sparse:
            self._before = self._parameter.grad.detach().clone()
        self._incoming = None
        self._handle = self._parameter.register_hook(self._add)

    def _add(self, gradient: Tensor) -> None:
        gradient = gradient.detach()
        self._incoming = gradient.clone() if self._incoming is None else self._incoming + gradient

    def verdict(self) -> Tensor | None:
        """1.0 where the gradient is last step's plus this one's, else 0.0, on the device; None when not known."""
        if self._parameter is None or self._parameter.grad is None or self._incoming is None or self._before is None:
            return None
        rest = self._parameter.grad.detach() - self._incoming
        length = self._before.norm()
        off = (rest - self._before).norm()
        # what is left must be last step's gradient, and that must be more than rounding of this one
        kept = (off < 1e-3 * length) & (length > 1e-4 * self._incoming.norm())
        return kept.float()

    def forget(self) -> None:
        """Stop listening."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
