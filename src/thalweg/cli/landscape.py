"""`thalweg landscape`: the loss around a run's weights, or over the plane of its path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.errors import UnknownNameError, UsageError
from thalweg.i18n import joined, percent, t


if TYPE_CHECKING:
    from thalweg.data.photos import Split
    from thalweg.diagnosis.landscape import Landscape
    from thalweg.diagnosis.landscape.landscape import Kind

View = Literal["contour", "3d"]

_PLANES = ("random", "trajectory")
_SPLITS = ("train", "valid", "test")
_SUFFIXES = (".png", ".html")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("landscape", help=t("landscape.help"))(_landscape)


def _landscape(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=t("landscape.help_run"))],
    plane: Annotated[str, typer.Option(metavar="random|trajectory", help=t("landscape.help_plane"))] = "random",
    points: Annotated[int | None, typer.Option(metavar="N", help=t("landscape.help_points"))] = None,
    span: Annotated[float, typer.Option(metavar="LENGTH", help=t("landscape.help_span"))] = 1.0,
    photos: Annotated[int | None, typer.Option(metavar="N", help=t("landscape.help_photos"))] = None,
    split: Annotated[str, typer.Option(metavar="SPLIT", help=t("landscape.help_split"))] = "valid",
    seed: Annotated[int, typer.Option(metavar="N", help=t("landscape.help_seed"))] = 0,
    photos_at: Annotated[str | None, typer.Option("--photos-at", metavar="DIR", help=t("training.help_moved"))] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="FILE", help=t("landscape.help_out"))] = None,
    view: Annotated[View, typer.Option(help=t("landscape.help_view"))] = "3d",
    as_json: JsonFlag = False,
) -> None:
    for kind, value, known in (("plane", plane, _PLANES), ("split", split, _SPLITS)):
        if value not in known:
            raise UnknownNameError(kind, value, known)
    if out is not None and out.suffix.lower() not in _SUFFIXES:
        raise UsageError("lab.bad_suffix", path=out, known=joined(_SUFFIXES))
    from thalweg.cli._progress import working

    path = out or run / f"landscape-{plane}.png"
    with working("opening") as listener:
        from thalweg.diagnosis.landscape import landscape_of_run
        from thalweg.report import write_report
        from thalweg.runs import Run, files

        found = landscape_of_run(
            run,
            plane=cast("Kind", plane),
            points=points,
            span=span,
            photos=photos,
            split=cast("Split", split),
            seed=seed,
            photos_at=photos_at,
            listener=listener,
        )
        listener.working("drawing", 0, 1)
        _draw(found, path, name=run.resolve().name, view=view, squared_error=Run.open(run).config.loss == "mse")
        if out is None and (run / files.REPORT).exists():
            write_report(run)
    if as_json:
        print_json(_document(found, path))
        return
    if found.trajectory is not None:
        _print_way(found)
    import numpy as np

    low, high = float(np.nanmin(found.loss_HW)), float(np.nanmax(found.loss_HW))
    note(t("landscape.written", path=path, loss=found.loss, low=low, high=high))


def _draw(found: Landscape, path: Path, *, name: str, view: View, squared_error: bool) -> None:
    """Write the kind of picture that the file's extension names."""
    if path.suffix.lower() == ".html":
        from thalweg.figures import write_landscape

        write_landscape(found, path, name=name, view=view, squared_error=squared_error)
    else:
        from thalweg.figures.landscape import draw_landscape

        draw_landscape(found, path, squared_error=squared_error)


def _print_way(found: Landscape) -> None:
    way = found.trajectory
    assert way is not None, "called only with a path"  # noqa: S101 - for the type checker
    columns = [t(f"landscape.column_{name}") for name in ("epoch", "loss", "plane_loss", "outside")]
    rows = zip(way.epochs_K.tolist(), way.loss_K.tolist(), way.plane_loss_K.tolist(), way.outside_K, strict=True)
    print_table(columns, [(epoch, loss, inside, percent(share)) for epoch, loss, inside, share in rows])
    note(t("landscape.outside", held=way.held, outside=way.outside))


def _document(found: Landscape, path: Path) -> dict[str, Any]:
    way = found.trajectory
    return {
        "plane": found.kind,
        "is_a_slice_of": found.parameters,
        "photos": found.examples,
        "seed": found.seed,
        "loss": found.loss,
        "a": found.a_W,
        "b": found.b_H,
        "losses": found.loss_HW,
        "trajectory": None
        if way is None
        else {
            "epochs": way.epochs_K,
            "a": way.a_K,
            "b": way.b_K,
            "loss": way.loss_K,
            "loss_in_plane": way.plane_loss_K,
            "distance": way.distance_K,
            "moved": way.moved_K,
            "outside": way.outside_K,
            "held_in_all": way.held,
            "outside_in_all": way.outside,
        },
        "picture": str(path),
    }
