"""The picture of a learning-rate search: loss against rate, the losses of the short runs, and the suggestion."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from thalweg.figures.style import BLUE, GREEN, INK, ORANGE, QUIET, VERMILLION, label_axes, picture
from thalweg.i18n import get_language, t


if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from thalweg.figures.style import Target
    from thalweg.rate import RateSweep

_LINE = {"en": 96, "zh-CN": 48}  # characters per line


def draw_rate_sweep(path: Target, sweep: RateSweep) -> None:
    """Draw the loss against the learning rate, on a logarithmic axis, with the suggestion marked.

    Without a suggestion, the picture states the reason.

    Args:
        path: the PNG file, or a `Kept`.
        sweep: the result of the search.

    Raises:
        StorageError: the file cannot be written.
    """
    with picture(path, width=9, height=5.6 if sweep.rates else 1.2) as figure:
        axes = figure.subplots()
        label_axes(axes, x=t("rate.axis_rate"), y=t("rate.axis_loss"))
        axes.set_xscale("log")
        _draw_sweep(axes, sweep)
        _draw_evaluations(axes, sweep)
        axes.set_ylim(*sweep.valley())
        if sweep.suggestion is not None:
            label = t("rate.legend_suggestion", rate=f"{sweep.suggestion:.2g}")
            axes.axvline(sweep.suggestion, color=VERMILLION, linewidth=2, linestyle=(0, (6, 2)), label=label)
        if sweep.rates:
            axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), ncols=2)
        else:
            axes.set_axis_off()  # there was no sweep: only the sentence is drawn
        axes.set_title("\n".join(_lines(str(sweep))), color=INK if sweep.usable else VERMILLION, fontsize=11)


def _draw_sweep(axes: Axes, sweep: RateSweep) -> None:
    if not sweep.rates:
        return
    axes.plot(sweep.rates, sweep.losses, color=BLUE, alpha=0.3, linewidth=0.8, label=t("rate.legend_each"))
    axes.plot(sweep.rates, sweep.smoothed, color=BLUE, label=t("rate.legend_smoothed"))
    if np.isfinite(sweep.start_loss):
        axes.axhline(sweep.start_loss, color=QUIET, linewidth=0.8, linestyle="-.", label=t("rate.legend_start"))
    if sweep.stopped_at is not None:
        label = t("rate.legend_stopped", rate=f"{sweep.stopped_at:.2g}")
        axes.axvline(sweep.stopped_at, color=QUIET, linewidth=1, linestyle=(0, (1, 1.5)), label=label)


def _draw_evaluations(axes: Axes, sweep: RateSweep) -> None:
    lengths = sorted({one.steps for one in sweep.evaluations})
    looks = zip(lengths, (ORANGE, GREEN, INK, VERMILLION), ("s", "o", "D", "^"), strict=False)
    for steps, color, marker in looks:
        points = [(one.rate, one.loss) for one in sweep.evaluations if one.steps == steps]
        label = t("rate.legend_evaluations", steps=steps)
        axes.plot(*zip(*sorted(points), strict=True), color=color, marker=marker, markersize=5, lw=1.2, label=label)


def _lines(sentence: str) -> list[str]:
    width = _LINE[get_language()]
    if get_language() == "en":
        return wrap(sentence, width)
    return [sentence[start : start + width] for start in range(0, len(sentence), width)]
