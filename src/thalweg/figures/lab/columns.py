"""The numbers of traces that pictures draw and tables read, at the kept steps, and the charts they make.

Legend: K kept steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.figures.lab.heightmap import Heightmap
    from thalweg.paths import Trace

    Columns = dict[str, NDArray[np.float64]]

CHARTS: Final = ("loss", "gradient_norm", "rate_x", "rate_y")

_DEEPEST = 1e-24  # of the largest value: below that a logarithmic chart has its floor
_NARROW = 30.0  # ratio below which a logarithmic axis would have no ticks


@dataclass(frozen=True)
class Chart:
    """One chart against steps.

    Attributes:
        column: what it shows, one of those of `columns_of`.
        scale: of its values.
        low: the value at its floor; smaller ones are drawn there.
        high: the value at its top; larger ones are drawn there.
    """

    column: str
    scale: Literal["linear", "log"]
    low: float
    high: float

    @property
    def title(self) -> str:
        """The chart's title, in the language in force."""
        return t(f"lab.chart_{self.column}")

    def drawn(self, values_K: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values as the chart draws them: those outside lie on its edge."""
        return np.clip(values_K, self.low, self.high)


def columns_of(trace: Trace, steps_K: NDArray[np.int64]) -> Columns:
    """Every number of a trace at the kept steps; NaN where it has none: after its end, and for updates at step 0.

    Returns:
        Position `x`, `y`; `loss`; `gradient_norm`; and of the update that led there: rate `lr`, direction `m_x`,
        `m_y`, scale `sigma_x`, `sigma_y`, effective rate `rate_x`, `rate_y` (η/σ), its product with the curvature
        `stability_x`, `stability_y`, and `step_length`.
    """
    here = {
        "x": trace.positions_S2[:, 0],
        "y": trace.positions_S2[:, 1],
        "loss": trace.loss,
        "gradient_norm": trace.gradient_norm,
    }
    led_here = {
        "lr": trace.lr_S,
        "m_x": trace.direction_S2[:, 0],
        "m_y": trace.direction_S2[:, 1],
        "sigma_x": trace.scale_S2[:, 0],
        "sigma_y": trace.scale_S2[:, 1],
        "rate_x": trace.rates_S2[:, 0],
        "rate_y": trace.rates_S2[:, 1],
        "stability_x": trace.stability_S2[:, 0],
        "stability_y": trace.stability_S2[:, 1],
        "step_length": trace.step_length,
    }
    return {
        **{name: _at(column_S, steps_K) for name, column_S in here.items()},
        **{name: _at(column_S, steps_K - 1) for name, column_S in led_here.items()},
    }


def charts_of(columns: Sequence[Columns], heightmap: Heightmap, names: Sequence[str] = CHARTS) -> list[Chart]:
    """The charts, with scales and ranges that show traces well while they are inside the window."""
    inside = [heightmap.contains(trace["x"], trace["y"]) for trace in columns]
    return [
        _chart(
            name,
            np.concatenate(
                [np.empty(0), *(trace[name][seen_K] for trace, seen_K in zip(columns, inside, strict=True))]
            ),
        )
        for name in names
    ]


def _at(column_S: NDArray[np.float64], steps_K: NDArray[np.int64]) -> NDArray[np.float64]:
    if len(steps_K) and len(column_S) == len(steps_K) and steps_K[0] == 0 and steps_K[-1] == len(steps_K) - 1:
        return column_S  # all are kept, as of short traces
    values_K = np.full(len(steps_K), np.nan)
    inside_K = (steps_K >= 0) & (steps_K < len(column_S))
    values_K[inside_K] = column_S[steps_K[inside_K]]
    return values_K


def _chart(name: str, values_N: NDArray[np.float64]) -> Chart:
    values_N = values_N[np.isfinite(values_N)]
    if not values_N.size:
        return Chart(name, "linear", 0.0, 1.0)
    low, high = float(values_N.min()), float(values_N.max())
    if low >= 0 and high > _NARROW * low:
        lowest = max(float(values_N[values_N > 0].min()), high * _DEEPEST)
        return Chart(name, "log", lowest / 1.5, high * 1.5)
    margin = 0.04 * (high - low) or 0.04 * abs(high) or 0.5
    return Chart(name, "linear", low - margin, high + margin)
