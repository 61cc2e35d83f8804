"""`thalweg surface`: optimizers on an error surface, as a table, a picture, an animation, or an offline page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from thalweg.cli._formulas import formula_documents, print_formulas
from thalweg.cli._output import JsonFlag, note, print_json
from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.cli._lab_options import OptimizerChoice
    from thalweg.paths import Trace
    from thalweg.surfaces import Surface

View = Literal["contour", "3d"]

_LEAST_POINTS, _MOST_POINTS = 8, 100_000


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("surface", help=t("lab.help"))(_surface)


def _surface(
    surface: Annotated[str | None, typer.Argument(metavar="[NAME|FORMULA]", help=t("lab.help_surface"))] = None,
    optimizers: Annotated[str | None, typer.Option(metavar="NAME,...", help=t("lab.help_optimizers"))] = None,
    learning_rate: Annotated[str | None, typer.Option("--lr", metavar="RATE", help=t("lab.help_lr"))] = None,
    schedule: Annotated[str, typer.Option(metavar="SPEC", help=t("lab.help_schedule"))] = "constant",
    steps: Annotated[float, typer.Option(metavar="N", help=t("lab.help_steps"))] = 10_000,
    start: Annotated[str | None, typer.Option(metavar="X,Y", help=t("lab.help_start"))] = None,
    noise: Annotated[float, typer.Option(metavar="SD", help=t("lab.help_noise"))] = 0.0,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help=t("lab.help_seed"))] = 0,
    parameter: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help=t("lab.help_parameter"))] = None,
    window: Annotated[str | None, typer.Option(metavar="X0,X1,Y0,Y1", help=t("lab.help_window"))] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help=t("lab.help_out"))] = None,
    view: Annotated[View, typer.Option(help=t("lab.help_view"))] = "contour",
    map_over: Annotated[str | None, typer.Option("--map", metavar="starts|A,B", help=t("lab.help_map"))] = None,
    points: Annotated[
        int | None, typer.Option(metavar="N", min=_LEAST_POINTS, max=_MOST_POINTS, help=t("lab.help_points"))
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    from thalweg.cli import _lab_numbers as numbers
    from thalweg.cli._lab_options import check_file, read_optimizers, read_surface

    if surface is None:
        print_json(numbers.catalogue_document()) if as_json else numbers.print_catalogue()
        return
    if out is not None:
        check_file(out)
    if points is not None and not as_json:
        raise UsageError("lab.points_need_json")
    chosen = read_surface(surface, parameter or [], window, start)
    choices = read_optimizers(optimizers, learning_rate) if optimizers else []
    drive: dict[str, Any] = {
        "schedule": schedule,
        "steps": int(steps) if steps == steps // 1 else steps,  # 1e5 is valid; fractions are rejected
        "noise": noise,
        "seed": seed,
    }
    if map_over is not None:
        _map(map_over, chosen, choices, out, as_json=as_json, drive=drive)
    else:
        _traces(chosen, choices, out, view=view, points=points, as_json=as_json, drive=drive)
    if out is not None:
        note(t("lab.drawn", path=out))


def _map(
    text: str,
    surface: Surface,
    choices: Sequence[OptimizerChoice],
    out: Path | None,
    *,
    as_json: bool,
    drive: dict[str, Any],
) -> None:
    from thalweg.cli import _lab_map, _lab_numbers

    if len(choices) != 1:
        raise UsageError("lab.map_one_optimizer", count=len(choices))
    if out is not None and out.suffix.lower() != ".png":
        raise UsageError("lab.bad_map_file", path=out)
    found = _lab_map.read_map(text, surface, choices[0], **drive)
    if out is not None:
        from thalweg.figures import draw_map

        draw_map(found, out)
    if as_json:
        document = {"surface": _lab_numbers.surface_document(surface), **drive, "map": _lab_map.map_document(found)}
        print_json({**document, "picture": None if out is None else str(out)})
    else:
        _lab_map.print_map(found)


def _traces(
    surface: Surface,
    choices: Sequence[OptimizerChoice],
    out: Path | None,
    *,
    view: View,
    points: int | None,
    as_json: bool,
    drive: dict[str, Any],
) -> None:
    from thalweg.cli import _lab_numbers as numbers
    from thalweg.formulas import formula_of_optimizer, formula_of_schedule
    from thalweg.paths import trace
    from thalweg.paths.rates import suggest_lr
    from thalweg.schedules import parse

    rates = [suggest_lr(surface, choice.optimizer) if choice.lr is None else choice.lr for choice in choices]
    traces = [trace(surface, choice.optimizer, lr=lr, **drive) for choice, lr in zip(choices, rates, strict=True)]
    formulas = [formula_of_optimizer(choice.optimizer) for choice in choices]
    if traces and drive["schedule"] != "constant":
        formulas.append(formula_of_schedule(parse(drive["schedule"]), drive["steps"]))
    if out is not None:
        _draw(surface, traces, out, view)
    if as_json:
        print_json(
            {
                "surface": numbers.surface_document(surface),
                **drive,
                "paths": [numbers.trace_document(one) for one in traces],
                "columns": numbers.columns_document(surface, traces, points) if points is not None else None,
                "formulas": formula_documents(formulas),
                "picture": None if out is None else str(out),
            }
        )
    elif traces:
        numbers.print_traces(traces)
        print_formulas(formulas)
    else:
        numbers.print_surface(surface)


def _draw(surface: Surface, traces: Sequence[Trace], file: Path, view: View) -> None:
    """Write the kind of picture that the file's extension names."""
    kind = file.suffix.lower()
    if not traces and kind != ".png":
        raise UsageError("lab.needs_optimizers", kind=kind)
    if kind == ".html":
        from thalweg.figures import write_player

        write_player(surface, traces, file, view=view)
    elif kind == ".gif":
        from thalweg.figures import animate_surface

        animate_surface(surface, traces, file, view=view)
    else:
        from thalweg.figures import draw_surface

        draw_surface(surface, traces, file, view=view)
