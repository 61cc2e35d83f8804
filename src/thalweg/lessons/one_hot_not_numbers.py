"""A class is not a quantity: regression on 1, 2, 3 against one-hot targets, on the same points."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import INK, SERIES, label_axes
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    Classifier = Callable[[NDArray[np.float64]], NDArray[np.int64]]

_CORNERS_32 = np.array([[-1.0, -0.6], [1.0, -0.6], [0.0, 1.1]])  # of a triangle: no class lies between two others


@dataclass(frozen=True)
class OneHotNotNumbers(Lesson):
    """Least squares on the same features: once with the class as a number, once with one output per class.

    Args:
        points: of each class.
        spread: standard deviation of a class around its corner of the triangle.
        seed: of the points.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Classification (short version)",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "one-hot-not-numbers"

    points: int = 200
    spread: float = 0.42
    seed: int = 3

    def run(self) -> Evidence:
        """Apply both classifiers to the points, between two classes, and with renumbered classes."""
        points_N2, classes_N = self._points()
        by_number, by_one_hot = fit_numbers(points_N2, classes_N), fit_one_hot(points_N2, classes_N)
        between_12 = (_CORNERS_32[:1] + _CORNERS_32[2:]) / 2
        number_N, one_hot_N = by_number(points_N2), by_one_hot(points_N2)
        return Evidence(
            {
                "points": len(classes_N),
                "numbers_right": 100 * float((number_N == classes_N).mean()),
                "one_hot_right": 100 * float((one_hot_N == classes_N).mean()),
                "between": float(by_number(between_12)[0]) + 1,
                "distance_to_second": float(np.linalg.norm(between_12 - _CORNERS_32[1])),
                "distance_to_first": float(np.linalg.norm(between_12 - _CORNERS_32[0])),
                "numbers_changed": 100 * _changed(fit_numbers, points_N2, classes_N),
                "one_hot_changed": 100 * _changed(fit_one_hot, points_N2, classes_N),
            },
            {"points_N2": points_N2, "classes_N": classes_N, "numbers": by_number, "one_hot": by_one_hot},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """One-hot is correct far more often, and only one-hot does not depend on the numbering."""
        numbers = evidence.numbers
        return (
            Check("one_hot_right", numbers["one_hot_right"], "≥", 95),
            Check("numbers_right", numbers["numbers_right"], "≤", numbers["one_hot_right"] - 10),
            Check("between", numbers["between"], "=", 2),
            Check("numbers_changed", numbers["numbers_changed"], "≥", 10),
            Check("one_hot_changed", numbers["one_hot_changed"], "=", 0),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """The regions of both classifiers, and the points that each gets wrong."""
        for axes, way in zip(figure.subplots(1, 2, sharex=True, sharey=True), ("numbers", "one_hot"), strict=True):
            self._regions(axes, evidence, way)
        figure.axes[0].legend(loc="upper left", ncols=2, handletextpad=0.3)

    def _points(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        classes_N = np.repeat(np.arange(3), self.points)
        noise_N2 = np.random.default_rng(self.seed).normal(size=(3 * self.points, 2))
        return _CORNERS_32[classes_N] + self.spread * noise_N2, classes_N

    def _regions(self, axes: Axes, evidence: Evidence, way: str) -> None:
        from matplotlib.colors import ListedColormap

        points_N2, classes_N, classify = (evidence.data[key] for key in ("points_N2", "classes_N", way))
        (left, bottom), (right, top) = points_N2.min(axis=0) - 0.2, points_N2.max(axis=0) + np.array([0.2, 0.7])
        x_HW, y_HW = np.meshgrid(np.linspace(left, right, 400), np.linspace(bottom, top, 400))
        region_HW = classify(np.stack([x_HW, y_HW], axis=-1).reshape(-1, 2)).reshape(x_HW.shape)
        shades = ListedColormap([series.color for series in SERIES[:3]])
        axes.imshow(
            region_HW,
            extent=(left, right, bottom, top),
            origin="lower",
            aspect="auto",
            cmap=shades,
            vmin=0,
            vmax=2,
            alpha=0.22,
        )
        for number, series in enumerate(SERIES[:3]):
            own_N2 = points_N2[classes_N == number]
            axes.plot(
                *own_N2.T, series.marker, color=series.color, markersize=4, label=self.say("class", number=number + 1)
            )
        wrong_N = classify(points_N2) != classes_N
        axes.plot(*points_N2[wrong_N].T, "o", color=INK, fillstyle="none", markersize=9, label=self.say("wrong"))
        axes.grid(visible=False)
        title = self.say(f"{way}_title", right=evidence.numbers[f"{way}_right"])
        label_axes(axes, title=title, x=self.say("x_axis"), y=self.say("y_axis"))


def fit_numbers(points_N2: NDArray[np.float64], classes_N: NDArray[np.int64]) -> Classifier:
    """Least squares on the class's number; the prediction is the nearest number."""
    weights = _least_squares(points_N2, classes_N[:, None].astype(np.float64))
    highest = int(classes_N.max())
    return lambda x_N2: np.clip(np.rint(_features(x_N2) @ weights)[:, 0], 0, highest).astype(np.int64)


def fit_one_hot(points_N2: NDArray[np.float64], classes_N: NDArray[np.int64]) -> Classifier:
    """Least squares on one output per class; the prediction is the highest."""
    weights = _least_squares(points_N2, np.eye(int(classes_N.max()) + 1)[classes_N])
    return lambda x_N2: np.argmax(_features(x_N2) @ weights, axis=1)


def _least_squares(points_N2: NDArray[np.float64], targets_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    weights, *_ = np.linalg.lstsq(_features(points_N2), targets_NK, rcond=None)
    return np.asarray(weights, dtype=np.float64)


def _features(points_N2: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([points_N2, np.ones(len(points_N2))])


def _changed(fit: Callable[..., Classifier], points_N2: NDArray[np.float64], classes_N: NDArray[np.int64]) -> float:
    """The share of points whose prediction changes under some other numbering of the same classes."""
    first_N = fit(points_N2, classes_N)(points_N2)
    changed_N = np.zeros(len(classes_N), dtype=bool)
    for renamed in permutations(range(3)):
        answer_N = fit(points_N2, np.array(renamed)[classes_N])(points_N2)
        changed_N |= np.argsort(renamed)[answer_N] != first_N
    return float(changed_N.mean())
