"""`thalweg bench`: how fast this machine trains, and where the time goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.i18n import percent, t


if TYPE_CHECKING:
    from thalweg.training.speed import Speed

_COLUMNS = ("model", "precision", "layout", "trained", "evaluated", "data", "step", "evaluation", "gflops", "matmul")


def register(app: typer.Typer) -> None:
    """Add the command."""
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
    from thalweg.cli._progress import working
    from thalweg.runs import TrainingConfig
    from thalweg.training import bench
    from thalweg.training.machine import usable_threads

    config = TrainingConfig(size=size, batch_size=batch_size)
    with working() as listener:
        speeds = list(
            bench(photos, config, names=names.split(",") if names else None, seconds=seconds, listener=listener)
        )
    if as_json:
        print_json([speed.to_dict() for speed in speeds])
        return
    title = t("training.bench_title", size=speeds[0].size, batch=batch_size, threads=usable_threads())
    print_table([t(f"training.bench_column_{column}") for column in _COLUMNS], map(_row, speeds), title=title)
    note(t("training.bench_about"))


def _row(speed: Speed) -> list[str]:
    shares = (speed.data_share, speed.step_share, speed.evaluation_share)
    return [
        speed.model,
        speed.precision,
        speed.layout,
        f"{speed.photos_per_second:.1f}",
        f"{speed.evaluated_per_second:.1f}",
        *(percent(share) for share in shares),
        f"{speed.gflops:.0f}",
        percent(speed.of_matmul, 0),
    ]
