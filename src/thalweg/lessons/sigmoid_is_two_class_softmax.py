"""With two classes, softmax is the sigmoid of the difference, and cross-entropy is binary cross-entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import BLUE, VERMILLION, label_axes
from thalweg.lessons._measures import softmax
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SigmoidIsTwoClassSoftmax(Lesson):
    """Both functions, their losses and their gradients at many pairs of logits.

    Args:
        pairs: how many.
        widest: logits lie between minus this and this.
        seed: of the pairs.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Classification (short version)",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "sigmoid-is-two-class-softmax"
    formulas: ClassVar[tuple[str, ...]] = ("softmax", "sigmoid", "cross_entropy")

    pairs: int = 2_000
    widest: float = 5.0
    seed: int = 1

    def run(self) -> Evidence:
        """The largest difference between the two ways, of the share, the loss and the gradient."""
        logits_N2 = np.random.default_rng(self.seed).uniform(-self.widest, self.widest, (self.pairs, 2))
        shares_N2 = softmax(logits_N2)
        difference_N = logits_N2[:, 0] - logits_N2[:, 1]
        sigmoid_N = 1 / (1 + np.exp(-difference_N))
        binary_N = np.log1p(np.exp(-difference_N))
        gradient_N2 = (sigmoid_N - 1)[:, None] * (1.0, -1.0)
        return Evidence(
            {
                "pairs": self.pairs,
                "share_gap": float(np.abs(shares_N2[:, 0] - sigmoid_N).max()),
                "loss_gap": float(np.abs(cross_entropy(logits_N2) - binary_N).max()),
                "gradient_gap": float(np.abs(_slopes(logits_N2) - gradient_N2).max()),
                "shift_gap": float(np.abs(softmax(logits_N2 + 2.0) - shares_N2).max()),
                "example": float(softmax([3.0, 1.0])[0]),
                "example_sigmoid": float(1 / (1 + np.exp(-2.0))),
            },
            {"difference_N": difference_N, "shares_N": shares_N2[:, 0]},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """No difference except for rounding, and for finite differences in the gradient."""
        bounds = {"share": 1e-12, "loss": 1e-12, "shift": 1e-12, "gradient": 1e-8}
        return tuple(Check(claim, evidence.numbers[f"{claim}_gap"], "<", bound) for claim, bound in bounds.items())

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Softmax over the plane of the two logits, and all of it on one curve over their difference."""
        left, right = figure.subplots(1, 2)
        self._plane(figure, left)
        self._curve(right, evidence.data["difference_N"], evidence.data["shares_N"])

    def _plane(self, figure: Figure, axes: Axes) -> None:
        side = np.linspace(-self.widest, self.widest, 161)
        first_HW, second_HW = np.meshgrid(side, side)
        share_HW = softmax(np.stack([first_HW, second_HW], axis=-1))[..., 0]
        edge = (-self.widest, self.widest)
        image = axes.imshow(
            share_HW,
            extent=(*edge, *edge),
            origin="lower",
            cmap="viridis",
            vmin=0,
            vmax=1,
            interpolation="bilinear",
        )
        lines = axes.contour(side, side, share_HW, levels=[0.02, 0.1, 0.5, 0.9, 0.98], colors="white", linewidths=1)
        axes.clabel(lines, fontsize=8)
        axes.grid(visible=False)
        figure.colorbar(image, ax=axes, label=self.say("share_axis"), shrink=0.9)
        label_axes(axes, title=self.say("plane_title"), x=self.say("first_axis"), y=self.say("second_axis"))

    def _curve(self, axes: Axes, difference_N: NDArray[np.float64], shares_N: NDArray[np.float64]) -> None:
        shown = slice(0, 150)
        x = np.linspace(-2 * self.widest, 2 * self.widest, 401)
        axes.plot(x, 1 / (1 + np.exp(-x)), color=BLUE, linewidth=2.5, label=self.say("sigmoid"))
        axes.plot(difference_N[shown], shares_N[shown], "o", color=VERMILLION, markersize=4, label=self.say("softmax"))
        axes.legend(loc="upper left")
        label_axes(axes, title=self.say("curve_title"), x=self.say("difference_axis"), y=self.say("share_axis"))


def cross_entropy(logits_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    """−log of softmax's first share, each row by itself."""
    return np.log(np.exp(logits_N2).sum(axis=1)) - logits_N2[:, 0]


def _slopes(logits_N2: NDArray[np.float64], width: float = 1e-5) -> NDArray[np.float64]:
    """∂ cross-entropy / ∂ logits by central differences, without a formula for the gradient."""
    nudges = width * np.eye(2)
    rises = [(cross_entropy(logits_N2 + nudge) - cross_entropy(logits_N2 - nudge)) for nudge in nudges]
    return np.column_stack(rises) / (2 * width)
