"""A real network whose loss no longer falls although its gradient is large: it bounces between two walls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import BLUE, GREEN, QUIET, VERMILLION, label_axes
from thalweg.lessons._drawing import number_steps
from thalweg.lessons._network import Training, train
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class StuckButGradientLarge(Lesson):
    """Gradient descent on a network of 97 weights, continued from the same weights with a smaller rate.

    Args:
        learning_rate: of the first part.
        steps: of the first part.
        fix: factor of the rate in the second part.
        fix_steps: of the second part.
        seed: of the network's first weights.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        Cohen et al., Gradient Descent on Neural Networks Typically Occurs at the Edge of Stability, 2021,
        https://arxiv.org/abs/2103.00065 (why the product of rate and curvature stays near 2)
    """

    name: ClassVar[str] = "stuck-but-gradient-large"
    formulas: ClassVar[tuple[str, ...]] = ("sgd",)

    learning_rate: float = 0.3
    steps: int = 2_000
    fix: float = 0.1
    fix_steps: int = 500
    seed: int = 3

    def run(self) -> Evidence:
        """Train, compare the last quarter with the one before it, and train on with the smaller rate."""
        stuck = train(self.learning_rate, self.steps, seed=self.seed)
        fixed = train(self.fix * self.learning_rate, self.fix_steps, weights=stuck.weights)
        quarter = self.steps // 4
        before, last = slice(-2 * quarter, -quarter), slice(-quarter, None)
        return Evidence(
            {
                "weights": len(stuck.weights),
                "learning_rate": self.learning_rate,
                "smaller_rate": self.fix * self.learning_rate,
                "steps": self.steps,
                "quarter": quarter,
                "fix_steps": self.fix_steps,
                "loss_start": float(stuck.loss_S[0]),
                "loss_before": float(stuck.loss_S[before].mean()),
                "loss_last": float(stuck.loss_S[last].mean()),
                "norm_before": float(stuck.norm_S[before].mean()),
                "norm_last": float(stuck.norm_S[last].mean()),
                "turns": 100 * _share_of_turns(stuck, quarter),
                "curvature": stuck.curvature,
                "product": self.learning_rate * stuck.curvature,
                "fixed_loss": float(fixed.loss_S[-1]),
                "fixed_norm": float(fixed.norm_S[-1]),
            },
            {"stuck": stuck, "fixed": fixed},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The loss stands still, the gradient is large, the weights bounce between walls; a smaller rate helps."""
        numbers = evidence.numbers
        return (
            Check("loss_stays", numbers["loss_last"] / numbers["loss_before"], ">", 0.9),
            Check("gradient_large", numbers["norm_last"] / numbers["norm_before"], ">", 0.9),
            Check("turns", numbers["turns"], ">", 80),
            Check("product", abs(numbers["product"] - 2), "<", 0.3),
            Check("fixed_loss", numbers["fixed_loss"] / numbers["loss_last"], "<", 0.6),
            Check("fixed_norm", numbers["fixed_norm"] / numbers["norm_last"], "<", 0.1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Loss and gradient norm against steps, the fix in another color."""
        stuck, fixed = evidence.data["stuck"], evidence.data["fixed"]
        for axes, column in zip(figure.subplots(2, 1, sharex=True), ("loss", "norm"), strict=True):
            first_S, second_S = getattr(stuck, f"{column}_S"), getattr(fixed, f"{column}_S")
            axes.plot(first_S, color=VERMILLION, linewidth=0.8, label=self.say("large", rate=self.learning_rate))
            cure_S = np.arange(len(second_S)) + self.steps
            rate = evidence.numbers["smaller_rate"]
            axes.plot(cure_S, second_S, color=BLUE, linewidth=2, label=self.say("small", rate=rate))
            axes.axvline(self.steps, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
            axes.set_yscale("log")
            self._quarter(axes, evidence, {"loss": "loss_last", "norm": "norm_last"}[column])
            label_axes(axes, title=self.say(f"{column}_title"), y=self.axis(column))
        figure.axes[0].legend(loc="lower left")
        number_steps(figure.axes[1], self.steps + self.fix_steps)

    def _quarter(self, axes: Axes, evidence: Evidence, key: str) -> None:
        """The mean over the last quarter before the fix, as a line with its value."""
        mean = evidence.numbers[key]
        begin = self.steps - evidence.numbers["quarter"]
        axes.plot((begin, self.steps), (mean, mean), color=GREEN, linewidth=1.6)
        axes.annotate(
            self.say("mean", value=mean), (self.steps, mean), xytext=(6, 4), textcoords="offset points", color=GREEN
        )


def _share_of_turns(training: Training, last: int) -> float:
    """How often, in the last steps, an update points against the previous one."""
    return float((training.cosine_S[-last:] < 0).mean())
