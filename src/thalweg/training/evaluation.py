"""The results of a training run: loss and accuracy, validation outputs, temperature, thresholds, summary."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import save

from thalweg._files import write_bytes
from thalweg.runs import files
from thalweg.runs.answers import LARGEST, large_array, without_logits
from thalweg.runs.probabilities import blocks, ranks
from thalweg.runs.tasks import BINARY, scores_of_ranks, task_of
from thalweg.training.losses import loss_of, losses_of


if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from thalweg.runs import Run
    from thalweg.training.progress import State


@dataclass(frozen=True, slots=True)
class Score:
    """Mean loss (in nats, except for mse), fraction of correct photos, and number of photos.

    Of more than 20 classes, the share of the photos is known whose class is among the five most probable. With several
    labels a photo, correct are those with exactly the right ones, and three other scores are known.
    """

    loss: float
    accuracy: float
    count: int
    top5_accuracy: float | None = None
    mean_average_precision: float | None = None
    micro_f1: float | None = None
    macro_f1: float | None = None

    @property
    def quality(self) -> float:
        """What decides which weights are best: mean average precision if there is one, else accuracy."""
        return self.accuracy if self.mean_average_precision is None else self.mean_average_precision

    def row(self) -> dict[str, float]:
        """Return the columns of the history of epochs that this kind of score has."""
        more = {files.VALID_MAP: self.mean_average_precision, files.VALID_TOP5: self.top5_accuracy}
        known = {name: value for name, value in more.items() if value is not None}
        return {"valid_loss": self.loss, "valid_accuracy": self.accuracy, **known}

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
    if loss != BINARY:
        return score_of(judged(logits_NC, labels_N, loss), logits_NC.shape[1])
    found = task_of(loss).scores_of_logits(logits_NC.numpy(), labels_N.numpy(), temperature, thresholds_C)
    return Score(float(loss_of(loss, logits_NC, labels_N, 0.0)), count=len(labels_N), **found)


def judged(logits_NC: Tensor, labels_N: Tensor, loss: str) -> Tensor:
    """Return the loss of each photo and the rank of its class, (2, N), of one label a photo; in blocks of photos."""
    found_2N = torch.empty(2, len(labels_N))
    for some in blocks(logits_NC.numpy()):
        found_2N[0, some] = losses_of(loss, logits_NC[some], labels_N[some], 0.0)
    found_2N[1] = torch.from_numpy(ranks(logits_NC.numpy(), labels_N.numpy()))
    return found_2N


def score_of(judged_2N: Tensor, classes: int) -> Score:
    """Return the score of photos that are judged already.

    Args:
        judged_2N: the loss of each photo and the rank of its class, from `judged`.
        classes: C.
    """
    losses_N, rank_N = judged_2N.contiguous()
    return Score(float(losses_N.mean()), count=len(losses_N), **scores_of_ranks(rank_N.numpy(), classes))


def keep_outputs(run: Run, outputs: Iterable[Mapping[str, Tensor]], labels_N: NDArray[Any]) -> dict[str, Any]:
    """Write the network's outputs on the validation split, and fit the temperature to them.

    Logits above 200 MB are not kept, but what follows from them (`thalweg.runs.answers`), unless photos have several
    labels, whose scores need them all.

    Args:
        run: the run to write to.
        outputs: batch by batch `logits` (N, C), `mid` and `top` (N, D), from the weights that the run kept.
        labels_N: the true classes, as the loss takes them.

    Returns:
        The summary's `valid` and `temperature`; with several labels also `thresholds`, which are chosen here.
    """
    logits_NC, features = _gathered(run, outputs, len(labels_N))
    task, labels = run.task, torch.from_numpy(labels_N)
    temperature = task.temperature(logits_NC, labels_N)
    large = logits_NC.nbytes > LARGEST and not task.several
    kept = without_logits(logits_NC, labels_N, temperature) if large else {"logits": logits_NC}
    write_bytes(run.evaluation, save({**kept, **features, "labels": labels_N}))
    thresholds_C = task.thresholds(logits_NC, labels_N, temperature)
    chosen = {"temperature": temperature, "thresholds_C": thresholds_C}
    found = score(torch.from_numpy(logits_NC), labels, run.config.loss, **chosen)
    more = {} if thresholds_C is None else {"thresholds": thresholds_C}
    return {"valid": found.to_dict(), "temperature": temperature, **more}


def _gathered(
    run: Run, outputs: Iterable[Mapping[str, Tensor]], count: int
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    """The logits of all photos, on disk if they are large, and the features."""
    logits_NC = large_array((count, len(run.classes)), np.float32, run.path)
    features: dict[str, list[Tensor]] = {}
    done = 0
    for batch in outputs:
        logits_NC[done : done + len(batch["logits"])] = batch["logits"].numpy()
        done += len(batch["logits"])
        for name in batch.keys() - {"logits"}:
            features.setdefault(name, []).append(batch[name])
    return logits_NC, {name: torch.cat(parts).numpy() for name, parts in features.items()}


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
