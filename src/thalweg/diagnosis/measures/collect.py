"""Collect the measures of the wiring, of the weight decay and of a batch; one may fail without the others."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from thalweg.diagnosis.measures.batch import of_batch
from thalweg.diagnosis.measures.gains import Gains, scale_of
from thalweg.diagnosis.measures.gradients import curvature_of, noise_of
from thalweg.probes.copies import own_randomness


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn
    from torch.optim import Optimizer

    from thalweg.probes import Wiring
    from thalweg.probes.batches import Batch, LossFunction

MOST_BATCHES = 8


def ask(
    model: nn.Module,
    optimizer: Optimizer,
    loss_fn: LossFunction,
    batches: Sequence[Batch],
    known: Mapping[str, float],
    *,
    seconds: float,
    progress: Callable[[str, float, float], None] = lambda _stage, _done, _total: None,
) -> tuple[dict[str, float], list[str]]:
    """Take all measures that need a batch, on copies of the model.

    Args:
        model: only copies of it run.
        optimizer: only copies of it step.
        loss_fn: of (outputs, targets).
        batches: at least one.
        known: the measures of the history.
        seconds: about how long the short runs may take.
        progress: receives the stage (the names of failures), and how much of it is done.

    Returns:
        The measures, and the names of those that failed (`batch`, `curvature`, `noise`, `short_runs`).
    """
    found: dict[str, float] = {}
    failed: list[str] = []

    def attempt(what: str, question: Callable[[], dict[str, float]]) -> None:
        progress(what, 0, 1)
        try:
            with own_randomness(0):  # the user's model may draw random numbers
                found.update(question())
        except Exception:  # noqa: BLE001 - the verdict reports it, and the others go on
            failed.append(what)

    attempt("batch", lambda: of_batch(model, loss_fn, batches))
    scale = scale_of(found.get("loss_constant", math.nan), known.get("loss_first", math.nan))
    found["scale"] = scale
    attempt("noise", lambda: noise_of(model, loss_fn, batches))
    attempt("curvature", lambda: curvature_of(model, optimizer, loss_fn, batches[:2], scale=scale))
    gains = Gains(model, optimizer, loss_fn, batches, scale, seconds, partial(progress, "short_runs"))
    attempt("short_runs", lambda: gains.measures(known.get("lr_most", math.nan)))
    return found, failed


def wiring_measures(wiring: Wiring) -> dict[str, float]:
    """Turn the wiring into measures."""
    return {
        "missing": wiring.missing,
        "frozen": wiring.frozen,
        "stopped": wiring.stopped,
        "foreign": wiring.foreign,
    }


def decay_measures(optimizer: Optimizer, found: dict[str, float]) -> dict[str, float]:
    """The weight decay relative to the gradient: `decay_to_gradient` is `λ|θ| / |g|`."""
    decays = [float(group.get("weight_decay") or 0.0) for group in optimizer.param_groups]
    decay = max(decays, default=0.0)
    if not decay:
        return {}
    gradient, norm = (found.get(name, math.nan) for name in ("gradient_last", "weight_norm"))
    return {"decay_to_gradient": decay * norm / gradient if gradient else math.inf}
