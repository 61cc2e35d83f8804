"""Adam is momentum and RMSprop at once: momentum gives the direction, RMSprop the scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import label_axes
from thalweg.lessons._drawing import LINES, draw_map, number_steps
from thalweg.lessons._measures import distance, first_below
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.optimizers.adam import Adam
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from thalweg.paths import Trace

_OPTIMIZERS = ("momentum", "rmsprop", "adam")


@dataclass(frozen=True)
class AdamIsBoth(Lesson):
    """Three optimizers in one valley at one learning rate, and Adam's m and σ written out as averages.

    Args:
        learning_rate: of all three.
        steps: of all three.
        start: (x, y).
        near: distance from the goal that counts as arrived.
        written_out: steps for which the averages are summed term by term.

    Source:
        Kingma, Ba, Adam, 2015, https://arxiv.org/abs/1412.6980;
        Hung-yi Lee, Machine Learning, 2021, "Error surface is rugged: tips for training, adaptive learning rate",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "adam-is-both"
    formulas: ClassVar[tuple[str, ...]] = ("momentum", "rmsprop", "adam")

    learning_rate: float = 0.02
    steps: int = 4_000
    start: tuple[float, float] = (-8.0, 2.0)
    near: float = 0.1
    written_out: int = 500

    def run(self) -> Evidence:
        """Run the three; compare Adam's m and σ with sums over its past gradients."""
        valley = get("valley")
        paths = {
            optimizer: trace(valley, optimizer, lr=self.learning_rate, steps=self.steps, start=self.start)
            for optimizer in _OPTIMIZERS
        }
        late = slice(-self.steps // 4, None)
        direction_gap, scale_gap = _gaps(paths["adam"], self.written_out)
        return Evidence(
            {
                "learning_rate": self.learning_rate,
                "near": self.near,
                "written_out": self.written_out,
                "direction_gap": direction_gap,
                "scale_gap": scale_gap,
                **{f"{optimizer}_arrival": first_below(distance(path), self.near) for optimizer, path in paths.items()},
                **{f"{optimizer}_late": float(distance(path)[late].mean()) for optimizer, path in paths.items()},
            },
            {"paths": paths},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Adam equals both averages but for rounding; it arrives before momentum and rests where RMSprop jumps."""
        numbers = evidence.numbers
        return (
            Check("direction", numbers["direction_gap"], "<", 1e-10),
            Check("scale", numbers["scale_gap"], "<", 1e-10),
            Check("faster", numbers["adam_arrival"], "<", numbers["momentum_arrival"]),
            Check("calmer", numbers["adam_late"] / numbers["rmsprop_late"], "<", 0.01),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The three paths from above, and their distance from the goal against steps."""
        left, right = figure.subplots(1, 2)
        paths = evidence.data["paths"]
        draw_map(left, paths["adam"].surface, paths, legend="upper right")
        left.set_title(self.say("map_title"))
        for (optimizer, path), style in zip(paths.items(), LINES, strict=False):
            right.plot(distance(path), color=style.color, linestyle=style.dashes, linewidth=1.5, label=optimizer)
        right.set(yscale="log", ylim=(1e-6, 20))
        right.legend(loc="upper right")
        label_axes(right, title=self.say("distance_title"), y=self.axis("distance"))
        number_steps(right, self.steps)


def _gaps(path: Trace, steps: int) -> tuple[float, float]:
    """How far Adam's m and σ are from sums over all past gradients, relative to their size."""
    optimizer = path.optimizer
    if not isinstance(optimizer, Adam):
        raise TypeError(f"not a path of Adam: {optimizer.name}")
    gradient_S2 = path.surface.gradient(path.positions_S2[:steps])
    direction_S2 = _average(gradient_S2, optimizer.betas[0])
    scale_S2 = np.sqrt(_average(gradient_S2**2, optimizer.betas[1])) + optimizer.eps
    return (
        float(np.abs(path.direction_S2[:steps] - direction_S2).max() / np.abs(direction_S2).max()),
        float(np.abs(path.scale_S2[:steps] / scale_S2 - 1).max()),
    )


def _average(values_S2: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Σ_s β^(t−s) v_s / Σ_s β^(t−s): momentum's average, and with squares RMSprop's, the weights adding up to one."""
    age_SS = np.subtract.outer(np.arange(len(values_S2)), np.arange(len(values_S2)))
    weight_SS = np.where(age_SS >= 0, beta ** np.maximum(age_SS, 0), 0.0)
    return weight_SS @ values_S2 / weight_SS.sum(axis=1, keepdims=True)
