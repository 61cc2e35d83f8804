"""Flags made from a documented dataclass: a field is a flag, and there is no flag that is no field."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer

from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Callable

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?")


def seconds_of(text: str) -> float:
    """Seconds of a duration such as `90`, `90s`, `10m`, `1h30m`.

    Raises:
        UsageError: not a duration, or none at all.

    Example:
        >>> seconds_of("10m"), seconds_of("1h30m"), seconds_of("45")
        (600.0, 5400.0, 45.0)
    """
    match = _DURATION.fullmatch(text.strip().lower())
    parts = [float(part or 0) for part in match.groups()] if match else []
    total = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=bool(parts)))
    if not total:
        raise UsageError("cli.bad_duration", value=text)
    return total


AUTO = "auto"


def rate_of(text: str) -> float | str:
    """A learning rate, or the word `auto`, which asks for a search.

    Raises:
        UsageError: neither.

    Example:
        >>> rate_of("3e-4"), rate_of("auto")
        (0.0003, 'auto')
    """
    if text.strip().lower() == AUTO:
        return AUTO
    try:
        return float(text)
    except ValueError:
        raise UsageError("cli.bad_rate", value=text) from None


def sizes_of(text: str) -> tuple[int, ...]:
    """Sides of photos, in the order in which they are trained: `64>96>128`, or with commas, which no shell takes.

    Raises:
        UsageError: not whole numbers.

    Example:
        >>> sizes_of("64>96>128"), sizes_of("128")
        ((64, 96, 128), (128,))
    """
    try:
        return tuple(int(part) for part in text.replace(",", ">").split(">"))
    except ValueError:
        raise UsageError("training.bad_sizes", value=text) from None


# How a field is read when its type alone does not say it.
_PARSERS: dict[str, Callable[[str], Any]] = {
    "budget": seconds_of,
    "lr": rate_of,
    "size": sizes_of,
    "smaller_sizes": sizes_of,
}


def flags_of(config: type, domain: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb one flag for each field of a dataclass; it gets those that were given as `overrides`.

    Args:
        config: the dataclass.
        domain: of the catalogue, where `option_<field>` explains the flag.

    Returns:
        A decorator for a function whose last parameter is `**overrides`.
    """
    hints = get_type_hints(config)

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(verb, eval_str=True).parameters.values()
        named = [parameter for parameter in own if parameter.kind is not inspect.Parameter.VAR_KEYWORD]
        flags = [_flag(field.name, hints[field.name], domain) for field in fields(config)]

        @wraps(verb)
        def with_overrides(**values: Any) -> None:
            given = {field.name: values.pop(field.name) for field in fields(config)}
            verb(**values, **_settled({name: value for name, value in given.items() if value is not None}))

        with_overrides.__signature__ = inspect.Signature([*named, *flags])  # type: ignore[attr-defined]
        with_overrides.__annotations__ = {p.name: p.annotation for p in (*named, *flags)}
        return with_overrides

    return decorate


def _settled(given: dict[str, Any]) -> dict[str, Any]:
    """`--size 64>96>128` is of two fields: the last size, and those before it."""
    if "size" not in given:
        return given
    *smaller, size = given["size"]
    return {**given, "size": size, "smaller_sizes": tuple(smaller) or given.get("smaller_sizes", ())}


def _flag(name: str, hint: Any, domain: str) -> inspect.Parameter:
    kind = _plain_type(hint)
    option = "--" + name.replace("_", "-")
    declarations = (f"{option}/--no-{option[2:]}",) if kind is bool else (option,)
    parser = _PARSERS.get(name)
    described = typer.Option(*declarations, help=t(f"{domain}.option_{name}"), parser=parser, show_default=False)
    annotation = Annotated[str if parser else kind | None, described]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _plain_type(hint: Any) -> type:
    """The type that a flag's text is read as: of `int | None` it is int, of a Literal str (the dataclass checks it)."""
    if isinstance(hint, type):
        return hint
    if get_origin(hint) is Literal:
        return str
    return next(part for part in get_args(hint) if part is not type(None))
