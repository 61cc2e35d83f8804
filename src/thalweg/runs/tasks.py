"""What a network is asked for: the one class of a photo, or every class that it shows.

All that differs between the two stands here: probabilities, decisions, scores, thresholds, and what a run records. The
loss of a run says which it is; `training.losses` has the losses themselves.

Shape suffixes: N photos, C classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from thalweg.runs import files
from thalweg.runs.probabilities import fitted_temperature, fitted_temperature_of_sigmoid, ranks, sigmoid, softmax
from thalweg.runs.retrieval import average_precisions, best_thresholds, f1_of


if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

BINARY: Final = "binary-cross-entropy"
MOST_WITHOUT_TOP5: Final = 20  # classes: of 20, five are a quarter, and who guesses already has 25 %
TOP: Final = 5


class Task(Protocol):
    """A kind of answer.

    Attributes:
        several: whether a photo may have several classes, or none.
        pictures: the names of a run's pictures.
    """

    several: bool
    pictures: tuple[str, ...]

    def epoch_units(self, classes: int) -> Mapping[str, str]:
        """Return the columns of the history of epochs of so many classes, with their units."""
        ...

    def shares(self, labels: NDArray[np.integer], classes: int) -> list[float]:
        """Return the share of the photos that have each class."""
        ...

    def probabilities(self, logits_NC: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
        """Return the probability of each class, (N, C)."""
        ...

    def temperature(self, logits_NC: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Fit the number that divides logits, so that probabilities are calibrated."""
        ...

    def thresholds(
        self, logits_NC: NDArray[np.floating], labels: NDArray[np.integer], temperature: float
    ) -> list[float] | None:
        """Choose the probability from which on a photo has each class; None: the most probable class is the answer."""
        ...

    def decided(
        self, probability_NC: NDArray[np.floating], thresholds_C: Sequence[float] | None = None
    ) -> NDArray[np.bool_]:
        """Return which classes each photo is given, (N, C).

        Args:
            probability_NC: of each class.
            thresholds_C: from `thresholds`; None: 0.5 for each class, if there may be several.
        """
        ...

    def true(self, labels: NDArray[np.integer], classes: int) -> NDArray[np.bool_]:
        """Return which classes each photo has, (N, C)."""
        ...

    def scores(
        self,
        probability_NC: NDArray[np.floating],
        labels: NDArray[np.integer],
        thresholds_C: Sequence[float] | None = None,
    ) -> dict[str, float]:
        """Return the scores of a split by name: `accuracy`, and those that judge several classes."""
        ...

    def scores_of_logits(
        self,
        logits_NC: NDArray[np.floating],
        labels: NDArray[np.integer],
        temperature: float = 1.0,
        thresholds_C: Sequence[float] | None = None,
    ) -> dict[str, float]:
        """Return the same from logits; no probabilities are made where the order of the logits says all."""
        ...


class _OneClass:
    """Each photo has one class: softmax, and the most probable class."""

    several = False
    pictures: tuple[str, ...] = files.PICTURES

    def epoch_units(self, classes: int) -> Mapping[str, str]:
        return {**files.EPOCH_UNITS, files.VALID_TOP5: ""} if classes > MOST_WITHOUT_TOP5 else files.EPOCH_UNITS

    def shares(self, labels: NDArray[np.integer], classes: int) -> list[float]:
        return [float(count) / len(labels) for count in np.bincount(labels, minlength=classes)]

    def probabilities(self, logits_NC: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
        return softmax(logits_NC, temperature)

    def temperature(self, logits_NC: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        return fitted_temperature(logits_NC, labels)

    def thresholds(self, logits_NC: NDArray[np.floating], labels: NDArray[np.integer], temperature: float) -> None:  # noqa: ARG002 - as `Task`
        return None

    def decided(
        self,
        probability_NC: NDArray[np.floating],
        thresholds_C: Sequence[float] | None = None,  # noqa: ARG002 - as `Task`
    ) -> NDArray[np.bool_]:
        return self.true(probability_NC.argmax(axis=1), probability_NC.shape[1])

    def true(self, labels: NDArray[np.integer], classes: int) -> NDArray[np.bool_]:
        return np.eye(classes, dtype=bool)[labels]

    def scores(
        self,
        probability_NC: NDArray[np.floating],
        labels: NDArray[np.integer],
        thresholds_C: Sequence[float] | None = None,  # noqa: ARG002 - as `Task`
    ) -> dict[str, float]:
        return scores_of_ranks(ranks(probability_NC, labels), probability_NC.shape[1])

    def scores_of_logits(
        self,
        logits_NC: NDArray[np.floating],
        labels: NDArray[np.integer],
        temperature: float = 1.0,  # noqa: ARG002 - as `Task`
        thresholds_C: Sequence[float] | None = None,  # noqa: ARG002 - as `Task`
    ) -> dict[str, float]:
        return self.scores(logits_NC, labels)


class _SeveralClasses:
    """A photo may have several classes, or none: a sigmoid for each, and a threshold for each."""

    several = True
    pictures: tuple[str, ...] = files.PICTURES_OF_SEVERAL

    def epoch_units(self, classes: int) -> Mapping[str, str]:  # noqa: ARG002 - as `Task`
        return {**files.EPOCH_UNITS, files.VALID_MAP: ""}

    def shares(self, labels: NDArray[np.integer], classes: int) -> list[float]:  # noqa: ARG002 - as `Task`
        return labels.mean(axis=0).tolist()

    def probabilities(self, logits_NC: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
        return sigmoid(logits_NC, temperature)

    def temperature(self, logits_NC: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        return fitted_temperature_of_sigmoid(logits_NC, labels)

    def thresholds(
        self, logits_NC: NDArray[np.floating], labels: NDArray[np.integer], temperature: float
    ) -> list[float]:
        return best_thresholds(self.probabilities(logits_NC, temperature), labels > 0).tolist()

    def decided(
        self, probability_NC: NDArray[np.floating], thresholds_C: Sequence[float] | None = None
    ) -> NDArray[np.bool_]:
        return probability_NC >= (0.5 if thresholds_C is None else np.asarray(thresholds_C))

    def true(self, labels: NDArray[np.integer], classes: int) -> NDArray[np.bool_]:  # noqa: ARG002 - as `Task`
        return labels > 0

    def scores(
        self,
        probability_NC: NDArray[np.floating],
        labels: NDArray[np.integer],
        thresholds_C: Sequence[float] | None = None,
    ) -> dict[str, float]:
        """`accuracy` is the share of photos with exactly the right classes; averages leave out classes without photos.

        Micro F1 counts all pairs of a photo and a class together, macro F1 is the mean of the classes' own.
        """
        true_NC, decided_NC = labels > 0, self.decided(probability_NC, thresholds_C)
        precision_C, f1_C = average_precisions(probability_NC, true_NC), f1_of(decided_NC, true_NC)
        known_C = ~np.isnan(precision_C)
        return {
            "accuracy": float((decided_NC == true_NC).all(axis=1).mean()),
            "mean_average_precision": float(precision_C[known_C].mean()) if known_C.any() else 0.0,
            "micro_f1": float(f1_of(decided_NC.reshape(-1, 1), true_NC.reshape(-1, 1))[0]),
            "macro_f1": float(f1_C[known_C].mean()) if known_C.any() else 0.0,
        }

    def scores_of_logits(
        self,
        logits_NC: NDArray[np.floating],
        labels: NDArray[np.integer],
        temperature: float = 1.0,
        thresholds_C: Sequence[float] | None = None,
    ) -> dict[str, float]:
        return self.scores(self.probabilities(logits_NC, temperature), labels, thresholds_C)


ONE: Final[Task] = _OneClass()
SEVERAL: Final[Task] = _SeveralClasses()


def scores_of_ranks(rank_N: NDArray[np.integer], classes: int) -> dict[str, float]:
    """Return `accuracy`, and of more than 20 classes `top5_accuracy`: the true class is among the five most probable.

    Args:
        rank_N: the rank of the true class of each photo, 0 for the most probable.
        classes: number of classes.

    Example:
        >>> scores_of_ranks(np.array([0, 4, 5, 9]), 21)
        {'accuracy': 0.25, 'top5_accuracy': 0.5}
    """
    found = {"accuracy": float((rank_N == 0).mean())}
    return found if classes <= MOST_WITHOUT_TOP5 else {**found, "top5_accuracy": float((rank_N < TOP).mean())}


def task_of(loss: Any) -> Task:
    """Return what a run with a loss is asked for.

    Example:
        >>> task_of("binary-cross-entropy").several, task_of("mse").several
        (True, False)
    """
    return SEVERAL if loss == BINARY else ONE
