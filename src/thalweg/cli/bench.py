"""`thalweg bench`: how fast this machine trains, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.training.pace import Pace

_COLUMNS = ("model", "precision", "layout", "trained", "evaluated", "data", "step", "evaluation", "gflops", "matmul")


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("bench", help=t("training.bench_help"))(_bench)


def _bench(
    photos: Annotated[str, typer.Argument(metavar="DIR", help=t("training.help_photos"))],
    names: Annotated[
        str | None, typer.Option("--models", metavar="NAME,NAME", help=t("training.bench_help_models"))
    ] = None,
    size: Annotated[int | None, typer.Option(min=1, metavar="PX", help=t("training.bench_size"))] = None,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help=t("training.option_batch_size"))] = 64,
    seconds: Annotated[float, typer.Option(min=0.1, help=t("training.bench_help_seconds"))] = 3.0,
    as_json: JsonFlag = False,
) -> None:
    from thalweg.cli._progress import showing
    from thalweg.training import TrainingConfig, bench
    from thalweg.training.plan import usable_threads

    config = TrainingConfig(size=size, batch_size=batch_size)
    with showing(config) as listener:
        paces = list(
            bench(photos, config, names=names.split(",") if names else None, seconds=seconds, listener=listener)
        )
    if as_json:
        print_json([pace.to_dict() for pace in paces])
        return
    title = t("training.bench_title", size=paces[0].size, batch=batch_size, threads=usable_threads())
    print_table([t(f"training.bench_column_{column}") for column in _COLUMNS], map(_row, paces), title=title)
    note(t("training.bench_about"))


def _row(pace: Pace) -> list[str]:
    shares = (pace.data_share, pace.step_share, pace.evaluation_share)
    return [
        pace.model,
        pace.precision,
        pace.layout,
        f"{pace.photos_per_second:.1f}",
        f"{pace.evaluated_per_second:.1f}",
        *(f"{share:.1%}" for share in shares),
        f"{pace.gflops:.0f}",
        f"{pace.of_matmul:.0%}",
    ]
