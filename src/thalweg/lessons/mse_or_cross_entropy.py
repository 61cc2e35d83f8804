"""Behind softmax, mean squared error is flat where the answer is most wrong; cross-entropy is steep there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import LINES, draw_map
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.paths import Trace

LOSSES = {"mse": "softmax_mse", "cross_entropy": "softmax_cross_entropy"}


@dataclass(frozen=True)
class MseOrCrossEntropy(Lesson):
    """The same start, optimizer and learning rate on both losses; the right class is the first of three, y₃ = −1000.

    Args:
        learning_rate: of gradient descent.
        steps: of both paths.
        start: the logits (y₁, y₂): the network is sure of the wrong class.
        sure: probability of the right class that counts as learned.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Classification (short version)",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "mse-or-cross-entropy"
    size: ClassVar[tuple[float, float]] = (13.5, 5.4)
    formulas: ClassVar[tuple[str, ...]] = ("mse", "cross_entropy")

    learning_rate: float = 1.0
    steps: int = 10_000
    start: tuple[float, float] = (-8.0, 8.0)
    sure: float = 0.99

    def run(self) -> Evidence:
        """Run both; measure the gradient at the start, probability of the right class along the way."""
        paths = {
            loss: trace(get(surface), "sgd", lr=self.learning_rate, steps=self.steps, start=self.start)
            for loss, surface in LOSSES.items()
        }
        right = {loss: right_share(path) for loss, path in paths.items()}
        learned_N = np.flatnonzero(right["cross_entropy"] > self.sure)
        numbers = {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "first": self.start[0],
            "second": self.start[1],
            "sure": 100 * self.sure,
            "start_right": float(right["mse"][0]),
            "learned": float(learned_N[0]) if len(learned_N) else np.nan,
        }
        for loss, path in paths.items():
            numbers |= {
                f"{loss}_gradient": float(path.gradient_norm[0]),
                f"{loss}_right": float(right[loss][-1]),
                f"{loss}_moved": float(np.linalg.norm(path.positions_S2[-1] - path.positions_S2[0])),
            }
        numbers["ratio"] = numbers["cross_entropy_gradient"] / numbers["mse_gradient"]
        return Evidence(numbers, {"paths": paths, "right": right})

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """One gradient is a million times the other, and only one of the paths moves."""
        numbers = evidence.numbers
        return (
            Check("ratio", numbers["ratio"], ">", 1e6),
            Check("mse_moved", numbers["mse_moved"], "<", 0.1),
            Check("mse_right", numbers["mse_right"], "<", 1e-3),
            Check("learned", numbers["learned"], "<", 1000),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Both surfaces with their paths, and the probability of the right class against steps."""
        first, second, last = figure.subplots(1, 3, width_ratios=(5, 5, 4))
        for axes, (loss, path) in zip((first, second), evidence.data["paths"].items(), strict=True):
            draw_map(axes, path.surface, {self.say("sgd"): path}, legend="lower left")
            label_axes(axes, title=self.say(f"{loss}_title"), x=self.say("first_axis"), y=self.say("second_axis"))
        self._lines(last, evidence.data["right"])

    def _lines(self, axes: Axes, right: dict[str, NDArray[np.float64]]) -> None:
        for (loss, right_S), style in zip(right.items(), LINES[1:], strict=False):
            steps_S = np.arange(1, len(right_S) + 1)
            axes.plot(
                steps_S, right_S, color=style.color, linestyle=style.dashes, linewidth=2, label=self.say(f"{loss}_name")
            )
        axes.set(xscale="log", ylim=(-0.03, 1.03), xlim=(1, self.steps))
        axes.legend(loc="center right", handlelength=3.2)
        label_axes(axes, title=self.say("right_title"), x=self.axis("step"), y=self.say("right_axis"))


def right_share(path: Trace) -> NDArray[np.float64]:
    """Softmax's probability of the first of two classes at every position, shape (S + 1,)."""
    difference_S = path.positions_S2[:, 0] - path.positions_S2[:, 1]
    return 1 / (1 + np.exp(-difference_S))
