"""All questions that are asked of copies of a model with a batch; each may fail without the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.bends import bends
from thalweg.diagnosis.measures.noise import noise_of
from thalweg.diagnosis.measures.trials import Trials, scale_of
from thalweg.diagnosis.randomness import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.diagnosis.measures.twins import Batch, LossFunction

MOST_BATCHES = 8


def batches_of(batch: Batch | Sequence[Batch] | None) -> list[Batch]:
    """One pair, or the first few of several, as a list of pairs."""
    if batch is None:
        return []
    if isinstance(batch, tuple) and len(batch) == 2 and not all(_is_pair(part) for part in batch):
        return [batch]
    return [pair for pair, _ in zip(batch, range(MOST_BATCHES), strict=False)]


def ask(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFunction,
    batches: Sequence[Batch],
    known: Mapping[str, float],
    *,
    seconds: float,
) -> tuple[dict[str, float], list[str]]:
    """Ask everything.

    Args:
        model: only copies of it are run.
        optimizer: only copies of it step.
        loss_fn: of (outputs, targets).
        batches: one at least.
        known: what the history says.
        seconds: that the trials may take.

    Returns:
        The measures, and which questions failed (`batch`, `curvature`, `noise`, `trials`).
    """
    found: dict[str, float] = {}
    failed: list[str] = []

    def attempt(what: str, question: Callable[[], dict[str, float]]) -> None:
        try:
            with own_randomness(0):  # whatever the user's model draws from, and whichever question runs it
                found.update(question())
        except Exception:  # noqa: BLE001 - an answer that is not to be had is said, and the others are asked
            failed.append(what)

    attempt("batch", lambda: of_batch(model, loss_fn, batches))
    scale = scale_of(found.get("loss_constant", math.nan), known.get("loss_first", math.nan))
    found["scale"] = scale
    attempt("noise", lambda: noise_of(model, loss_fn, batches))
    attempt("curvature", lambda: bends(model, optimizer, loss_fn, batches[:2], scale=scale))
    trials = Trials(model, optimizer, loss_fn, batches, scale, seconds)
    attempt("trials", lambda: trials.measures(known.get("lr_most", math.nan)))
    return found, failed


def _is_pair(item: Any) -> bool:
    return isinstance(item, tuple | list) and len(item) == 2
