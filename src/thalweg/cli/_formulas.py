"""Formulas in the terminal: a name, its equations one below the other, and the numbers of its settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import typer

from thalweg._pointing import columns_of
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thalweg.formulas import Formula

_LONGEST_NAME: Final = 16  # columns; a longer one stands on a line of its own


def print_formulas(formulas: Iterable[Formula]) -> None:
    """Print formulas below a heading; those with the same name and the same text once."""
    distinct = {(formula.title, formula.text): formula for formula in formulas}
    if not distinct:
        return
    typer.echo(f"\n{t('formulas.heading')}")
    names = [title for title, _ in distinct if columns_of(title) <= _LONGEST_NAME]
    width = max(map(columns_of, names), default=2)
    for formula in distinct.values():
        lines = [*formula.texts, *_settings(formula)]
        name = formula.title
        if columns_of(name) > width:
            typer.echo(f"  {name}")
            name = ""
        for line in lines:
            typer.echo(f"  {name}{' ' * (width - columns_of(name))}  {line}")
            name = ""


def formula_documents(formulas: Iterable[Formula]) -> list[dict[str, Any]]:
    """Formulas for JSON: the name, each equation in Unicode, and the numbers of the settings."""
    return [{"name": formula.name, "lines": formula.texts, "settings": dict(formula.numbers())} for formula in formulas]


def _settings(formula: Formula) -> list[str]:
    from thalweg.formulas.text import number_text

    numbers = [f"{symbol} = {number_text(number)}" for symbol, number in formula.numbers()]
    return [t("formulas.settings", settings=joined(numbers))] if numbers else []
