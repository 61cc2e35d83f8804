"""The curves of a run: loss, accuracy, gradient norm and learning rate against steps, one below the other.

Of a training on several processes, the photos per second of each come between the last two. Loss and gradient norm
stand together because a training can be stuck although its gradient is large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from thalweg.figures.formulas import ROW, formula_rows, write_formulas
from thalweg.figures.running_mean import smooth, window_of
from thalweg.figures.style import BLUE, GREEN, INK, ORANGE, QUIET, SERIES, VERMILLION, label_axes, picture
from thalweg.history.overview import extremes
from thalweg.i18n import t
from thalweg.runs import files


if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from thalweg.figures.style import Target
    from thalweg.formulas import Formula
    from thalweg.history import History

_WIDTH, _HEIGHT = 9.0, 11.5  # inches
_BLOCKS = 8192  # of a long line: several for each pixel of the picture's width
_SPREAD = 30  # above this ratio of largest to median loss, the axis is logarithmic


def curves(
    steps: History,
    epochs: History,
    path: Target,
    *,
    formulas: Sequence[Formula] = (),
    fitted: bool = False,
    processes: History | None = None,
) -> None:
    """Draw a run's histories.

    Each step is drawn in a pale color, below the mean over a window of steps; the legend states the window's length.
    Steps with a value that is not finite are marked. A line marks where photos grow and where mixing ends: the loss
    jumps there, but not because of the network.

    Args:
        steps: columns `step`, `loss`, `gradient_norm`, `lr`, and, if recorded, `size` and `mixed`.
        epochs: columns `step`, `epoch`, `train_accuracy`, `valid_loss`, `valid_accuracy`, of several labels
            `valid_map`, and of more than 20 classes `valid_top5`; shares in [0, 1].
        path: the PNG file, or a `Kept`.
        formulas: of the loss and of the optimizer; they stand below.
        fitted: whether the steps are those of a fit, whose `lr` is the length of a step along its direction.
        processes: columns `step`, `process`, `photos_per_second`; None: one process, and no panel.

    Raises:
        StorageError: the file cannot be written.
    """
    rows = formula_rows(formulas, _WIDTH)
    more = [] if processes is None or not len(processes) else [1.8]
    heights = [3, 3, 2.4, *more, 1.8]
    height = _HEIGHT * sum(heights) / 10.2 + ROW * len(rows)
    with picture(path, width=_WIDTH, height=height) as figure:
        panels = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
        _draw_loss(panels[0], steps, epochs)
        _draw_accuracy(panels[1], epochs)
        _draw_gradient(panels[2], steps)
        if processes is not None and more:
            _draw_processes(panels[3], processes)
        _draw_rate(panels[-1], steps, "step_length" if fitted else "learning_rate")
        _count_epochs(panels[-1], epochs)
        _mark_changes(panels, steps)
        figure.align_ylabels()
        figure.suptitle(t("figures.curves_title"))
        write_formulas(figure, rows)


def _draw_loss(axes: Axes, steps: History, epochs: History) -> None:
    unit = steps.units["loss"]
    label_axes(axes, title=t("figures.loss"), y=t("figures.loss_unit", unit=unit) if unit else t("figures.loss"))
    _draw_measure(axes, steps, "loss", color=BLUE)
    _draw_epochs(axes, epochs, "valid_loss", t("figures.validation"), color=VERMILLION, marker="s")
    values = np.concatenate([steps["loss"], epochs["valid_loss"]])
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > _SPREAD * np.median(values):
        axes.set_yscale("log")
    _add_legend(axes)


def _draw_accuracy(axes: Axes, epochs: History) -> None:
    several = files.VALID_MAP in epochs.units
    suffix = "_several" if several else ""
    label_axes(axes, title=t(f"figures.accuracy{suffix}"), y=t(f"figures.accuracy_unit{suffix}"))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}")
    _draw_epochs(axes, epochs, "train_accuracy", t(f"figures.training{suffix}"), color=BLUE, marker="o")
    label = t(f"figures.validation{suffix}")
    _draw_epochs(axes, epochs, "valid_accuracy", label, color=ORANGE if several else VERMILLION, marker="s")
    if several:
        _draw_epochs(axes, epochs, files.VALID_MAP, t("figures.validation_map"), color=VERMILLION, marker="D")
    if files.VALID_TOP5 in epochs.units:
        _draw_epochs(axes, epochs, files.VALID_TOP5, t("figures.validation_top5"), color=ORANGE, marker="D")
    accuracies, losses = epochs[files.VALID_MAP if several else "valid_accuracy"], epochs["valid_loss"]
    if np.isfinite(accuracies).any():
        best = max(range(len(epochs)), key=lambda row: (np.nan_to_num(accuracies[row], nan=-1), -losses[row]))
        label = t("figures.best", accuracy=100 * accuracies[best], epoch=round(epochs["epoch"][best]))
        axes.axhline(accuracies[best], color=VERMILLION, linewidth=0.8, linestyle=":", label=label)
    _add_legend(axes)


def _draw_gradient(axes: Axes, steps: History) -> None:
    label_axes(axes, title=t("figures.gradient_norm"), y=t("figures.gradient_norm_log"))
    if (steps["gradient_norm"] > 0).any():
        axes.set_yscale("log")
    _draw_measure(axes, steps, "gradient_norm", color=GREEN, mean="geometric")
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log" and high < 100 * low:  # powers of ten alone would be too few labels
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    _add_legend(axes)


def _draw_processes(axes: Axes, processes: History) -> None:
    label_axes(axes, title=t("figures.processes"), y=t("figures.processes_axis"))
    numbers = np.unique(processes["process"])
    rates = {number: processes["photos_per_second"][processes["process"] == number] for number in numbers}
    if len(numbers) > len(SERIES):  # no picture tells so many apart: those between whom the others lie
        numbers = sorted(numbers, key=lambda number: float(np.median(rates[number])))
        numbers = [numbers[0], numbers[len(numbers) // 2], numbers[-1]]
    for number, series in zip(numbers, SERIES, strict=False):
        label = t("figures.process", number=int(number))
        steps = processes["step"][processes["process"] == number]
        axes.plot(steps, rates[number], color=series.color, linestyle=series.dashes, label=label)
    axes.set_ylim(bottom=0)
    _add_legend(axes)


def _draw_rate(axes: Axes, steps: History, name: str) -> None:
    label_axes(axes, title=t(f"figures.{name}"), x=t("figures.step"), y=t(f"figures.{name}_axis"))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.plot(*_thinned(steps["step"], steps["lr"]), color=INK)
    axes.set_ylim(bottom=0)  # a constant rate is drawn as a flat line, not magnified


def _draw_measure(
    axes: Axes, steps: History, column: str, *, color: str, mean: Literal["arithmetic", "geometric"] = "arithmetic"
) -> None:
    """Draw every value in a pale color, the running mean, and the steps at which the value is not finite."""
    x, y = steps["step"], steps[column]
    window = window_of(len(y))
    if window > 1:
        label = t(f"figures.mean_{mean}", window=window)
        axes.plot(*_thinned(x, y), color=color, alpha=0.3, linewidth=0.8, label=t("figures.each_step"))
        axes.plot(*_thinned(x, smooth(y, window, mean=mean)), color=color, label=label)
    elif len(y):
        axes.plot(x, y, color=color, marker="o", markersize=3, label=t("figures.each_step"))
    else:
        axes.text(0.5, 0.5, t("figures.nothing_yet"), transform=axes.transAxes, ha="center", color=QUIET)
    _mark_not_finite(axes, x[~np.isfinite(y)])


def _thinned(x_N: NDArray[np.float64], y_N: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of a line of more points than a picture can show, the lowest and the highest of each block: it looks the same."""
    block = len(x_N) // _BLOCKS
    if block < 4:
        return x_N, y_N
    whole = len(x_N) // block * block
    points_N2 = np.stack([x_N, y_N], axis=1)
    rest = points_N2[whole:]
    drawn = [extremes(points_N2[:whole], block), *([extremes(rest, len(rest))] if len(rest) else [])]
    return tuple(np.concatenate(drawn).T)


def _mark_not_finite(axes: Axes, steps_M: NDArray[np.float64]) -> None:
    if not len(steps_M):
        return
    label = t("figures.not_finite", count=len(steps_M), step=int(steps_M[0]))
    bottom_and_top = np.tile([[0.0], [1.0]], len(steps_M))
    axes.plot(
        np.tile(steps_M, (2, 1)), bottom_and_top, color=ORANGE, linewidth=0.8, transform=axes.get_xaxis_transform()
    )
    axes.plot([], [], color=ORANGE, linewidth=2, label=label)


def _draw_epochs(axes: Axes, epochs: History, column: str, label: str, *, color: str, marker: str) -> None:
    finite = np.isfinite(epochs[column])
    if finite.any():
        marker_size = 5 if finite.sum() <= 60 else 2.5
        values = (epochs["step"][finite], epochs[column][finite])
        axes.plot(*values, color=color, marker=marker, markersize=marker_size, label=label)


def _count_epochs(axes: Axes, epochs: History) -> None:
    """Draw a second scale, below: the steps at which epochs ended; with many epochs, some of them."""
    if not len(epochs):
        return
    every = max(1, -(-len(epochs) // 12))
    chosen = np.arange(len(epochs) - 1, -1, -every)[::-1]
    scale = axes.secondary_xaxis(-0.42)
    scale.set_xticks(epochs["step"][chosen], [f"{epoch:.0f}" for epoch in epochs["epoch"][chosen]])
    scale.set_xlabel(t("figures.epoch"))


def _mark_changes(panels: Sequence[Axes], steps: History) -> None:
    """Draw a line through all panels where the size of the photos changes or mixing ends; the top names it."""
    for column, name_of in (("size", _name_size), ("mixed", _name_mixing)):
        if column not in steps.units:  # an older version wrote the run
            continue
        for row in np.flatnonzero(np.diff(steps[column])):
            before, name = steps["step"][row], name_of(steps[column][row + 1])
            for axes in panels:
                axes.axvline(before, color=QUIET, linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
            panels[0].annotate(
                name, (before, 1), (3, -3), xycoords=panels[0].get_xaxis_transform(), textcoords="offset points",
                va="top", color=QUIET, fontsize="small",
            )  # fmt: skip


def _name_size(size: float) -> str:
    return t("figures.grown", size=round(size))


def _name_mixing(mixed: float) -> str:
    return t("figures.mixed") if mixed else t("figures.unmixed")


def _add_legend(axes: Axes) -> None:
    """Put the legend beside the title, at the right, where it covers no data."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=4, borderaxespad=0, columnspacing=1.2)
