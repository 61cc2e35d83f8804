"""At first, σ averages few gradients; warm-up keeps the steps short until σ can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import INK, QUIET, label_axes
from thalweg.lessons._drawing import LINES, draw_map, number_steps
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import parse


if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from thalweg.figures.style import Series
    from thalweg.paths import Trace


_VIEW = 10.0  # half the width of the map
_SHOWN = 40  # paths of each kind on the map
_FIRST = 10  # their steps


@dataclass(frozen=True)
class WarmUp(Lesson):
    """Adam from the rim of a hollow in a plateau, under many seeds of gradient noise, with and without warm-up.

    Args:
        formula: of the surface: a hollow of depth 1, flat all around.
        learning_rate: after the warm-up.
        warmup: its steps.
        steps: of each path.
        noise: standard deviation of each coordinate of each gradient.
        seeds: how many paths of each kind.
        start: (x, y), where the slope is gentle.
        trusted: relative spread of σ below which it counts as known.
        lost: loss above which a path has ended on the plateau.

    Source:
        Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, 2020, https://arxiv.org/abs/1908.03265;
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "warm-up"
    size: ClassVar[tuple[float, float]] = (13.5, 5.4)
    formulas: ClassVar[tuple[str, ...]] = ("adam", "warmup")

    formula: str = "1 - exp(-(x**2 + y**2)/2)"
    learning_rate: float = 1.0
    warmup: int = 100
    steps: int = 300
    noise: float = 0.2
    seeds: int = 200
    start: tuple[float, float] = (2.0, 1.5)
    trusted: float = 0.1
    lost: float = 0.9

    def run(self) -> Evidence:
        """Run all; measure the spread of σ over the seeds, the way covered meanwhile, and how many are lost."""
        cold, warm = self._paths("constant"), self._paths(f"warmup({self.warmup})")
        scale_NS = np.array([path.scale_S2[:, 0] for path in warm])  # these stay in place while σ builds up
        spread_S = scale_NS.std(axis=0) / scale_NS.mean(axis=0)
        trusted = int(np.argmax(spread_S < self.trusted))
        return Evidence(
            {
                "learning_rate": self.learning_rate,
                "warmup": self.warmup,
                "steps": self.steps,
                "seeds": self.seeds,
                "first_step": float(np.mean([path.step_length[0] for path in cold])),
                "spread_first": 100 * float(spread_S[0]),
                "spread_tenth": 100 * float(spread_S[9]),
                "trusted": trusted,
                "bound": 100 * self.trusted,
                "cold_walked": _walked(cold, _FIRST),
                "warm_walked": _walked(warm, _FIRST),
                "cold_lost": self._lost(cold),
                "warm_lost": self._lost(warm),
            },
            {"spread_S": spread_S, "paths": {"cold": cold, "warm": warm}},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """σ is uncertain at first; without warm-up, the path leaps during that time, often out of reach."""
        numbers = evidence.numbers
        return (
            Check("uncertain", numbers["spread_first"], ">", 50),
            Check("trusted", numbers["trusted"], "<", self.warmup),
            Check("full_step", abs(numbers["first_step"] / self.learning_rate - np.sqrt(2)), "<", 1e-3),
            Check("walked", numbers["warm_walked"] / numbers["cold_walked"], "<", 0.2),
            Check("cold_lost", numbers["cold_lost"], ">", 15),
            Check("warm_lost", numbers["warm_lost"], "<", 3),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The spread of σ against steps; the first steps from above; how many are on the plateau against steps."""
        left, middle, right = figure.subplots(1, 3, width_ratios=(4, 5, 4))
        self._spread(left, evidence)
        draw_map(middle, evidence.data["paths"]["cold"][0].surface, {})
        middle.set_title(self.say("map_title", paths=_SHOWN, steps=_FIRST))
        for (key, paths), style in zip(evidence.data["paths"].items(), LINES[1::-1], strict=True):
            _first_steps(middle, paths, style, self.say(key))
            away_S = 100 * np.mean([path.loss > self.lost for path in paths], axis=0)
            right.plot(away_S, color=style.color, linestyle=style.dashes, linewidth=2, label=self.say(key))
        middle.plot(
            *self.start, "*", color=INK, markersize=13, markeredgecolor="white", zorder=6, label=self.say("start")
        )
        middle.legend(loc="lower left", frameon=True, framealpha=1, edgecolor="none")
        right.set_ylim(-2, 102)
        right.legend(loc="upper right", handlelength=3.2)
        label_axes(right, title=self.say("lost_title"), y=self.say("lost_axis"))
        number_steps(right, self.steps)

    def _spread(self, axes: Axes, evidence: Evidence) -> None:
        axes.plot(100 * evidence.data["spread_S"], color=LINES[2].color, linewidth=2)
        axes.axhline(evidence.numbers["bound"], color=QUIET, linewidth=0.8)
        axes.axvline(self.warmup, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
        axes.annotate(self.say("warmup_ends"), (self.warmup, 60), xytext=(5, 0), textcoords="offset points")
        axes.set_ylim(0, 80)
        label_axes(axes, title=self.say("spread_title"), y=self.say("spread_axis"))
        number_steps(axes, self.steps)

    def _paths(self, schedule: str) -> list[Trace]:
        surface = parse(self.formula, window=((-_VIEW, _VIEW), (-_VIEW, _VIEW)))
        return [
            trace(
                surface,
                "adam",
                lr=self.learning_rate,
                schedule=schedule,
                steps=self.steps,
                start=self.start,
                noise=self.noise,
                seed=seed,
            )
            for seed in range(self.seeds)
        ]

    def _lost(self, paths: Sequence[Trace]) -> float:
        """How many end on the plateau, in percent."""
        return 100 * float(np.mean([path.loss[-1] > self.lost for path in paths]))


def _walked(paths: Sequence[Trace], steps: int) -> float:
    """The mean length of the first steps together."""
    return float(np.mean([path.step_length[:steps].sum() for path in paths]))


def _first_steps(axes: Axes, paths: Sequence[Trace], style: Series, name: str) -> None:
    """Draw the beginning of some paths as thin lines, each with a mark at its end."""
    for path in paths[:_SHOWN]:
        xy_2S = path.positions_S2[: _FIRST + 1].T
        axes.plot(*xy_2S, color=style.color, linewidth=0.7, alpha=0.6)
        axes.plot(*xy_2S[:, -1], style.marker, color=style.color, markersize=5, markeredgecolor="white", zorder=4)
    axes.plot([], [], style.marker, color=style.color, label=name)
