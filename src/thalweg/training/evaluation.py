"""The results of a training run: loss and accuracy, validation outputs, temperature, summary."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from thalweg._files import write_bytes
from thalweg.runs import files
from thalweg.runs.probabilities import fitted_temperature
from thalweg.training.losses import loss_of


if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.runs import Run
    from thalweg.training.progress import State


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss (in nats for cross-entropy), fraction of correct photos, and number of photos."""

    loss: float
    accuracy: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON, which has no NaN."""
        return {**asdict(self), "loss": self.loss if math.isfinite(self.loss) else None}


def score(logits_NC: Tensor, labels_N: Tensor, loss: str) -> Score:
    """Return loss and accuracy of logits, without label smoothing, so that runs are comparable.

    Example:
        >>> score(torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1]), "cross-entropy").accuracy
        0.5
    """
    right = int((logits_NC.argmax(dim=1) == labels_N).sum())
    return Score(float(loss_of(loss, logits_NC, labels_N, 0.0)), right / len(labels_N), len(labels_N))


def keep_outputs(run: Run, outputs: Mapping[str, Tensor], labels_N: NDArray[Any]) -> dict[str, Any]:
    """Write the network's outputs on the validation split, and fit the temperature to them.

    Args:
        run: the run to write to.
        outputs: `logits` (N, C), `mid` and `top` (N, D), from the weights that the run kept.
        labels_N: the true classes.

    Returns:
        The summary's `valid` and `temperature`.
    """
    labels = torch.from_numpy(labels_N)
    write_bytes(run.evaluation, save({**outputs, "labels": labels}))
    found = score(outputs["logits"], labels, run.config.loss)
    return {"valid": found.to_dict(), "temperature": fitted_temperature(outputs["logits"].numpy(), labels_N)}


def write_summary(
    run: Run, state: State, seconds: Mapping[str, float], stopped: str, *, scores: Mapping[str, Any], message: str = ""
) -> None:
    """Write the results, and why training stopped.

    Args:
        run: the run to write to.
        state: the counters.
        seconds: time spent by activity, and `total`.
        stopped: `done`, `budget`, `patience`, `interrupted` or `nan`.
        scores: results of the final evaluation; empty if there was none.
        message: the message of the error, if any.
    """
    run.write_json(
        files.SUMMARY,
        {
            "stopped": stopped,
            "epochs": state.epoch,
            "steps": state.step,
            "best_epoch": state.best_epoch,
            **scores,
            "seconds": dict(seconds),
            "messages": [message] if message else [],
        },
    )
