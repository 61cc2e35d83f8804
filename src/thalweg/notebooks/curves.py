"""Charts of a training: loss and accuracy against epochs, of what is known so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.running_mean import smooth, window_of
from thalweg.i18n import t
from thalweg.notebooks.chart import Axis, Line, chart, scale_for
from thalweg.report.html import Html, tag
from thalweg.runs import files


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.history import History

_BLUE, _RED, _ORANGE = 0, 1, 2  # training, validation, and another of validation


@dataclass
class Curves:
    """Columns against epochs.

    Attributes:
        epoch_S: epochs at each step or report, with fractions.
        loss_S: the loss there.
        epoch_E: epochs that were evaluated.
        train_accuracy_E: a share.
        valid_loss_E: nats.
        valid_accuracy_E: a share.
        end: the last epoch of the training; None: unknown.
        running: the epoch now and the training accuracy in it so far; None between epochs.
        valid_map_E: mean average precision; empty if photos have one label. Else an accuracy is a share of photos with
            all labels right.
        valid_top5_E: a share; empty for at most 20 classes, or where the history was begun by 0.1.0.
    """

    epoch_S: Sequence[float] | NDArray[np.float64]
    loss_S: Sequence[float] | NDArray[np.float64]
    epoch_E: Sequence[float] | NDArray[np.float64]
    train_accuracy_E: Sequence[float] | NDArray[np.float64]
    valid_loss_E: Sequence[float] | NDArray[np.float64]
    valid_accuracy_E: Sequence[float] | NDArray[np.float64]
    end: float | None = None
    running: tuple[float, float] | None = None
    valid_map_E: Sequence[float] | NDArray[np.float64] = ()
    valid_top5_E: Sequence[float] | NDArray[np.float64] = ()

    @classmethod
    def of(cls, steps: History, epochs: History) -> Curves:
        """The curves of a run's histories."""
        return cls(
            epoch_S=_column(steps, "epoch"),
            loss_S=_column(steps, "loss"),
            epoch_E=_column(epochs, "epoch"),
            train_accuracy_E=_column(epochs, "train_accuracy"),
            valid_loss_E=_column(epochs, "valid_loss"),
            valid_accuracy_E=_column(epochs, "valid_accuracy"),
            valid_map_E=epochs[files.VALID_MAP] if files.VALID_MAP in epochs.units else (),
            valid_top5_E=epochs[files.VALID_TOP5] if files.VALID_TOP5 in epochs.units else (),
        )

    def charts(self) -> Html:
        """The loss and, beside it, the accuracy."""
        known = [float(epochs[-1]) for epochs in (self.epoch_S, self.epoch_E) if len(epochs)]
        x = Axis(t("figures.epoch"), 0.0, self.end or max(known, default=1.0))
        now, right = self.running or (np.nan, np.nan)
        several = "_several" if len(self.valid_map_E) else ""
        training, validation = t(f"figures.training{several}"), t(f"figures.validation{several}")
        look = _ORANGE if several else _RED
        accuracy = [
            Line(training, [*self.epoch_E, now], [*self.train_accuracy_E, right], _BLUE, dots=True),
            Line(validation, self.epoch_E, self.valid_accuracy_E, look, dots=True),
        ]
        if several:
            accuracy.append(Line(t("figures.validation_map"), self.epoch_E, self.valid_map_E, _RED, dots=True))
        if len(self.valid_top5_E):
            accuracy.append(Line(t("figures.validation_top5"), self.epoch_E, self.valid_top5_E, _ORANGE, dots=True))
        return tag(
            "div",
            chart(t("figures.loss"), self._losses(), x, Axis(scale=scale_for(self.loss_S, self.valid_loss_E))),
            chart(t(f"figures.accuracy{several}"), accuracy, x, Axis(low=0.0, percent=True)),
            class_="charts",
        )

    def _losses(self) -> list[Line]:
        """The loss of each step, its mean where there are many, and the validation loss."""
        name, loss_S = t("figures.training"), np.asarray(self.loss_S, dtype=float)
        window = window_of(len(loss_S))
        each = Line("" if window > 1 else name, self.epoch_S, loss_S, _BLUE, pale=window > 1)
        mean = [Line(name, self.epoch_S, smooth(loss_S, window), _BLUE)] if window > 1 else []
        return [each, *mean, Line(t("figures.validation"), self.epoch_E, self.valid_loss_E, _RED, dots=True)]


def _column(history: History, name: str) -> NDArray[np.float64]:
    """A column, and NaN where an older version wrote none."""
    return history[name] if name in history.units else np.full(len(history), np.nan)
