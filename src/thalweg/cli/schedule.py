"""`thalweg schedule`: draw a schedule before training with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._formulas import print_formulas
from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.i18n import t


if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from thalweg.schedules import Schedule

_MOST_STEPS = 10_000_000
_JSON_POINTS = 500


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("schedule", help=t("schedules.help"))(_schedule)


def _schedule(
    spec: Annotated[str | None, typer.Argument(metavar="SPEC", help=t("schedules.help_spec"))] = None,
    steps: Annotated[int, typer.Option(min=1, max=_MOST_STEPS, metavar="N", help=t("schedules.help_steps"))] = 1000,
    learning_rate: Annotated[
        float | None, typer.Option("--lr", min=0.0, metavar="RATE", help=t("schedules.help_lr"))
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="PNG", help=t("schedules.help_out"))] = None,
    as_json: JsonFlag = False,
) -> None:
    if spec is None:
        _list(as_json=as_json)
        return
    from thalweg.formulas import formula_of_schedule
    from thalweg.schedules import factors, parse

    schedule = parse(spec)
    rates_N = (1.0 if learning_rate is None else learning_rate) * factors(schedule, steps)
    if out:
        from thalweg.figures.schedule import draw_schedule

        draw_schedule(out, schedule, steps, learning_rate=learning_rate)
    if as_json:
        print_json(_document(schedule, rates_N, learning_rate, out))
        return
    if out:
        note(t("schedules.drawn", path=out))
    else:
        from thalweg.figures.plain import text_plot

        typer.echo(f"{schedule}\n\n{text_plot(rates_N)}\n{t('schedules.plot_below', last=f'{steps - 1:,}'):>70}")
    _print_extent(rates_N)
    print_formulas([formula_of_schedule(schedule, steps)])


def _list(*, as_json: bool) -> None:
    from thalweg.schedules import names

    if as_json:
        print_json([{"name": name, "about": t(f"schedules.about_{name}")} for name in names()])
        return
    columns = [t("schedules.column_name"), t("schedules.column_about")]
    print_table(columns, [(name, t(f"schedules.about_{name}")) for name in names()])
    note(t("schedules.language"))


def _print_extent(rates_N: NDArray[np.float64]) -> None:
    from thalweg.schedules import extent_of

    extent = extent_of(rates_N)
    columns = [t(f"schedules.column_{column}") for column in ("point", "step", "value")]
    print_table(columns, [(t(f"schedules.{name}"), *point) for name, point in extent._asdict().items()])


def _document(
    schedule: Schedule, rates_N: NDArray[np.float64], learning_rate: float | None, out: Path | None
) -> dict[str, object]:
    from thalweg.figures.plain import telling_steps
    from thalweg.formulas import formula_of_schedule
    from thalweg.schedules import Chain, extent_of

    kept_K = telling_steps(rates_N, _JSON_POINTS)
    steps = len(rates_N)
    parts = schedule.spans(steps) if isinstance(schedule, Chain) else [(schedule, 0.0, float(steps))]
    return {
        "schedule": str(schedule),
        "steps": steps,
        "learning_rate": learning_rate,
        "unit": "factor" if learning_rate is None else "learning rate",
        "parts": [{"schedule": str(part), "begins": began, "steps": length} for part, began, length in parts],
        **{name: {"step": point.step, "value": point.factor} for name, point in extent_of(rates_N)._asdict().items()},
        "points": {"step": kept_K, "value": rates_N[kept_K]},
        "points_are_all": len(kept_K) == steps,
        "formula": formula_of_schedule(schedule, steps).texts,
        "picture": str(out) if out else None,
    }
