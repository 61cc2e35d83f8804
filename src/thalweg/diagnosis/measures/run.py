"""What the histories and the configuration of a run say, for a diagnosis that opens it and for its report."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis.measures.replicas import of_rates
from thalweg.diagnosis.measures.trends import accuracy_trends, of_history
from thalweg.runs.config import without_effect


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thalweg.history import History


def of_run(
    steps: History,
    epochs: History | None,
    layers: History | None = None,
    *,
    configuration: Mapping[str, Any],
    processes: History | None = None,
) -> dict[str, float]:
    """Measure the histories of a run.

    Args:
        steps: with the columns `step` and `loss`, and whatever else was recorded.
        epochs: with losses and accuracies on the training and validation splits; None, or without them: unknown.
        layers: of each layer; None: not recorded.
        configuration: of the run, as `TrainingConfig.to_dict` writes it.
        processes: photos per second of each; None: one process.

    Example:
        >>> from thalweg.history import History
        >>> history = History({"step": "", "loss": "nat"})
        >>> for step in range(20):
        ...     history.append(step=step, loss=1.0)
        >>> of_run(history, None, configuration={"fit_head": True, "freeze": "all"})["only_classifier"]
        1.0
    """
    known = set(epochs.units) if epochs is not None and len(epochs) else set()
    has_losses = {"train_loss", "valid_loss"} <= known
    found = of_history(
        {name: steps[name] for name in steps.units},
        layers=layers,
        valid_loss=epochs["valid_loss"] if epochs is not None and has_losses else (),
        train_loss=float(epochs["train_loss"][-1]) if epochs is not None and has_losses else math.nan,
    )
    if epochs is not None and {"train_accuracy", "valid_accuracy"} <= known:
        found |= accuracy_trends(epochs["train_accuracy"], epochs["valid_accuracy"])
    if processes is not None:
        found |= of_rates(processes)
    return found | {"only_classifier": float("optimizer" in without_effect(configuration))}
