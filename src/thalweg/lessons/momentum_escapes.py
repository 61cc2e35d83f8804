"""Momentum rolls over a hill; plain gradient descent stops at its foot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import INK, casing, label_axes
from thalweg.lessons._drawing import LINES, draw_map, number_steps
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.paths import trace
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from thalweg.paths import Trace


@dataclass(frozen=True)
class MomentumEscapes(Lesson):
    """Both optimizers from one start above a local minimum that is not the lowest.

    Args:
        surface: a surface with a local minimum on the way to the lowest.
        learning_rate: of both.
        steps: of both.
        start: (x, y).

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Tips for training: batch and momentum",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php;
        Polyak, Some Methods of Speeding up the Convergence of Iteration Methods, 1964,
        https://doi.org/10.1016/0041-5553(64)90137-5
    """

    name: ClassVar[str] = "momentum-escapes"
    formulas: ClassVar[tuple[str, ...]] = ("sgd", "momentum")

    surface: str = "styblinski_tang"
    learning_rate: float = 0.005
    steps: int = 300
    start: tuple[float, float] = (4.8, 4.4)

    def run(self) -> Evidence:
        """Run both; find where each ends, and how far momentum climbs."""
        surface = get(self.surface)
        plain, rolling = (
            trace(surface, optimizer, lr=self.learning_rate, steps=self.steps, start=self.start)
            for optimizer in ("sgd", "momentum")
        )
        uphill_S = np.diff(rolling.loss) > 0
        end_2 = plain.positions_S2[-1]
        lowest = min(point.value for point in surface.critical_points)
        return Evidence(
            {
                "learning_rate": self.learning_rate,
                "steps": self.steps,
                "x": float(end_2[0]),
                "y": float(end_2[1]),
                "plain_loss": float(plain.loss[-1]),
                "plain_gradient": float(plain.gradient_norm[-1]),
                "plain_eigenvalue": float(np.linalg.eigvalsh(surface.hessian(end_2))[0]),
                "plain_uphill": int(np.count_nonzero(np.diff(plain.loss) > 1e-9)),
                "loss": float(rolling.loss[-1]),
                "lowest": lowest,
                "above_lowest": float(rolling.loss[-1]) - lowest,
                "uphill": int(np.count_nonzero(uphill_S)),
                "climb": _highest_climb(rolling),
            },
            {"plain": plain, "rolling": rolling},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Plain descent has stopped in a minimum that is not the lowest; momentum climbed out and found the lowest."""
        numbers = evidence.numbers
        return (
            Check("flat", numbers["plain_gradient"], "<", 1e-6),
            Check("minimum", numbers["plain_eigenvalue"], ">", 0),
            Check("not_lowest", numbers["plain_loss"] - numbers["lowest"], ">", 10),
            Check("never_up", numbers["plain_uphill"], "=", 0),
            Check("climbs", numbers["climb"], ">", 10),
            Check("lowest", numbers["above_lowest"], "<", 0.1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Both paths from above; the loss of both against steps, momentum's climbs marked."""
        left, right = figure.subplots(1, 2)
        plain, rolling = evidence.data["plain"], evidence.data["rolling"]
        draw_map(left, plain.surface, {"sgd": plain, "momentum": rolling}, legend="upper left")
        left.plot(*self.start, "o", color=INK, markersize=5)
        left.set_title(self.say("map_title"))
        self._losses(right, plain, rolling)

    def _losses(self, axes: Axes, plain: Trace, rolling: Trace) -> None:
        for name, path, style in (("sgd", plain, LINES[0]), ("momentum", rolling, LINES[1])):
            axes.plot(path.loss, color=style.color, linestyle=style.dashes, linewidth=1.8, label=name)
        up_N = np.flatnonzero(np.diff(rolling.loss) > 0.1)  # marking invisibly small rises would make the end gray
        rising_S = np.full_like(rolling.loss, np.nan)
        rising_S[up_N], rising_S[up_N + 1] = rolling.loss[up_N], rolling.loss[up_N + 1]
        axes.plot(rising_S, color=INK, linewidth=4, alpha=0.45, label=self.say("uphill"), path_effects=casing(0.5))
        axes.legend(loc="upper right", handlelength=3.2)
        label_axes(axes, title=self.say("loss_title"), y=self.axis("loss"))
        number_steps(axes, min(self.steps, 120))


def _highest_climb(path: Trace) -> float:
    """The largest rise of the loss above its lowest value so far."""
    return float((path.loss - np.minimum.accumulate(path.loss)).max())
