"""RMSprop's σ forgets the steep beginning; both forms of AdaGrad remember it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import LINES, draw_map, number_steps
from thalweg.lessons._measures import first_below
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.optimizers.rmsprop import RMSprop
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.paths import Trace

_OPTIMIZERS = ("adagrad", "adagrad_mean", "rmsprop")


@dataclass(frozen=True)
class RmspropForgets(Lesson):
    """Three optimizers on a surface that is steep at the start and gentle from there on.

    Args:
        learning_rate: of the drawn paths.
        rates: learning rates of the paths that are only counted.
        steps: of every path.
        near: distance from the goal that counts as arrived.

    Source:
        Tieleman, Hinton, Neural Networks for Machine Learning, lecture 6e, 2012,
        https://www.cs.toronto.edu/~hinton/coursera/lecture6/lec6.pdf;
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "rmsprop-forgets"
    size: ClassVar[tuple[float, float]] = (13.5, 5.6)
    formulas: ClassVar[tuple[str, ...]] = ("rmsprop", "adagrad", "adagrad_mean")

    learning_rate: float = 0.1
    rates: tuple[float, ...] = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    steps: int = 1_500
    near: float = 0.3

    def run(self) -> Evidence:
        """Run the three; measure σ and distance when RMSprop arrives, and which is first at each rate."""
        paths = self._paths(self.learning_rate)
        away = {optimizer: _away(path) for optimizer, path in paths.items()}
        arrival = first_below(away["rmsprop"], self.near)
        then = int(arrival) if np.isfinite(arrival) else self.steps - 1
        gradient_S = np.abs(paths["rmsprop"].surface.gradient(paths["rmsprop"].positions_S2)[:, 0])
        return Evidence(
            {
                "learning_rate": self.learning_rate,
                "steps": self.steps,
                "near": self.near,
                "arrival": arrival,
                "first_gradient": float(gradient_S[0]),
                "then_gradient": float(gradient_S[then]),
                **{f"{optimizer}_scale": float(path.scale_S2[then, 0]) for optimizer, path in paths.items()},
                **{f"{optimizer}_then": float(away_S[then]) for optimizer, away_S in away.items()},
                **{f"{optimizer}_end": float(away_S[-1]) for optimizer, away_S in away.items()},
                "weight_mean": 100 / (then + 1),
                "weight_rmsprop": 100 * RMSprop().alpha ** then,
                "rates": len(self.rates),
                "lowest_rate": min(self.rates),
                "highest_rate": max(self.rates),
                "first": sum(self._is_first(rate) for rate in self.rates),
            },
            {"paths": paths, "away": away},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Only RMSprop's σ has followed the gradient down, only it arrives, and it is first at nearly every rate."""
        numbers = evidence.numbers
        return (
            Check("arrives", numbers["arrival"], "<", self.steps),
            Check("adagrad_end", numbers["adagrad_end"], ">", 1),
            Check("mean_end", numbers["adagrad_mean_end"], ">", 1),
            Check("scale", numbers["adagrad_mean_scale"] / numbers["rmsprop_scale"], ">", 10),
            Check("first", numbers["first"], "≥", len(self.rates) - 1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The paths from above; σ and the distance from the goal against steps."""
        left, middle, right = figure.subplots(1, 3, width_ratios=(5, 4, 4))
        paths = evidence.data["paths"]
        draw_map(left, paths["rmsprop"].surface, paths, legend="lower right")
        left.set_title(self.say("map_title"))
        for (optimizer, path), series in zip(paths.items(), LINES, strict=False):
            style = {"color": series.color, "linestyle": series.dashes, "linewidth": 1.8}
            middle.plot(path.scale_S2[:, 0], **style)
            right.plot(evidence.data["away"][optimizer], **style)
        middle.set_yscale("log")
        label_axes(middle, title=self.say("scale_title"), y=self.say("scale_axis"))
        right.set_ylim(bottom=0)
        label_axes(right, title=self.say("distance_title"), y=self.axis("distance"))
        for axes in (middle, right):
            number_steps(axes, self.steps)

    def _paths(self, rate: float) -> dict[str, Trace]:
        return {optimizer: trace(get("turn"), optimizer, lr=rate, steps=self.steps) for optimizer in _OPTIMIZERS}

    def _is_first(self, rate: float) -> bool:
        """Whether RMSprop arrives before both forms of AdaGrad, at a rate."""
        *others, own = (first_below(_away(path), self.near) for path in self._paths(rate).values())
        return bool(np.isfinite(own)) and all(np.isnan(other) or own < other for other in others)


def _away(path: Trace) -> NDArray[np.float64]:
    """The distance from the surface's lowest point at every position."""
    goal_2 = np.array(path.surface.critical_points[0].position)
    return np.hypot(*(path.positions_S2 - goal_2).T)
