"""Rate and momentum on a quadratic: a formula says where momentum converges, how fast, and where it is fastest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final

import numpy as np
from matplotlib.colors import LogNorm

from thalweg.figures.style import BLUE, INK, VERMILLION, casing, label_axes
from thalweg.lessons._drawing import number_steps
from thalweg.lessons._measures import distance
from thalweg.lessons.lesson import Check, Evidence, Lesson
from thalweg.optimizers import get as optimizer
from thalweg.paths import map_adam, map_momentum, trace
from thalweg.paths.momentum_map import contraction, direction_errors, fastest, largest_lr
from thalweg.surfaces import get


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

    from thalweg.paths import MomentumMap
    from thalweg.paths.momentum_map import Fastest
    from thalweg.surfaces import Surface

_HATCHED: Final = "#6B6B6B"
SLOWEST: Final = 2_000.0  # steps that make the error a tenth, at the end of the scale of colors


@dataclass(frozen=True)
class MomentumMapLesson(Lesson):
    """Momentum and Adam in one valley for each pair of rate and memory, and the error along each eigenvector.

    Args:
        condition: the larger curvature over the smaller.
        angle: of the valley against the coordinates, in radians.
        rates: learning rates of each map.
        momenta: numbers of momentum, and of β₂.
        steps: of each trace of momentum.
        adam_steps: of each trace of Adam.
        near: distance from the goal, relative to the start's, that counts as arrived.
        high: a momentum for comparison.

    Source:
        Polyak, 1964, https://doi.org/10.1016/0041-5553(64)90137-5;
        Goh, Why Momentum Really Works, Distill, 2017, https://doi.org/10.23915/distill.00006
    """

    name: ClassVar[str] = "momentum-map"
    size: ClassVar[tuple[float, float]] = (13.5, 10.0)
    formulas: ClassVar[tuple[str, ...]] = ("momentum", "adam")

    condition: float = 100.0
    angle: float = 0.5
    rates: int = 40
    momenta: int = 33
    steps: int = 700
    adam_steps: int = 2_000
    near: float = 1e-3
    high: float = 0.95

    @property
    def valley(self) -> Surface:
        """What momentum and Adam descend."""
        return get("valley", condition=self.condition, angle=self.angle)

    @property
    def start(self) -> tuple[float, float]:
        """Where every trace begins: at distance 1 along each eigenvector."""
        return math.cos(self.angle) - math.sin(self.angle), math.cos(self.angle) + math.sin(self.angle)

    @property
    def curvatures(self) -> tuple[float, float]:
        """The eigenvalues of the valley's Hessian, the smaller first."""
        flat, steep = np.linalg.eigvalsh(self.valley.hessian(np.zeros(2))).tolist()
        return flat, steep

    @property
    def best(self) -> Fastest:
        """Rate and momentum whose slowest direction is the fastest, in closed form."""
        return fastest(self.curvatures)

    @property
    def plain_lr(self) -> float:
        """The best rate without momentum."""
        return 2 / sum(self.curvatures)

    def borders(self, momenta: ArrayLike) -> dict[str, NDArray[np.float64]]:
        """The rates where the steep direction diverges or begins to jump, and where the flat one begins to swing.

        Args:
            momenta: μ, each in [0, 1).
        """
        (flat, steep), roots = self.curvatures, np.sqrt(np.asarray(momenta, float))
        return {
            "diverges": largest_lr(steep, momenta),
            "jumps": (1 + roots) ** 2 / steep,
            "swings": (1 - roots) ** 2 / flat,
        }

    def run(self) -> Evidence:
        """Compute and simulate the map of momentum, simulate Adam's, and walk at the best choices."""
        valley, start = self.valley, self.start
        flat, steep = self.curvatures
        rate_W = np.linspace(0, 1.05 * float(largest_lr(steep, 1.0)), self.rates + 1)[1:]
        momenta = np.linspace(0, 0.99, self.momenta).tolist()
        found = map_momentum([flat, steep], rate_W.tolist(), momenta, steps=self.steps)
        beta2_H = 1 - np.geomspace(1, 1e-4, self.momenta)
        adam = map_adam(
            valley,
            np.geomspace(0.003, 3, self.rates).tolist(),
            beta2_H.tolist(),
            steps=self.adam_steps,
            start=start,
            near=self.near,
        )
        best, plain_lr = found.fastest, self.plain_lr
        plain = float(contraction([flat, steep], plain_lr, 0.0).max())
        paths = {
            name: trace(valley, optimizer("momentum", momentum=momentum), lr=lr, steps=self.steps, start=start)
            for name, lr, momentum in (("fastest", best.lr, best.momentum), ("plain", plain_lr, 0.0))
        }
        row, column, cells_away = _nearest_best(found)
        adam_row, adam_column = np.unravel_index(adam.arrival_HW.argmin(), adam.arrival_HW.shape)
        grows_HW, should_HW = found.worst_simulated_HW >= 1, rate_W >= largest_lr(steep, found.momentum_H)[:, None]
        return Evidence(
            {
                "flat": flat,
                "steep": steep,
                "condition": steep / flat,
                "rates": self.rates,
                "momenta": self.momenta,
                "cells": found.worst_HW.size,
                "gap": 100 * found.gap,
                "diverged": int(grows_HW.sum()),
                "border_wrong": int((grows_HW != should_HW).sum()),
                "lr": best.lr,
                "momentum": best.momentum,
                "factor": best.factor,
                "digit": _digit(best.factor),
                "grid_lr": float(rate_W[column]),
                "grid_momentum": float(found.momentum_H[row]),
                "cells_away": cells_away,
                "plain_lr": plain_lr,
                "plain_factor": plain,
                "plain_digit": _digit(plain),
                "high": self.high,
                "high_digit": _digit(float(contraction([flat, steep], best.lr, self.high).max())),
                "near": self.near,
                "arrival": _arrival(distance(paths["fastest"]), self.near),
                "adam_lr": float(adam.rate_W[adam_column]),
                "adam_beta2": float(adam.beta2_H[adam_row]),
                "adam_arrival": float(adam.arrival_HW[adam_row, adam_column]),
            },
            {"found": found, "adam": adam, "paths": paths},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Closed form and simulation agree in factor, border and optimum; momentum's optimum beats both others."""
        numbers = evidence.numbers
        return (
            Check("gap", numbers["gap"], "<", 1),
            Check("border", numbers["border_wrong"], "=", 0),
            Check("optimum", numbers["cells_away"], "≤", 1),
            Check("faster", numbers["plain_digit"] / numbers["digit"], ">", 5),
            Check("adam", numbers["adam_arrival"] / numbers["arrival"], ">", 1),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The map in closed form and simulated; Adam's, simulated; the error along each eigenvector."""
        (closed, simulated), (adam, errors) = figure.subplots(2, 2)
        found, of_adam = evidence.data["found"], evidence.data["adam"]
        norm = LogNorm(10 ** math.floor(math.log10(evidence.numbers["digit"])), SLOWEST)
        for axes, name, factor_HW in (
            (closed, "closed", found.worst_HW),
            (simulated, "simulated", found.worst_simulated_HW),
        ):
            self._shade(axes, found.rate_W, found.momentum_H, factor_HW, norm)
            self._borders(axes, found, named=axes is closed)
            label_axes(axes, title=self.say(f"{name}_title"), x=self.axis("rate"), y=self.say("momentum_axis"))
        self._shade(adam, of_adam.rate_W, 1 - of_adam.beta2_H, of_adam.factor_HW, norm)
        adam.plot(evidence.numbers["adam_lr"], 1 - evidence.numbers["adam_beta2"], "*", **_STAR)
        adam.set(xscale="log", yscale="log")
        adam.invert_yaxis()
        ticks = (1.0, 0.1, 0.01, 0.001, 0.0001)
        adam.set_yticks(ticks, [f"{1 - tick:g}" for tick in ticks])
        adam.minorticks_off()
        label_axes(adam, title=self.say("adam_title", steps=self.adam_steps), x=self.axis("rate"), y="β₂")
        self._errors(errors, evidence)

    def _shade(
        self,
        axes: Axes,
        x_W: NDArray[np.float64],
        y_H: NDArray[np.float64],
        factor_HW: NDArray[np.float64],
        norm: LogNorm,
    ) -> None:
        """Color each cell by the steps that make the error a tenth; hatch those that do not converge."""
        digit_HW = digits(factor_HW)
        digit_HW[~np.isfinite(digit_HW)] = np.nan
        mesh = axes.pcolormesh(x_W, y_H, digit_HW, shading="nearest", cmap="viridis_r", norm=norm, rasterized=True)
        axes.patch.set(hatch="///", edgecolor=_HATCHED)
        axes.grid(visible=False)
        axes.figure.colorbar(mesh, ax=axes, pad=0.02, format="{x:,.0f}", extend="max").set_label(self.say("digit_axis"))

    def _borders(self, axes: Axes, found: MomentumMap, *, named: bool) -> None:
        """Where the steep direction diverges or begins to jump, where the flat one begins to swing, and the optimum."""
        momentum_B = np.linspace(0, 0.99, 400)
        rates = self.borders(momentum_B)
        looks = {"diverges": (VERMILLION, "-"), "jumps": (INK, "--"), "swings": (BLUE, "-.")}
        for name, (color, dashes) in looks.items():
            look = {"color": color, "linestyle": dashes, "linewidth": 1.8, "path_effects": casing(1.2)}
            axes.plot(rates[name], momentum_B, label=self.say(name), **look)
        best = found.fastest
        axes.plot(best.lr, best.momentum, "*", label=self.say("fastest", lr=best.lr, momentum=best.momentum), **_STAR)
        axes.set(xlim=(float(found.rate_W[0]) / 2, float(found.rate_W[-1])), ylim=(0, float(found.momentum_H[-1])))
        if named:
            axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="none", handlelength=3.2)

    def _errors(self, axes: Axes, evidence: Evidence) -> None:
        last = int(5 * evidence.numbers["arrival"])
        for (name, path), color in zip(evidence.data["paths"].items(), (BLUE, VERMILLION), strict=True):
            curvature_2, error_S2 = direction_errors(path)
            for curvature, error_S, look in zip(curvature_2, error_S2.T, _DIRECTIONS, strict=True):
                label = self.say("error_of", path=self.say(f"path_{name}"), curvature=f"{curvature:.3g}")
                axes.plot(error_S[: last + 1], color=color, label=label, **look)
        axes.set(yscale="log", ylim=(1e-6, 30))
        axes.legend(loc="lower right", frameon=True, framealpha=1, edgecolor="none", handlelength=3.2)
        label_axes(axes, title=self.say("errors_title"), y=self.say("error_axis"))
        number_steps(axes, last)


# wide dots on a thin line: without momentum, both directions have the same factor
_DIRECTIONS: Final = ({"linestyle": "-", "linewidth": 1.3}, {"linestyle": ":", "linewidth": 3.0})
_STAR: Final = {"color": VERMILLION, "markersize": 16, "markeredgecolor": "white", "linestyle": "none", "zorder": 6}


def _nearest_best(found: MomentumMap) -> tuple[int, int, float]:
    """Row and column of the best simulated cell, and how many cells it is away from the optimum in closed form.

    Many cells share the lowest factor, √μ at any rate between two borders: of those that the simulation cannot tell
    apart, the nearest.
    """
    worst_HW = found.worst_simulated_HW
    rows_N, columns_N = np.nonzero(worst_HW <= worst_HW.min() * (1 + found.gap))
    away_2N = (
        np.abs(found.momentum_H[rows_N] - found.fastest.momentum) / (found.momentum_H[1] - found.momentum_H[0]),
        np.abs(found.rate_W[columns_N] - found.fastest.lr) / (found.rate_W[1] - found.rate_W[0]),
    )
    away_N = np.max(away_2N, axis=0)
    nearest = int(away_N.argmin())
    return int(rows_N[nearest]), int(columns_N[nearest]), float(away_N[nearest])


def digits(factor_HW: NDArray[np.float64]) -> NDArray[np.float64]:
    """The steps that make the error a tenth, for each factor of a step; infinite where it does not shrink."""
    return np.array([[_digit(factor) for factor in row] for row in factor_HW.tolist()])


def _digit(factor: float) -> float:
    """The steps that make the error a tenth; infinite if it does not shrink."""
    return math.inf if not factor < 1 else 0.0 if factor <= 0 else math.log(10) / -math.log(factor)


def _arrival(distance_S: NDArray[np.float64], near: float) -> float:
    """The step from which the distance stays below a share of the first."""
    return float(np.flatnonzero(~(distance_S <= near * distance_S[0]))[-1] + 1)
