"""`thalweg find-lr`: find the learning rate before training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.cli._options import training_flags
from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.cli.train import requested
from thalweg.i18n import quoted, t


if TYPE_CHECKING:
    from thalweg.rate import Evaluation, RateSweep

_ROWS_A_DECADE = 2  # of the table; `--json` has every step


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("find-lr", help=t("rate.help"))(_find_lr)


@training_flags
def _find_lr(
    photos: Annotated[str, typer.Argument(metavar="DIR", help=t("training.help_photos"))],
    recipe: Annotated[str | None, typer.Option(help=t("training.help_recipe"))] = None,
    lowest: Annotated[float, typer.Option(metavar="RATE", help=t("rate.help_lowest"))] = 1e-7,
    highest: Annotated[float, typer.Option(metavar="RATE", help=t("rate.help_highest"))] = 10.0,
    steps: Annotated[int | None, typer.Option(metavar="N", help=t("rate.help_steps"))] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="PNG", help=t("rate.help_out"))] = None,
    as_json: JsonFlag = False,
    **overrides: Any,
) -> None:
    config = requested(photos, recipe, overrides)
    from thalweg.cli._progress import showing
    from thalweg.training.rate import search_photos

    options = {"lowest": lowest, "highest": highest, **({} if steps is None else {"steps": steps})}
    with showing(config) as listener:
        sweep = search_photos(photos, config, listener=listener, **options)
    if out:
        from thalweg.figures.rate_sweep import draw_rate_sweep

        draw_rate_sweep(out, sweep)
    if as_json:
        print_json({**sweep.to_dict(), "picture": str(out) if out else None})
        return
    _print_sweep(sweep)
    _print_evaluations(sweep)
    typer.echo(str(sweep))
    if sweep.suggestion is not None and sweep.suggestion != sweep.given:
        typer.echo(t("rate.use", photos=quoted(photos), rate=f"{sweep.suggestion:.2g}"))
    else:
        typer.echo(t("rate.use_none", photos=quoted(photos), rate=f"{sweep.given:g}"))
    if out:
        note(t("rate.drawn", path=out))


def _print_sweep(sweep: RateSweep) -> None:
    """Print some rows per decade."""
    if not sweep.rates:
        return
    decades = len(sweep.rates) / max(1e-9, _decades(sweep.rates[0], sweep.rates[-1]))
    every = max(1, round(decades / _ROWS_A_DECADE))
    rows = list(zip(sweep.rates, sweep.losses, sweep.smoothed, strict=True))
    kept = rows[::every] + ([] if (len(rows) - 1) % every == 0 else rows[-1:])
    columns = [t(f"rate.column_{name}") for name in ("rate", "loss", "smoothed")]
    print_table(columns, kept, title=t("rate.title_sweep", steps=len(rows)))


def _print_evaluations(sweep: RateSweep) -> None:
    lengths = sorted({one.steps for one in sweep.evaluations})
    losses = {(one.rate, one.steps): one.loss for one in sweep.evaluations}
    columns = [t("rate.column_rate"), *(t("rate.column_after", steps=steps) for steps in lengths)]
    judged = {one.rate: one for one in sweep.evaluations if one.photos is not None and one.steps == lengths[-1]}
    if judged:
        columns.append(t("rate.column_accuracy", steps=lengths[-1]))
    rows = [
        [rate, *(losses.get((rate, steps), "") for steps in lengths), *([_right(judged.get(rate))] if judged else [])]
        for rate in sorted({one.rate for one in sweep.evaluations})
    ]
    if rows:
        print_table(columns, rows, title=t("rate.title_evaluations"))


def _right(evaluation: Evaluation | None) -> str:
    if evaluation is None:
        return ""
    return t("rate.right", accuracy=evaluation.accuracy, photos=evaluation.photos)


def _decades(lowest: float, highest: float) -> float:
    from math import log10

    return log10(highest / lowest)
