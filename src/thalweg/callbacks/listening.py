"""What both callbacks do: open a watch when a training begins, close steps, diagnose at the end."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis.watching import Watch


if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.measures.twins import Batch, LossFunction
    from thalweg.diagnosis.verdict import Verdict


class Listener:
    """A watch that a trainer opens, feeds and closes.

    Args:
        batch: inputs and targets that questions are asked with at the end; without, only the history speaks.
        loss_fn: of (outputs, targets), with `batch`.
        save: a folder to leave the watch in, for `thalweg diagnose FOLDER`.
        tell: is handed the verdict at the end, such as `print`.

    Attributes:
        watch: while and after a training; None before.
        verdict: after a training; None before.
    """

    def __init__(
        self,
        *,
        batch: Batch | None = None,
        loss_fn: LossFunction | None = None,
        save: Path | str | None = None,
        tell: Callable[[Verdict], Any] | None = print,
    ) -> None:
        self.batch, self.loss_fn, self.save, self.tell = batch, loss_fn, save, tell
        self.watch: Watch | None = None
        self.verdict: Verdict | None = None

    def open(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Begin to watch; a watch that is open already is closed first."""
        self.close()
        self.watch, self.verdict = Watch(model, optimizer), None
        self.watch.__enter__()

    def step(self, loss: Any) -> None:
        """Close a step; where no loss is known, the step is left open."""
        if self.watch is not None and loss is not None:
            self.watch.step(loss)

    def validate(self, loss: Any) -> None:
        """Tell a validation loss, if it is one."""
        if self.watch is not None and loss is not None and math.isfinite(float(loss)):
            self.watch.validate(float(loss))

    def finish(self) -> None:
        """Diagnose, save and tell."""
        if self.watch is None:
            return
        self.close()
        self.verdict = self.watch.diagnose(batch=self.batch, loss_fn=self.loss_fn)
        if self.save is not None:
            self.watch.save(self.save)
        if self.tell is not None:
            self.tell(self.verdict)

    def close(self) -> None:
        """Let go of model and optimizer; what was measured stays."""
        if self.watch is not None:
            self.watch.__exit__(None, None, None)
