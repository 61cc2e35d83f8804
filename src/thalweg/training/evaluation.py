"""The results of a training run: loss and accuracy, validation outputs, temperature, thresholds, summary."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save

from thalweg._files import write_bytes
from thalweg.runs import files
from thalweg.runs.tasks import task_of
from thalweg.training.losses import loss_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.runs import Run
    from thalweg.training.progress import State


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss (in nats, except for mse), fraction of correct photos, and number of photos.

    With several labels a photo, correct are those with exactly the right ones, and three more scores are known.
    """

    loss: float
    accuracy: float
    count: int
    mean_average_precision: float | None = None
    micro_f1: float | None = None
    macro_f1: float | None = None

    @property
    def quality(self) -> float:
        """What decides which weights are best: mean average precision if there is one, else accuracy."""
        return self.accuracy if self.mean_average_precision is None else self.mean_average_precision

    def row(self) -> dict[str, float]:
        """Return the columns of the history of epochs; a run takes those that it has."""
        return {"valid_loss": self.loss, "valid_accuracy": self.accuracy, files.VALID_MAP: self.quality}

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON, which has no NaN."""
        known = {name: value for name, value in asdict(self).items() if value is not None}
        return {**known, "loss": self.loss if math.isfinite(self.loss) else None}


def score(
    logits_NC: Tensor,
    labels_N: Tensor,
    loss: str,
    *,
    temperature: float = 1.0,
    thresholds_C: Sequence[float] | None = None,
) -> Score:
    """Return loss and accuracy of logits, without label smoothing, so that runs are comparable.

    Args:
        logits_NC: the network's output.
        labels_N: the true classes, as the loss takes them.
        loss: name of the loss.
        temperature: divides the logits before thresholds are applied; the loss is that of the logits themselves.
        thresholds_C: of several labels; None: 0.5 each.

    Example:
        >>> score(torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.tensor([0, 1]), "cross-entropy").accuracy
        0.5
    """
    mean_loss, task = float(loss_of(loss, logits_NC, labels_N, 0.0)), task_of(loss)
    found = task.scores_of_logits(logits_NC.numpy(), labels_N.numpy(), temperature, thresholds_C)
    return Score(mean_loss, count=len(labels_N), **found)


def keep_outputs(run: Run, outputs: Mapping[str, Tensor], labels_N: NDArray[Any]) -> dict[str, Any]:
    """Write the network's outputs on the validation split, and fit the temperature to them.

    Args:
        run: the run to write to.
        outputs: `logits` (N, C), `mid` and `top` (N, D), from the weights that the run kept.
        labels_N: the true classes, as the loss takes them.

    Returns:
        The summary's `valid` and `temperature`; with several labels also `thresholds`, which are chosen here.
    """
    labels, logits_NC, task = torch.from_numpy(labels_N), outputs["logits"], run.task
    write_bytes(run.evaluation, save({**outputs, "labels": labels}))
    temperature = task.temperature(logits_NC.numpy(), labels_N)
    thresholds_C = task.thresholds(logits_NC.numpy(), labels_N, temperature)
    found = score(logits_NC, labels, run.config.loss, temperature=temperature, thresholds_C=thresholds_C)
    chosen = {} if thresholds_C is None else {"thresholds": thresholds_C}
    return {"valid": found.to_dict(), "temperature": temperature, **chosen}


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
