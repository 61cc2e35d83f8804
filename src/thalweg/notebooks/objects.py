"""What objects show in a notebook: parts of the report, in one output.

Shape suffixes: S steps, C columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thalweg.errors import ThalwegError
from thalweg.i18n import t
from thalweg.notebooks.cell import cell, folded, listing
from thalweg.notebooks.chart import Axis, Line, chart, scale_for
from thalweg.notebooks.photos import check_of, classifier_of, images_of, predictions_of
from thalweg.report.html import Html, table, tag
from thalweg.report.sections import inline_png


if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from thalweg.diagnosis import Verdict
    from thalweg.history import History
    from thalweg.paths import Sweep, Trace
    from thalweg.rate import RateSweep
    from thalweg.runs import Run, TrainingConfig

_MOST_COLUMNS = 60  # of a history: a network of 200 layers has six hundred


def html_of(kind: str, shown: Any) -> str | None:
    """The HTML of an object, escaped, with its own style, in the current language.

    Args:
        kind: of the object, a key of `PARTS`.
        shown: the object.

    Returns:
        One element; None if its files are gone, so that the notebook shows its text.

    Example:
        >>> from thalweg.history import History
        >>> "&lt;b&gt;" in html_of("history", History({"step": "", "<b>": ""}))
        True
    """
    try:
        return str(cell(*PARTS[kind](shown)))
    except (ThalwegError, OSError):
        return None


def _run(run: Run) -> Iterator[Html | None]:
    """Headline, curves and verdict; scores, photos and configuration on a click."""
    from thalweg.notebooks.curves import Curves
    from thalweg.report.facts import check_parts, options_table
    from thalweg.report.sections import class_table, headline
    from thalweg.report.verdict import verdict_of, verdict_parts
    from thalweg.runs import RunFolder, files

    folder = RunFolder(run.path)
    yield headline(folder)
    if folder.steps is not None and folder.epochs is not None and len(folder.steps):
        yield Curves.of(folder.steps, folder.epochs).charts()
    if (verdict := verdict_of(folder)) is not None:
        yield folded(t("notebook.verdict", title=verdict.head), *verdict_parts(verdict))
    if folder.outputs is not None:
        yield folded(t("report.classes"), class_table(folder))
    yield folded(t("report.photos"), *check_parts(folder.check, files.FINDINGS))
    yield folded(t("report.configuration"), options_table(folder.training))
    yield tag("p", t("notebook.run_use", run=str(run.path)), class_="note")


def _config(config: TrainingConfig) -> Iterator[Html | None]:
    from thalweg.report.facts import options_table

    yield tag("div", options_table(config.to_dict()), class_="long")


def _verdict(verdict: Verdict) -> Iterator[Html | None]:
    from thalweg.report.verdict import verdict_parts

    yield from verdict_parts(verdict, verdict.head)
    if verdict.trial:
        yield tag("p", str(verdict.trial))
    if verdict.others:
        yield tag("p", verdict.others, class_="note")
    if verdict.source:
        yield tag("p", " ".join(filter(None, (verdict.source.text, verdict.source.note))), class_="note")
    yield folded(t("notebook.all_measured"), *(tag("p", line) for line in verdict.explain().splitlines() if line))


def _history(history: History) -> Iterator[Html | None]:
    """The loss if there is one, and the ends and extremes of every column."""
    yield tag("p", t("notebook.history", rows=len(history), columns=len(history.units)), class_="lead")
    drawn = [name for name in ("loss", "gradient_norm", "train_loss", "valid_loss") if name in history.units]
    if drawn and len(history):
        yield tag("div", *(_drawn(history, name) for name in drawn), class_="charts")
    names = list(history.units)
    columns = [t(f"notebook.column_{name}") for name in ("name", "unit", "first", "last", "lowest", "highest")]
    rows = [(name, history.units[name], *_ends(history[name])) for name in names[:_MOST_COLUMNS]]
    yield tag("div", table(columns, rows, numeric=(2, 3, 4, 5), name=t("notebook.columns")), class_="long")
    if len(names) > _MOST_COLUMNS:
        yield tag("p", t("notebook.more", count=len(names) - _MOST_COLUMNS), class_="note")


def _drawn(history: History, name: str) -> Html:
    values = history[name]
    title = t(f"figures.{name}") if name in {"loss", "gradient_norm"} else name
    unit = history.units[name]
    axis = Axis(scale="log" if name == "gradient_norm" else scale_for(values))
    return chart(
        f"{title} ({unit})" if unit else title, [Line("", history["step"], values)], Axis(t("figures.step")), axis
    )


def _ends(values: np.ndarray) -> tuple[str, ...]:
    known = values[np.isfinite(values)]
    if not len(known):
        return ("–",) * 4
    return tuple(f"{value:.4g}" for value in (values[0], values[-1], known.min(), known.max()))


def _trace(trace: Trace) -> Iterator[Html | None]:
    from thalweg.figures.lab.texts import event_summary, formula_of, title_of
    from thalweg.notebooks.drawings import SMALL_DPI, path_png
    from thalweg.optimizers.reading import text_of

    name = text_of(trace.optimizer)
    where = f"{title_of(trace.surface)}: {formula_of(trace.surface, longest=80)}"
    yield tag("p", tag("strong", name), f" · {where}", class_="verdict")
    yield tag("p", t("notebook.trace", lr=trace.lr, schedule=str(trace.schedule), steps=trace.last), class_="note")
    history = trace.history()
    yield tag(
        "div",
        inline_png(path_png(trace), t("notebook.alt_trace", name=name), SMALL_DPI),
        tag("div", _drawn(history, "loss"), _drawn(history, "gradient_norm")),
        class_="charts",
    )
    if trace.events:
        yield listing(words for _, words in event_summary(trace))


def _sweep(sweep: Sweep) -> Iterator[Html | None]:
    """The median loss of each optimizer at each rate."""
    loss_OL = np.median(np.where(sweep.diverged_OLP, np.inf, sweep.loss_OLP), axis=2)
    lines = [
        Line(one.name, sweep.lr_L, row, look, dots=True)
        for look, (one, row) in enumerate(zip(sweep.optimizers, loss_OL, strict=True))
    ]
    positive = bool((loss_OL[np.isfinite(loss_OL)] > 0).all())
    axis = Axis(scale="log" if positive else "linear")
    yield chart(t("notebook.sweep_title", steps=sweep.steps), lines, Axis(t("rate.axis_rate"), scale="log"), axis)
    columns = [t("notebook.column_optimizer"), t("notebook.column_best_rate"), t("figures.loss")]
    rows = [
        (one.name, f"{rate:.3g}", f"{row.min():.4g}")
        for one, rate, row in zip(sweep.optimizers, sweep.best_lr(), loss_OL, strict=True)
    ]
    yield table(columns, rows, numeric=(1, 2), name=t("notebook.sweep_title", steps=sweep.steps))


def _rate_sweep(sweep: RateSweep) -> Iterator[Html | None]:
    yield tag("p", tag("strong", str(sweep)), class_="verdict")
    lengths = sorted({one.steps for one in sweep.evaluations})
    if sweep.rates:
        lines = [
            Line("", sweep.rates, sweep.losses, pale=True),
            Line(t("rate.legend_smoothed"), sweep.rates, sweep.smoothed),
        ]
        for look, steps in enumerate(lengths, start=1):
            points = sorted((one.rate, one.loss) for one in sweep.evaluations if one.steps == steps)
            lines.append(Line(t("notebook.short_runs", steps=steps), *zip(*points, strict=True), look=look, dots=True))
        marks = [] if sweep.suggestion is None else [sweep.suggestion]
        x = Axis(t("rate.axis_rate"), scale="log")
        yield chart(t("figures.loss"), lines, x, Axis("", *sweep.valley()), marks=marks)
    losses = {(one.rate, one.steps): one.loss for one in sweep.evaluations}
    rates = sorted({one.rate for one in sweep.evaluations})
    rows = [[f"{rate:.3g}", *(_number(losses.get((rate, steps))) for steps in lengths)] for rate in rates]
    columns = [t("rate.column_rate"), *(t("rate.column_after", steps=steps) for steps in lengths)]
    if rows:
        numeric = range(len(columns))
        yield folded(
            t("rate.title_evaluations"), table(columns, rows, numeric=numeric, name=t("rate.title_evaluations"))
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


PARTS: Mapping[str, Callable[[Any], Iterable[Html | None]]] = {
    "check": check_of,
    "classifier": classifier_of,
    "config": _config,
    "history": _history,
    "images": images_of,
    "predictions": predictions_of,
    "rate_sweep": _rate_sweep,
    "run": _run,
    "sweep": _sweep,
    "trace": _trace,
    "verdict": _verdict,
}
"""The parts of each kind of object."""
