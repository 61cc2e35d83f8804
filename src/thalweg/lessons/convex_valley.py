"""A convex valley, steep one way and flat the other, defeats a single learning rate for all weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import BLUE, QUIET, VERMILLION, label_axes
from thalweg.lessons._drawing import draw_map
from thalweg.lessons._measures import distance, first_below
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class ConvexValley(Lesson):
    """Gradient descent at many learning rates, and AdaGrad, in a valley a million times steeper across than along.

    Args:
        condition: the larger curvature over the smaller.
        steps: of every path.
        start: (x, y).
        rates: number of learning rates, evenly spaced on a logarithmic scale.
        lowest_rate: the smallest of them.
        adagrad_rate: of AdaGrad.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "convex-valley"
    formulas: ClassVar[tuple[str, ...]] = ("sgd", "adagrad")

    condition: float = 1e6
    steps: int = 100_000
    start: tuple[float, float] = (-8.0, 2.0)
    rates: int = 43
    lowest_rate: float = 1e-7
    adagrad_rate: float = 1.0

    def run(self) -> Evidence:
        """Compute the share of the way left after all steps for each rate, and AdaGrad's path."""
        valley = get("valley", condition=self.condition)
        curvatures_2 = np.linalg.eigvalsh(valley.hessian(np.zeros(2)))
        limit = 2 / curvatures_2[-1]  # above it, gradient descent climbs the wall
        rates_R = np.append(np.geomspace(self.lowest_rate, limit, self.rates)[:-1], [0.999 * limit, 1.01 * limit])
        paths = [trace(valley, "sgd", lr=rate, steps=self.steps, start=self.start) for rate in rates_R]
        left_R = np.array([100 * distance(path)[-1] / distance(path)[0] for path in paths])
        best = int(np.nanargmin(left_R))
        adagrad = trace(valley, "adagrad", lr=self.adagrad_rate, steps=self.steps, start=self.start)
        return Evidence(
            {
                "steps": self.steps,
                "rates": len(rates_R),
                "condition": self.condition,
                "flat": float(curvatures_2[0]),
                "steep": float(curvatures_2[1]),
                "limit": float(limit),
                "best_rate": float(rates_R[best]),
                "best_left": float(left_R[best]),
                "above_rate": float(rates_R[-1]),
                "above_left": float(np.nan_to_num(left_R[-1], nan=np.inf)),
                "above_end": paths[-1].last,
                "slow_rate": float(rates_R[0]),
                "slow_left": float(left_R[0]),
                "adagrad_rate": self.adagrad_rate,
                "adagrad_arrival": first_below(distance(adagrad), 0.01 * float(distance(adagrad)[0])),
            },
            {"rates_R": rates_R, "left_R": left_R, "best": paths[best], "adagrad": adagrad},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The surface is convex, yet no single rate gets a fifth of the way; a rate per weight gets there."""
        numbers = evidence.numbers
        return (
            Check("convex", numbers["flat"], ">", 0),
            Check("best_left", numbers["best_left"], ">", 75),
            Check("above_left", numbers["above_left"], ">", 100),
            Check("adagrad", numbers["adagrad_arrival"], "<", 1000),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Draw the surface with both paths, and the share of the way left against the learning rate."""
        left, right = figure.subplots(1, 2)
        self._map(left, evidence)
        self._rates(right, evidence)

    def _map(self, axes: Axes, evidence: Evidence) -> None:
        paths = {
            f"{path.optimizer.name}  η = {path.lr:.4g}": path
            for path in (evidence.data["best"], evidence.data["adagrad"])
        }
        draw_map(axes, evidence.data["best"].surface, paths, legend="lower left")
        axes.set_title(self.say("map_title", steps=self.steps))

    def _rates(self, axes: Axes, evidence: Evidence) -> None:
        rates_R, left_R = evidence.data["rates_R"], evidence.data["left_R"]
        stable = rates_R < evidence.numbers["limit"]
        axes.plot(rates_R[stable], left_R[stable], "o-", color=BLUE, markersize=4, label=self.say("one_rate"))
        axes.axvspan(evidence.numbers["limit"], 1, color=VERMILLION, alpha=0.15, linewidth=0, label=self.say("climbs"))
        axes.axhline(0, color=QUIET, linewidth=0.8)
        axes.annotate(
            self.say("best", **evidence.numbers),
            (evidence.numbers["best_rate"], evidence.numbers["best_left"]),
            xytext=(-150, -60),
            textcoords="offset points",
            arrowprops={"arrowstyle": "->", "color": QUIET},
        )
        axes.set(xscale="log", xlim=(self.lowest_rate, 1), ylim=(0, 108))
        axes.legend(loc="lower left")
        label_axes(axes, title=self.say("rates_title"), x=self.axis("rate"), y=self.say("left_axis"))
