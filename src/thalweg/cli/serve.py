"""`thalweg serve`: the local page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.server.serving import Address


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("serve", help=t("page.help"))(_serve)


def _serve(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help=t("page.help_folder"), show_default=False)] = Path(
        "runs"
    ),
    host: Annotated[str, typer.Option(metavar="ADDRESS", help=t("page.help_host"), show_default=False)] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(min=0, max=65535, help=t("page.help_port"), show_default=False)] = None,
    photos: Annotated[list[Path] | None, typer.Option(metavar="DIR", help=t("page.help_photos"))] = None,
    trainings: Annotated[int, typer.Option(min=1, max=64, metavar="N", help=t("page.help_trainings"))] = 1,
    open_it: Annotated[bool, typer.Option("--open", help=t("page.help_open"))] = False,
    as_json: JsonFlag = False,
) -> None:
    from thalweg.server import serve

    def say(address: Address) -> None:
        if as_json:
            print_json({"url": address.url, "host": address.host, "port": address.port, "token": address.token})
        else:
            note(t("page.served", url=address.url))
        if open_it:
            import webbrowser

            webbrowser.open(address.url)

    serve(folder, host=host, port=port, photos=photos or (), trainings=trainings, ready=say)
