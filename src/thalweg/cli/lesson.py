"""`thalweg lesson`: a claim of the course, drawn, explained and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._formulas import formula_documents, print_formulas
from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.lessons import Check, Evidence, Lesson


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lesson", help=t("lessons.help"))(_lesson)


def _lesson(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help=t("lessons.help_name"))] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="PNG", help=t("lessons.help_out"))] = None,
    as_json: JsonFlag = False,
) -> None:
    if name is None:
        _list(as_json=as_json)
        return
    from thalweg.lessons import get

    lesson = get(name)
    evidence = lesson.run()
    checks = lesson.checks(evidence)
    picture = out or (None if as_json else Path(f"{name}.png"))
    if picture:
        lesson.picture(evidence, picture)
    if as_json:
        print_json(_document(lesson, evidence, checks, picture))
    else:
        _tell(lesson, evidence, checks, picture)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)


def _list(*, as_json: bool) -> None:
    from thalweg.lessons import names, title_of

    if as_json:
        print_json([{"name": name, "title": title_of(name)} for name in names()])
    else:
        columns = [t("lessons.column_lesson"), t("lessons.column_shows")]
        print_table(columns, [(name, title_of(name)) for name in names()])


def _tell(lesson: Lesson, evidence: Evidence, checks: tuple[Check, ...], picture: Path | None) -> None:
    from thalweg.formulas import get

    typer.echo("\n".join((lesson.title, "", *lesson.tell(evidence))))
    columns = [t(f"lessons.column_{column}") for column in ("claim", "got", "expected", "holds")]
    rows = [
        (lesson.claim(check), check.measured, check.expected, t("lessons.yes" if check.passed else "lessons.no"))
        for check in checks
    ]
    print_table(columns, rows)
    print_formulas(map(get, lesson.formulas))
    if picture:
        note(t("lessons.drawn", path=picture))
    failed = sum(not check.passed for check in checks)
    if failed:
        note(t("lessons.failed", count=failed, of=len(checks), lesson=lesson.name))


def _document(lesson: Lesson, evidence: Evidence, checks: tuple[Check, ...], picture: Path | None) -> dict[str, object]:
    from thalweg.formulas import get

    return {
        "lesson": lesson.name,
        "title": lesson.title,
        "text": lesson.tell(evidence),
        "numbers": dict(evidence.numbers),
        "checks": [
            {
                "claim": check.claim,
                "sentence": lesson.claim(check),
                "got": check.got,
                "relation": check.relation,
                "bound": check.bound,
                "passed": check.passed,
            }
            for check in checks
        ],
        "passed": all(check.passed for check in checks),
        "formulas": formula_documents(map(get, lesson.formulas)),
        "picture": str(picture) if picture else None,
    }
