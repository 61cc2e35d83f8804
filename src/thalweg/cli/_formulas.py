"""Formulas in the terminal: a name, and its equations one below the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from thalweg._pointing import columns_of
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Iterable

    from thalweg.formulas import Formula


def print_formulas(formulas: Iterable[Formula]) -> None:
    """Print formulas below a heading; those with the same name and the same text once."""
    distinct = {(formula.title, formula.text): formula for formula in formulas}
    if not distinct:
        return
    typer.echo(f"\n{t('formulas.heading')}")
    width = max(columns_of(formula.title) for formula in distinct.values())
    for formula in distinct.values():
        first, *rest = formula.texts
        typer.echo(f"  {formula.title}{' ' * (width - columns_of(formula.title))}  {first}")
        typer.echo("".join(f"  {' ' * width}  {line}\n" for line in rest), nl=False)


def formula_documents(formulas: Iterable[Formula]) -> list[dict[str, object]]:
    """Formulas for JSON: the name, and each equation in Unicode."""
    return [{"name": formula.name, "lines": formula.texts} for formula in formulas]
