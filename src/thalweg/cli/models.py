"""`thalweg models`: the networks, and their cost at a given size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from thalweg.cli._output import JsonFlag, note, print_json, print_table
from thalweg.i18n import t


if TYPE_CHECKING:
    from thalweg.models import ModelCard


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("models", help=t("models.help"))(_models)


def _models(
    size: Annotated[int, typer.Option(min=1, metavar="PX", help=t("models.help_size"))] = 128,
    classes: Annotated[int, typer.Option(min=1, metavar="N", help=t("models.help_classes"))] = 11,
    as_json: JsonFlag = False,
) -> None:
    from thalweg.models import describe, names, smallest_size

    cards = {
        name: describe(name, size=size, classes=classes) if size >= smallest_size(name) else None for name in names()
    }
    if as_json:
        print_json([_entry(name, card, smallest_size(name)) for name, card in cards.items()])
        return
    columns = [t(f"models.column_{column}") for column in ("name", "parameters", "flops", "smallest", "about")]
    rows = [_row(name, card, smallest_size(name)) for name, card in cards.items()]
    print_table(columns, rows, title=t("models.title", size=size, classes=classes))
    note(t("models.note"))


def _entry(name: str, card: ModelCard | None, smallest: int) -> dict[str, object]:
    return {
        "name": name,
        "parameters": card and card.parameters,
        "flops": card and card.flops,
        "smallest_size": smallest,
        "about": _about(name),
    }


def _row(name: str, card: ModelCard | None, smallest: int) -> list[object]:
    cost = [f"{card.parameters / 1e6:.2f} M", f"{card.flops / 1e9:.3f} G"] if card else ["-", "-"]
    return [name, *cost, f"{smallest} px", _about(name)]


def _about(name: str) -> str:
    return t(f"models.about_{name.replace('-', '_')}")
