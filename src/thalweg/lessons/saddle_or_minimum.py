"""A gradient of zero does not tell minimum from saddle point; the eigenvalues of the Hessian do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import BLUE, INK, VERMILLION, casing, label_axes
from thalweg.lessons._drawing import draw_map
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class SaddleOrMinimum(Lesson):
    """The toy network (1 − w₁w₂)² at the origin, and all critical points of a surface that has every kind.

    Args:
        step: how far to walk along an eigenvector.
        surface: the surface whose critical points are counted.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "When gradient is small: local minimum and saddle point",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "saddle-or-minimum"
    formulas: ClassVar[tuple[str, ...]] = ("sgd",)

    step: float = 0.5
    surface: str = "himmelblau"

    def run(self) -> Evidence:
        """Gradient and eigenvalues at the origin, the loss a step along each eigenvector, and the other surface."""
        network = get("toy_network")
        origin_2 = np.zeros(2)
        eigenvalues_2, vectors_22 = np.linalg.eigh(network.hessian(origin_2))
        down_2, up_2 = self.step * vectors_22.T
        other = get(self.surface)
        kinds = [point.kind for point in other.critical_points]
        return Evidence(
            {
                "gradient": float(np.linalg.norm(network.gradient(origin_2))),
                "lowest": float(eigenvalues_2[0]),
                "highest": float(eigenvalues_2[1]),
                "loss": float(network.value(*origin_2)),
                "loss_down": float(network.value(*down_2)),
                "loss_up": float(network.value(*up_2)),
                "step": self.step,
                "points": len(kinds),
                **{kind: kinds.count(kind) for kind in ("minimum", "saddle", "maximum")},
                "largest_gradient": max(
                    float(np.linalg.norm(other.gradient(point.position))) for point in other.critical_points
                ),
            },
            {"network": network, "other": other, "vectors_22": vectors_22},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Zero gradient, one eigenvalue of each sign, and the eigenvector of the negative one leads down."""
        numbers = evidence.numbers
        return (
            Check("gradient", numbers["gradient"], "=", 0),
            Check("lowest", numbers["lowest"], "<", 0),
            Check("highest", numbers["highest"], ">", 0),
            Check("down", numbers["loss_down"], "<", numbers["loss"]),
            Check("up", numbers["loss_up"], ">", numbers["loss"]),
            Check("kinds", min(numbers[kind] for kind in ("minimum", "saddle", "maximum")), "≥", 1),
            Check("all_flat", numbers["largest_gradient"], "<", 1e-9),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The network's surface with both directions, the loss along them, and the other surface with its points."""
        first, middle, last = figure.subplots(1, 3, width_ratios=(5, 4, 5))
        for axes, key in ((first, "network"), (last, "other")):
            draw_map(axes, evidence.data[key], {})
        first.set_title(self.say("network_title"))
        last.set_title(self.say("other_title", points=evidence.numbers["points"]))
        first.set(xlabel="w₁", ylabel="w₂")
        for kind, marker, fill in (("minimum", "o", "full"), ("saddle", "x", "full"), ("maximum", "o", "none")):
            last.plot([], [], marker, color=INK, fillstyle=fill, label=self.say(f"kind_{kind}"))
        last.legend(loc="lower center", ncols=3, columnspacing=1, handletextpad=0.2)
        self._arrows(first, evidence)
        self._cuts(middle, evidence)

    def _arrows(self, axes: Axes, evidence: Evidence) -> None:
        for vector_2, color, key in zip(
            evidence.data["vectors_22"].T, (VERMILLION, BLUE), ("lowest", "highest"), strict=True
        ):
            tip_2 = vector_2 * np.sign(vector_2[1])
            axes.annotate("", tip_2, (0, 0), arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 2.2})
            axes.annotate(
                f"λ = {evidence.numbers[key]:+.3g}".replace("-", "−"),
                tip_2,
                xytext=(-6 if tip_2[0] < 0 else 6, -12),
                textcoords="offset points",
                color=color,
                ha="right" if tip_2[0] < 0 else "left",
                fontsize=11,
                path_effects=casing(),
            )

    def _cuts(self, axes: Axes, evidence: Evidence) -> None:
        walk_N = np.linspace(-1.0, 1.0, 201)
        looks = ((VERMILLION, (0, (6, 2)), "lowest", "down"), (BLUE, (0, ()), "highest", "up"))
        for vector_2, (color, dashes, key, label) in zip(evidence.data["vectors_22"].T, looks, strict=True):
            loss_N = evidence.data["network"].value(*np.outer(vector_2, walk_N))
            name = self.say(label, eigenvalue=f"{evidence.numbers[key]:+.3g}".replace("-", "−"))
            axes.plot(walk_N, loss_N, color=color, linestyle=dashes, linewidth=2, label=name)
        axes.plot(0, evidence.numbers["loss"], "x", color=INK, markersize=8, markeredgewidth=2)
        axes.legend(loc="upper center", handlelength=3.2)
        axes.margins(y=0.16)
        label_axes(axes, title=self.say("cuts_title"), x=self.say("walk_axis"), y=self.axis("loss"))
