"""`thalweg diagnose`: why training stalls."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._output import JsonFlag, print_json
from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.diagnosis import Verdict
    from thalweg.training.progress import Listener


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("diagnose", help=t("diagnosis.help_diagnose"))(diagnose)


def diagnose(
    source: Annotated[Path | None, typer.Argument(metavar="RUN|FOLDER|LOG", help=t("diagnosis.help_source"))] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="LOG", help=t("diagnosis.help_csv"))] = None,
    loss: Annotated[str | None, typer.Option("--loss", metavar="COLUMN", help=t("diagnosis.help_loss"))] = None,
    try_fix: Annotated[bool, typer.Option("--try-fix", help=t("diagnosis.help_try_fix"))] = False,
    photos: Annotated[str | None, typer.Option("--photos", metavar="DIR", help=t("training.help_moved"))] = None,
    full: Annotated[bool, typer.Option("--full", help=t("diagnosis.help_full"))] = False,
    as_json: JsonFlag = False,
) -> None:
    """Diagnose a run, a saved watch or a log."""
    from thalweg.cli._progress import working

    with working() as listener:
        verdict = _verdict(source, csv, try_fix=try_fix, photos=photos, loss=loss, listener=listener)
    if as_json:
        print_json(verdict.to_dict())
    else:
        typer.echo(verdict.explain() if full else verdict.brief("thalweg diagnose --full"))


def _verdict(
    source: Path | None,
    csv: Path | None,
    *,
    try_fix: bool,
    photos: str | None,
    loss: str | None,
    listener: Listener,
) -> Verdict:
    if source is not None and csv is not None:
        raise UsageError("diagnosis.two_sources")
    if csv is None and source is not None and source.is_file():
        csv = source
    if csv is not None:
        if try_fix:
            raise UsageError("diagnosis.try_needs_run")
        from thalweg.diagnosis import diagnose_csv

        return diagnose_csv(csv, loss=loss)
    if source is None:
        raise UsageError("diagnosis.no_source")
    listener.working("opening", 0, 1)  # imports alone take seconds
    from thalweg.diagnosis import diagnose_path

    return diagnose_path(source, try_fix=try_fix, photos=photos, loss=loss, listener=listener)
