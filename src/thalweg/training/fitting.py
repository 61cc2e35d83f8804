"""A network's classifier fitted to its own features: what the loop does before the first step, and what it records.

Shape suffixes: N photos, D features, K iterations.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from thalweg import models
from thalweg.runs import files
from thalweg.runs.answers import LARGEST, large_array
from thalweg.training.evaluation import score
from thalweg.training.head import MOST_ITERATIONS, Regression, choose_penalty, fit
from thalweg.training.losses import weights_of_classes


if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

    from thalweg.data import Cache
    from thalweg.runs import Run
    from thalweg.training.evaluation import Score
    from thalweg.training.features import Features
    from thalweg.training.head import Iteration
    from thalweg.training.progress import State


@dataclass(frozen=True, slots=True)
class HeadFit:
    """A fit of the classifier.

    Attributes:
        iterations: the state at the start and after each iteration.
        penalty: of the squared weights, chosen on photos that were left out.
        photos: number of photos in the fit.
        seconds: time for the fit, without the features.
        valid_ND: features of the validation split.
        labels_N: its classes.
    """

    iterations: list[Iteration]
    penalty: float
    photos: int
    seconds: float
    valid_ND: Tensor
    labels_N: Tensor

    @classmethod
    def of(
        cls,
        features: Features,
        cache: Cache,
        run: Run,
        *,
        progress: Callable[[int, int], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> HeadFit | None:
        """Compute the features of both splits, choose the penalty, and fit; None if `stop` said so before the fit."""
        config, classes = run.config, len(run.classes)
        train, valid = cache.rows("train"), cache.rows("valid")
        found_ND = features(np.concatenate([train, valid]), progress, stop)
        if found_ND is None:
            return None
        train_ND, valid_ND = found_ND[: len(train)], found_ND[len(train) :]
        began, labels_N = time.monotonic(), cache.labels("train")
        balanced = "balanced" in (config.sampling, config.class_weights)  # in expectation, weights are what sampling is
        weights_C = weights_of_classes("balanced" if balanced else "none", labels_N, classes)
        penalty = choose_penalty(train_ND, labels_N, classes, seed=config.seed, weights_C=weights_C)
        regression = Regression(train_ND, labels_N, classes, weights_C)
        most = min(MOST_ITERATIONS, config.epochs or MOST_ITERATIONS) if config.only_head else MOST_ITERATIONS
        found = (regression.iteration(*fitted) for fitted in fit(regression, penalty, most=most))
        iterations = [_kept(one, number, run) for number, one in enumerate(found)]
        return cls(
            iterations,
            penalty,
            len(train),
            time.monotonic() - began,
            torch.from_numpy(valid_ND).double(),
            torch.from_numpy(cache.labels("valid")),
        )

    def put_into(self, model: nn.Module, number: int = -1) -> None:
        """Set the classifier of a network to the state after an iteration."""
        one, top = self.iterations[number], models.classifier_of(model)
        with torch.no_grad():
            top.weight.copy_(one.weight_CD.view_as(top.weight))  # type: ignore[operator, arg-type]
            top.bias.copy_(one.bias_C)  # type: ignore[operator]

    def score(self, number: int, loss: str) -> Score:
        """Return loss and accuracy on the validation split after an iteration."""
        one = self.iterations[number]
        return score(torch.addmm(one.bias_C, self.valid_ND, one.weight_CD.T), self.labels_N, loss)

    def epochs(self, state: State, loss: str, seconds: float) -> Iterator[dict[str, float]]:
        """Count each iteration as a step and an epoch, and yield its row of the history."""
        for number, one in enumerate(self.iterations[1:], start=1):
            valid = self.score(number, loss)
            state.step = state.epoch = number
            state.valid_losses.append(valid.loss)
            state.keep_if_better(valid.accuracy, valid.loss)
            yield {
                "step": number,
                "epoch": number,
                "train_loss": one.loss,
                "train_accuracy": one.accuracy,
                **valid.row(),
                "seconds": seconds,
            }

    def step_rows(self, size: int) -> list[list[float]]:
        """Return the rows of the history of steps, (K, columns): the rate is the length of L-BFGS's step."""
        rows = []
        for number, (before, after) in enumerate(pairwise(self.iterations), start=1):
            known: dict[str, Any] = {"step": number, "epoch": number, "size": size, "mixed": 0, "lr": after.step}
            known |= {"loss": before.loss, "gradient_norm": before.gradient_norm}
            rows.append([float(known[name]) for name in files.STEP_UNITS])
        return rows

    def layer_rows(self) -> list[list[float]]:
        """Return the rows of the history of layers, (K, 4): step, gradient norm, update ratio, weight norm."""
        rows = []
        for number, (before, after) in enumerate(pairwise(self.iterations), start=1):
            old_P, new_P = (torch.cat([one.weight_CD.flatten(), one.bias_C]) for one in (before, after))
            norm = float(new_P.norm())
            moved = float((new_P - old_P).norm())
            rows.append([float(number), before.gradient_norm, moved / norm if norm else 0.0, norm])
        return rows

    def facts(self) -> dict[str, Any]:
        """Return what is worth saying about the fit."""
        last = self.iterations[-1]
        return {
            "photos": self.photos,
            "iterations": len(self.iterations) - 1,
            "penalty": self.penalty,
            "seconds": self.seconds,
            "accuracy": last.accuracy,
        }


def _kept(one: Iteration, number: int, run: Run) -> Iteration:
    """An iteration to keep: beyond 200 MB of weights, which many classes have, in a file without a name."""
    weight_CD = one.weight_CD.numpy()
    if (number + 1) * weight_CD.nbytes <= LARGEST:
        return one
    kept_CD = large_array(weight_CD.shape, weight_CD.dtype, run.path, bound=0)
    kept_CD[:] = weight_CD
    return one._replace(weight_CD=torch.from_numpy(kept_CD))
