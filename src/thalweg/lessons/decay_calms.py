"""A learning rate that falls keeps AdaGrad from bursting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import QUIET, SERIES, label_axes
from thalweg.lessons._drawing import number_steps
from thalweg.lessons._measures import UNSTABLE, crossings, distance, first_below, steepness
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from thalweg.paths import Trace


@dataclass(frozen=True)
class DecayCalms(Lesson):
    """The setting of the burst, at a constant rate and under several schedules.

    Args:
        angle: of the valley, in radians.
        learning_rate: before the schedule.
        steps: of each path.
        start: (x, y).
        near: distance from the goal that counts as arrived.
        schedules: the schedules; the words describe the first.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate"
        (learning rate scheduling), https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "decay-calms"
    size: ClassVar[tuple[float, float]] = (12.0, 8.4)
    formulas: ClassVar[tuple[str, ...]] = ("adagrad_mean", "inverse_time", "cosine", "linear")

    angle: float = 0.05
    learning_rate: float = 0.2
    steps: int = 10_000
    start: tuple[float, float] = (-10.0, 2.0)
    near: float = 0.01
    schedules: tuple[str, ...] = ("inverse_time(10%)", "cosine", "linear")

    def run(self) -> Evidence:
        """Run all; measure how far each moves away from the goal after its arrival."""
        valley = get("valley", angle=self.angle)
        constant, *decayed = (
            trace(valley, "adagrad_mean", lr=self.learning_rate, steps=self.steps, start=self.start, schedule=spec)
            for spec in ("constant", *self.schedules)
        )
        told = decayed[0]
        return Evidence(
            {
                "learning_rate": self.learning_rate,
                "near": self.near,
                "crossings": len(crossings(steepness(constant))),
                "constant_arrival": first_below(distance(constant), self.near),
                "constant_away": self._away(constant),
                "arrival": first_below(distance(told), self.near),
                "away": self._away(told),
                "slowest_arrival": max(first_below(distance(path), self.near) for path in decayed),
                "farthest_away": max(self._away(path) for path in decayed),
                "steepest": max(float(steepness(path)[100:].max()) for path in decayed),
                "last_rate": float(told.lr_S[-1]),
                "last_distance": float(distance(told)[-1]),
            },
            {"paths": dict(zip(("constant", *self.schedules), (constant, *decayed), strict=True))},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The constant rate bursts; under every schedule the path arrives and stays."""
        numbers = evidence.numbers
        return (
            Check("constant_bursts", numbers["constant_away"], ">", 1),
            Check("arrives", numbers["slowest_arrival"], "<", 1000),
            Check("stays", numbers["farthest_away"], "≤", self.near),
            Check("stable", numbers["steepest"], "<", UNSTABLE),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Learning rate, distance from the goal and steepness against steps."""
        panels = figure.subplots(3, 1, sharex=True, height_ratios=(2, 4, 3))
        for (spec, path), series in zip(evidence.data["paths"].items(), SERIES[1:], strict=False):
            for axes, column in zip(panels, (path.lr_S, distance(path), steepness(path)), strict=True):
                axes.plot(column, color=series.color, linestyle=series.dashes, linewidth=1.5, label=spec)
        for axes, panel in zip(panels, ("rate", "distance", "steepness"), strict=True):
            label_axes(axes, title=self.say(f"{panel}_title"), y=self.axis(panel))
        panels[0].set_ylim(0, 1.15 * self.learning_rate)
        panels[1].set(yscale="log", ylim=(1e-30, 1e3))
        panels[1].axhline(self.near, color=QUIET, linewidth=0.8)
        panels[2].set_ylim(0, 2.6)
        panels[2].axhline(UNSTABLE, color=QUIET, linewidth=1)
        number_steps(panels[2], self.steps)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, handlelength=4)

    def _away(self, path: Trace) -> float:
        """The greatest distance from the goal after the first arrival."""
        distance_S = distance(path)
        arrival = first_below(distance_S, self.near)
        return float(distance_S[int(arrival) :].max()) if np.isfinite(arrival) else np.inf
