"""`thalweg log`: send a run to loggers after the fact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json
from thalweg.errors import UsageError
from thalweg.i18n import t


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("log", help=t("loggers.help_command"))(log)


def log(
    run: Annotated[Path, typer.Argument(metavar="RUN", help=t("loggers.help_run"))],
    to: Annotated[list[str] | None, typer.Option("--to", metavar="TARGET", help=t("loggers.help_to"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send what the targets do not have, and say how much that was."""
    from dataclasses import asdict

    from thalweg.loggers import log_run
    from thalweg.runs import expand_folds

    sent = [one for path in expand_folds([run]) for one in log_run(path, to or None)]
    if not sent:
        raise UsageError("loggers.no_targets", run=run)
    if as_json:
        print_json([asdict(one) for one in sent])
    for one in sent:
        if one.failure:
            note(t("loggers.not_sent", target=one.target, run=one.run, reason=one.failure))
        elif not as_json:
            note(t("loggers.sent", **asdict(one)))
        if one.waiting:
            note(t("loggers.waiting", count=one.waiting, run=one.run))
    if any(one.failure for one in sent):
        raise typer.Exit(1)
