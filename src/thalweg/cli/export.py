"""`thalweg export`: export a run as one ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json
from thalweg.i18n import t


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("export", help=t("prediction.help_export"))(export)


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=t("prediction.help_export_run"))],
    onnx: Annotated[Path, typer.Option("--onnx", metavar="FILE", help=t("prediction.help_onnx"))],
    photos: Annotated[str | None, typer.Option("--photos", metavar="DIR", help=t("training.help_moved"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Write the file, and print how well it agrees with the run."""
    from thalweg.prediction import export_onnx
    from thalweg.runs import Run

    unseen = []

    def say(key: str, **values: object) -> None:
        unseen.append(key)
        note(t(key, **values))

    difference = export_onnx(Run.open(run, photos=photos), onnx, note=say)
    if as_json:
        print_json({"onnx": str(onnx), "largest_difference": difference, "checked_on_photos": not unseen})
    else:
        note(t("prediction.exported_on_noise" if unseen else "prediction.exported", path=onnx, difference=difference))
