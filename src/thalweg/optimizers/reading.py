"""An optimizer with its settings as text, `momentum(momentum=0.67)`, and one of its numbers changed by name."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from thalweg.errors import UnknownNameError, UsageError
from thalweg.optimizers.catalogue import get


if TYPE_CHECKING:
    from thalweg.optimizers.optimizer import Optimizer

Kind = TypeVar("Kind", bound="Optimizer")

_TEXT: Final = re.compile(r"\s*([\w-]+)\s*(?:\(([^()]*)\)\s*)?")


def read(text: str) -> Optimizer:
    """An optimizer by its name, with settings in parentheses where they are not the default ones.

    Args:
        text: `adam`, `momentum(momentum=0.67)` or `adam(beta1=0.8, beta2=0.99)`: a number by its name in torch.optim, a
            member of a pair counted from 1.

    Raises:
        UnknownNameError: no such optimizer, or no such hyper-parameter.
        UsageError: the text is neither, or a value is out of its range.

    Example:
        >>> read("adam(beta2=0.99)").betas, read("momentum(momentum=0.67)").momentum
        ((0.9, 0.99), 0.67)
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise UsageError("optimizers.bad_text", text=text[:80])
    optimizer = get(found[1])
    for pair in (found[2] or "").split(","):
        if not pair.strip():
            continue
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError("optimizers.bad_text", text=text[:80])
        optimizer = changed(optimizer, name.strip(), _number(value, text))
    return optimizer


def text_of(optimizer: Optimizer) -> str:
    """The text that `read` takes: the name, and every number that is not the default one.

    Example:
        >>> text_of(read("adam(beta2=0.99)")), text_of(read("momentum"))
        ('adam(beta2=0.99)', 'momentum')
    """
    default = get(optimizer.name)
    own = [
        f"{name}={value:.6g}"
        for name, value in _numbers(optimizer).items()
        if value != _numbers(default).get(name, value)
    ]
    return f"{optimizer.name}({', '.join(own)})" if own else optimizer.name


def changed(optimizer: Kind, name: str, value: float) -> Kind:
    """The same optimizer with one number changed.

    Args:
        optimizer: any.
        name: one of its numbers, or a member of a pair, counted from 1: `beta1`, `beta2` of `betas`, `eta1` of `etas`,
            `step_size2` of `step_sizes`.
        value: the new number.

    Raises:
        UnknownNameError: it has no such number.
        UsageError: the value is out of its range.

    Example:
        >>> changed(get("adam"), "beta2", 0.99).betas
        (0.9, 0.99)
    """
    known = _places(optimizer)
    if name not in known:
        raise UnknownNameError("hyper_parameter", name, ["lr", *known])
    field, place = known[name]
    if place is None:
        return replace(optimizer, **{field: value})
    pair = list(getattr(optimizer, field))
    pair[place] = value
    return replace(optimizer, **{field: tuple(pair)})


def _places(optimizer: Optimizer) -> dict[str, tuple[str, int | None]]:
    """Each number by name: its field, and its place in a pair."""
    known: dict[str, tuple[str, int | None]] = {}
    for one in fields(optimizer):
        current: Any = getattr(optimizer, one.name)
        if isinstance(current, tuple):
            known |= {f"{one.name[:-1]}{place + 1}": (one.name, place) for place in range(2)}
        elif not isinstance(current, bool):
            known[one.name] = one.name, None
    return known


def _numbers(optimizer: Optimizer) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, (field, place) in _places(optimizer).items():
        value = getattr(optimizer, field)
        found[name] = value if place is None else value[place]
    return found


def _number(text: str, whole: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError("optimizers.bad_text", text=whole[:80]) from None
