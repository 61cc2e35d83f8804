"""The application with all commands."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated

import typer

from thalweg.cli._help import WIDEST, speak
from thalweg.i18n import t


COMMANDS = (
    "train",
    "find_lr",
    "demo",
    "predict",
    "maps",
    "export",
    "log",
    "diagnose",
    "review",
    "landscape",
    "serve",
    "zoo",
    "data",
    "models",
    "bench",
    "surface",
    "lesson",
    "network",
    "schedule",
)


def build_app() -> typer.Typer:
    """Build the application with all commands, its texts in the current language."""
    app = typer.Typer(
        name="thalweg",
        help=t("cli.about"),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # boxes would take a third of the 0.2 s that --help should take
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDEST},
    )
    app.callback()(_root)
    for command in COMMANDS:
        import_module(f"thalweg.cli.{command}").register(app)
    speak(app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from thalweg import __version__

        typer.echo(f"thalweg {__version__}")
        raise typer.Exit


def _root(
    _lang: Annotated[str | None, typer.Option("--lang", metavar="en|zh-CN", help=t("cli.lang"))] = None,
    _version: Annotated[
        bool, typer.Option("--version", help=t("cli.version"), is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass
