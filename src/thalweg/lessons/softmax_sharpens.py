"""Softmax preserves the order, sharpens the differences, and gives outputs that sum to one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from thalweg.figures.style import INK, QUIET, SERIES, label_axes
from thalweg.lessons._measures import softmax
from thalweg.lessons.lesson import Check, Evidence, Lesson


if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SoftmaxSharpens(Lesson):
    """The lecture's three logits through softmax, and through softmax of their multiples.

    Args:
        logits: the highest first.
        most: largest multiple that is drawn.

    Source:
        Hung-yi Lee, Machine Learning, 2021, "Classification (short version)",
        https://speech.ee.ntu.edu.tw/~hylee/ml/2021-spring.php
    """

    name: ClassVar[str] = "softmax-sharpens"
    formulas: ClassVar[tuple[str, ...]] = ("softmax",)

    logits: tuple[float, float, float] = (3.0, 1.0, -3.0)
    most: float = 3.0

    def run(self) -> Evidence:
        """Shares of the logits, of the logits shifted, doubled, and times 0 to `most`."""
        logits_C = np.array(self.logits)
        shares_C = softmax(logits_C)
        times_N = np.linspace(0, self.most, 121)
        shares_NC = softmax(times_N[:, None] * logits_C)
        numbers = {f"logit_{place}": value for place, value in enumerate(self.logits, 1)}
        numbers |= {f"share_{place}": float(value) for place, value in enumerate(shares_C, 1)}
        return Evidence(
            {
                **numbers,
                "sum": float(shares_C.sum()),
                "logit_ratio": self.logits[0] / self.logits[1],
                "share_ratio": float(shares_C[0] / shares_C[1]),
                "doubled": float(softmax(2 * logits_C)[0]),
                "halved": float(softmax(logits_C / 2)[0]),
                "shifted": float(np.abs(softmax(logits_C + 100) - shares_C).max()),
                "order": float(-np.diff(shares_NC[1:], axis=1).max()),
                "rise": float(np.diff(shares_NC[:, 0]).min()),
            },
            {"times_N": times_N, "shares_NC": shares_NC},
        )

    def checks(self, evidence: Evidence) -> tuple[Check, ...]:
        """Outputs sum to one, keep the order, and lie farther apart than the logits, more so for larger multiples."""
        numbers = evidence.numbers
        return (
            Check("sum", abs(numbers["sum"] - 1), "<", 1e-12),
            Check("order", numbers["order"], ">", 0),
            Check("ratio", numbers["share_ratio"] / numbers["logit_ratio"], ">", 2),
            Check("rise", numbers["rise"], ">", 0),
            Check("shift", numbers["shifted"], "<", 1e-12),
        )

    def draw(self, evidence: Evidence, figure: Figure) -> None:
        """Logits and shares as bars; shares against the multiple of the logits as lines."""
        left, middle, right = figure.subplots(1, 3, width_ratios=(3, 3, 5))
        names = [self.say("class", number=number) for number in (1, 2, 3)]
        shares = [evidence.numbers[f"share_{place}"] for place in (1, 2, 3)]
        self._bars(left, names, list(self.logits), "logits")
        self._bars(middle, names, shares, "shares")
        self._lines(right, evidence.data["times_N"], evidence.data["shares_NC"], names)

    def _bars(self, axes: Axes, names: list[str], heights: list[float], panel: str) -> None:
        bars = axes.bar(names, heights, color=[series.color for series in SERIES[:3]], width=0.6)
        axes.bar_label(bars, [f"{height:.2g}".replace("-", "−") for height in heights], padding=3)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.margins(y=0.12)
        label_axes(axes, title=self.say(f"{panel}_title"), y=self.say(f"{panel}_axis"))

    def _lines(
        self, axes: Axes, times_N: NDArray[np.float64], shares_NC: NDArray[np.float64], names: list[str]
    ) -> None:
        for share_N, series, name in zip(shares_NC.T, SERIES, names, strict=False):
            axes.plot(times_N, share_N, color=series.color, linestyle=series.dashes, linewidth=2, label=name)
        axes.axvline(1, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
        axes.set(xlim=(0, self.most), ylim=(0, 1.02))
        axes.legend(loc="center right", handlelength=3.2)
        label_axes(axes, title=self.say("times_title"), x=self.say("times_axis"), y=self.say("shares_axis"))
