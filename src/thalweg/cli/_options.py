"""Flags built from the table of configuration fields: every field is a flag, and every flag is a field."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalweg.i18n import t
from thalweg.training.request import read, typed_options


if TYPE_CHECKING:
    from collections.abc import Callable

    from thalweg.runs.options import Option

# Typer parses these itself, so that its help names the type; everything else is a text for `read`.
_TYPES = {"flag": bool, "whole": int, "number": float}
_AS_TEXT = {"lr", "size"}  # `auto`, and `64>96>128`


def training_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag per field of `TrainingConfig`.

    Args:
        command: its last parameter is `**overrides`, which gets the given fields, checked.
    """
    own = inspect.signature(command, eval_str=True).parameters.values()
    named = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
    options = typed_options()
    flags = [_flag(option) for option in options.values()]

    @wraps(command)
    def with_overrides(**values: Any) -> None:
        given = {name: values.pop(name) for name in options}
        command(**values, **read({name: value for name, value in given.items() if value is not None}))

    with_overrides.__signature__ = inspect.Signature([*named, *flags])  # type: ignore[attr-defined]
    with_overrides.__annotations__ = {p.name: p.annotation for p in (*named, *flags)}
    return with_overrides


def _flag(option: Option) -> inspect.Parameter:
    kind = str if option.name in _AS_TEXT else _TYPES.get(option.kind, str)
    declarations = (f"{option.flag}/--no-{option.flag[2:]}",) if kind is bool else (option.flag,)
    metavar = _METAVARS.get(option.name) or _METAVARS.get(option.kind)
    described = typer.Option(
        *declarations, help=t(f"training.option_{option.name}"), show_default=False, metavar=metavar
    )
    annotation = Annotated[kind | None, described]
    return inspect.Parameter(option.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


_METAVARS = {"duration": "TIME", "lr": "RATE", "size": "PIXELS"}
