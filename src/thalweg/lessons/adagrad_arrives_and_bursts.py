"""The course's AdaGrad arrives near the goal, then bursts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np

from thalweg.figures.style import BLUE, INK, QUIET, VERMILLION, casing, label_axes
from thalweg.lessons._drawing import number_steps
from thalweg.lessons._measures import UNSTABLE, across, crossings, distance, first_below, steepness
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from thalweg.paths import Trace


_SETTLED: Final = 100  # by this step, the first bounces of both forms are over


@dataclass(frozen=True)
class AdagradArrivesAndBursts(Lesson):
    """Both forms of AdaGrad in a valley at an angle to the axes.

    Args:
        angle: of the valley, in radians.
        learning_rate: of both.
        steps: of both.
        start: (x, y).
        near: distance from the goal that counts as arrived.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        Duchi, Hazan, Singer, Adaptive Subgradient Methods, 2011, https://jmlr.org/papers/v12/duchi11a.html
    """

    name: ClassVar[str] = "adagrad-arrives-and-bursts"
    size: ClassVar[tuple[float, float]] = (12.0, 8.4)
    formulas: ClassVar[tuple[str, ...]] = ("adagrad_mean", "adagrad")

    angle: float = 0.05
    learning_rate: float = 0.2
    steps: int = 6_000
    start: tuple[float, float] = (-10.0, 2.0)
    near: float = 0.01

    def run(self) -> Evidence:
        """Run both; find the crossing, the calm before it, and the peak after it."""
        valley = get("valley", angle=self.angle)
        mean, total = (
            trace(valley, optimizer, lr=self.learning_rate, steps=self.steps, start=self.start)
            for optimizer in ("adagrad_mean", "adagrad")
        )
        steepness_S, across_S = steepness(mean), across(mean)
        crossing, after = [*crossings(steepness_S), self.steps - 1, self.steps - 1][:2]
        calm = int(np.argmin(across_S[:after]))
        peak = calm + int(np.argmax(across_S[calm : after + 1]))
        return Evidence(
            {
                "learning_rate": self.learning_rate,
                "angle": self.angle,
                "near": self.near,
                "arrival": first_below(distance(mean), self.near),
                "crossing": int(crossing),
                "before_crossing": float(steepness_S[crossing - 1]),
                "at_crossing": float(steepness_S[crossing]),
                "calm": calm,
                "lowest": float(across_S[calm]),
                "peak": peak,
                "highest": float(across_S[peak]),
                "scale_first": float(mean.scale_S2[0, 1]),
                "scale_crossing": float(mean.scale_S2[crossing, 1]),
                "scale_peak": float(mean.scale_S2[peak, 1]),
                "steepest": float(steepness_S[_SETTLED:].max()),
                "sum_steepest": float(steepness(total)[_SETTLED:].max()),
                "sum_highest": float(across(total)[calm:].max()),
                "sum_distance": float(distance(total)[-1]),
            },
            {"mean": mean, "sum": total},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """The mean form arrives, its σ sinks until the step is unstable, and it bursts; the sum form does not burst."""
        numbers = evidence.numbers
        return (
            Check("arrives", numbers["arrival"], "<", numbers["crossing"]),
            Check("below", numbers["before_crossing"], "≤", UNSTABLE),
            Check("crosses", numbers["at_crossing"], ">", UNSTABLE),
            Check("calm", numbers["lowest"], "<", 1e-28),
            Check("bursts", numbers["highest"], ">", 1),
            Check("sum_stable", numbers["sum_steepest"], "<", UNSTABLE),
            Check("sum_calm", numbers["sum_highest"], "<", 0.1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The distance from the floor, σ and the steepness of both forms against steps, with the crossing marked."""
        top, middle, bottom = figure.subplots(3, 1, sharex=True, height_ratios=(4, 3, 3))
        for key, color, dashes in (("sum", BLUE, (0, (6, 2))), ("mean", VERMILLION, (0, ()))):
            path: Trace = evidence.data[key]
            style = {"color": color, "linestyle": dashes, "linewidth": 1.5, "label": self.say(key)}
            top.plot(across(path), **style)
            middle.plot(path.scale_S2[:, 1], **style)
            bottom.plot(steepness(path), **style)
        for axes, panel in ((top, "across"), (middle, "scale"), (bottom, "steepness")):
            axes.axvline(evidence.numbers["crossing"], color=INK, linewidth=1, linestyle=(0, (3, 2)))
            label_axes(axes, title=self.say(f"{panel}_title"), y=self.axis(panel))
        top.set(yscale="log", ylim=(1e-40, 1e3))
        middle.set_yscale("log")
        bottom.set_ylim(0, 2.6)
        bottom.axhline(UNSTABLE, color=QUIET, linewidth=1)
        number_steps(bottom, self.steps)
        top.legend(loc="lower left")
        self._mark(top, bottom, evidence)

    def _mark(self, top: Axes, bottom: Axes, evidence: Evidence) -> None:
        """Words at the crossing and at the peak."""
        numbers = evidence.numbers
        notes = (
            (bottom, "crossing", (numbers["crossing"], UNSTABLE), (12, -52)),
            (top, "peak", (numbers["peak"], numbers["highest"]), (14, 10)),
        )
        for axes, key, place, shift in notes:
            axes.plot(*place, "o", color=INK, markersize=6, zorder=5)
            axes.annotate(
                self.say(f"note_{key}", **numbers),
                place,
                xytext=shift,
                textcoords="offset points",
                ha="right" if shift[0] < 0 else "left",
                path_effects=casing(),
            )
