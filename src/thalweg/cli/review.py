"""`thalweg review`: the photos whose labels predictions doubt."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from thalweg.cli._output import JsonFlag, print_json, print_table
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.diagnosis import Review

_SHOWN: Final = 20
_PAIRS: Final = 5


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("review", help=t("diagnosis.help_review"))(review)


def review(
    path: Annotated[Path, typer.Argument(metavar="RUN|FOLDS", help=t("diagnosis.help_review_path"))],
    out: Annotated[Path | None, typer.Option("--out", "-o", help=t("diagnosis.help_review_out"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Review the labels of a run or of folds."""
    from thalweg.cli._progress import working

    with working() as listener:
        listener.working("opening", 0, 1)
        from thalweg.diagnosis import review_of
        from thalweg.report import write_review

        found = review_of(path)
        table = found.write(out)
        page = write_review(found)
    if as_json:
        print_json({**found.to_dict(), "table": str(table), "page": str(page)})
    else:
        _tell(found, table, page)


def _tell(found: Review, table: Path, page: Path) -> None:
    from thalweg.diagnosis.review import COLUMNS, reviewed_folder
    from thalweg.runs import files

    rows = [one.cells() for one in found.photos[:_SHOWN]]
    columns = [t(f"diagnosis.review_column_{name}") for name in COLUMNS]
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    if rows:
        print_table(columns, rows, title=t("diagnosis.review_title"))
    else:
        typer.echo(t("diagnosis.review_none"))
    if found.photos and found.pairs:
        pairs = [(given, true, round(number)) for given, true, number in found.pairs[:_PAIRS]]
        print_table(
            [t(f"diagnosis.review_column_{one}") for one in ("given", "true", "photos")],
            pairs,
            title=t("diagnosis.review_pairs"),
        )
    for sentence in found.sentences:
        typer.echo(sentence)
    typer.echo(t("diagnosis.review_written", count=len(found.photos), table=table, page=page))
    if found.photos:
        home = reviewed_folder(found.path)
        served = home.parent if home == found.run.path else home
        table = home / files.CORRECTIONS
        command = found.command("--corrections", table)
        typer.echo(t("diagnosis.review_correct", folder=served, table=table, command=command))
