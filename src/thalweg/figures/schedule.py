"""The picture of a schedule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from thalweg.figures.formulas import ROW, formula_rows, write_formulas
from thalweg.figures.plain import telling_steps
from thalweg.figures.style import BLUE, QUIET, label_axes, literal, picture
from thalweg.formulas import formula_of_schedule
from thalweg.i18n import t
from thalweg.schedules import Chain, factors


if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from thalweg.schedules import Schedule

_WIDTH = 9  # inches
_BUCKETS = 2000  # points of the line, for a picture 1,350 pixels wide
_WIDE_RANGE = 50  # above this ratio of highest to lowest, a linear axis hides the lowest
_FLOOR = 1e-6  # of the highest; a logarithmic axis ends there, or a cosine's last step would fill half of it
_LONGEST_TITLE = 84  # characters per line
_CHARACTER = 0.0105  # width of a character in a part's name, as a share of the axis
_ROW = 13  # height of a row of names, in points


def draw_schedule(path: Path | str, schedule: Schedule, steps: int, *, learning_rate: float | None = None) -> None:
    """Draw the learning rate of every update; a wide range is drawn on a logarithmic axis, too.

    Args:
        path: the PNG file.
        schedule: the schedule.
        steps: number of updates, at least 1.
        learning_rate: multiplied by the factor; None draws the factor itself.

    Raises:
        StorageError: the file cannot be written.
        UsageError: `steps` is less than 1.
    """
    rates_N = (1.0 if learning_rate is None else learning_rate) * factors(schedule, steps)
    kept_K = telling_steps(rates_N, _BUCKETS)
    wide = rates_N.max() > _WIDE_RANGE * rates_N.min()
    label = t("schedules.axis_factor" if learning_rate is None else "schedules.axis_rate")
    rows = formula_rows([replace(formula_of_schedule(schedule, steps), name="")], _WIDTH)  # the title names it
    with picture(path, width=_WIDTH, height=(7 if wide else 4.5) + ROW * len(rows)) as figure:
        panels = figure.subplots(2 if wide else 1, 1, sharex=True, squeeze=False)[:, 0]
        for axes in panels:
            # the rate of the last update holds until training ends
            axes.plot([*kept_K, steps], [*rates_N[kept_K], rates_N[-1]], color=BLUE, drawstyle="steps-post", lw=1.8)
            label_axes(axes, y=label)
        panels[0].set_ylim(0, 1.12 * rates_N.max() or 1.0)
        panels[0].set_xlim(0, steps)
        names = _mark_parts(panels, schedule, steps)
        panels[0].set_title(literal(str(schedule), _LONGEST_TITLE), pad=8 + _ROW * names)
        panels[-1].set_xlabel(t("schedules.axis_step"))
        panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        panels[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if wide:
            panels[1].set_yscale("log")
            panels[1].set_ylim(bottom=max(rates_N.min(), _FLOOR * rates_N.max()) / 1.5)
        write_formulas(figure, rows)


def _mark_parts(panels: NDArray[np.object_], schedule: Schedule, steps: int) -> int:
    """Draw a line at the start of each part, with its text above, first part on top; return the number of rows."""
    if not isinstance(schedule, Chain):
        return 0
    ends: list[float] = []  # right ends of the texts in each row, as shares of the axis
    names: list[tuple[str, float, int]] = []
    for part in schedule.spans(steps):
        if not part.steps:
            continue
        began = part.began / steps
        if began:
            for axes in panels:
                axes.axvline(part.began, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
        row = next((row for row, end in enumerate(ends) if end < began), len(ends))
        ends[row : row + 1] = [began + _CHARACTER * (len(str(part.schedule)) + 1)]
        names.append((str(part.schedule), began, row))
    for name, began, row in names:
        _name_part(panels[0], name, began, len(ends) - 1 - row)
    return len(ends)


def _name_part(axes: Axes, name: str, began: float, row: int) -> None:
    axes.annotate(
        literal(name),
        (began, 1.0),
        xycoords="axes fraction",
        xytext=(2, 4 + _ROW * row),
        textcoords="offset points",
        color=QUIET,
        fontsize=9,
    )
