"""`thalweg demo`: train on the built-in photos, through the same code as a user's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thalweg.cli._output import JsonFlag
from thalweg.cli.train import begin
from thalweg.i18n import t


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", help=t("training.help_demo"))(demo)


def demo(
    out: Annotated[Path | None, typer.Option(help=t("training.help_out"))] = None,
    as_json: JsonFlag = False,
) -> None:
    """Train on the built-in set."""
    from thalweg.training import recipe
    from thalweg.training.session import new_folder

    begin("builtin", recipe("quick"), out or new_folder("demo"), as_json=as_json)
