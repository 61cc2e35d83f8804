"""The arguments of `thalweg surface`, read into objects: surface, optimizers with their learning rates, file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from thalweg.errors import UsageError


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from thalweg.optimizers import Optimizer
    from thalweg.surfaces import Surface

_BETWEEN: Final = re.compile(r",(?![^()]*\))")  # a comma that is not in parentheses

SUFFIXES: Final = (".png", ".gif", ".html")


@dataclass(frozen=True)
class OptimizerChoice:
    """An optimizer and its learning rate; `None` means one that suits the surface."""

    optimizer: Optimizer
    lr: float | None


def read_surface(text: str, parameters: Sequence[str], window: str | None, start: str | None) -> Surface:
    """Read the surface argument with `--parameter`, `--window` and `--start`."""
    from thalweg import surfaces

    sides = None
    if window is not None:
        left, right, bottom, top = read_numbers(window, 4, "--window")
        sides = (left, right), (bottom, top)
    place = None
    if start is not None:
        x, y = read_numbers(start, 2, "--start")
        place = x, y
    return surfaces.read(text, dict(_pair(parameter, "--parameter") for parameter in parameters), sides, place)


def read_optimizers(optimizers: str, rates: str | None) -> list[OptimizerChoice]:
    """Read `--optimizers sgd,adam(beta2=0.99)=0.1` with the rates of `--lr 0.01` or `--lr sgd=0.01,adam=0.1`."""
    from thalweg.optimizers import read

    shared, named = _read_rates(rates)
    choices: list[OptimizerChoice] = []
    for word in _words(optimizers, "--optimizers"):
        name, rate = _name_and_rate(word)
        optimizer = read(name)
        own = None if rate is None else _number(rate, "--optimizers")
        choice = OptimizerChoice(optimizer, own if own is not None else named.pop(optimizer.name, shared))
        if choice in choices:
            raise UsageError("lab.optimizer_twice", optimizer=word)
        choices.append(choice)
    for name in named:
        raise UsageError("lab.rate_without_optimizer", optimizer=name)
    return choices


def read_numbers(text: str, count: int, option: str) -> list[float]:
    """Read a given number of values separated by commas."""
    words = _words(text, option)
    if len(words) != count:
        raise UsageError("lab.bad_count", option=option, count=count, text=text)
    return [_number(word, option) for word in words]


def check_file(file: Path) -> None:
    """Reject an unknown kind of picture before anything is computed."""
    if file.suffix.lower() not in SUFFIXES:
        raise UsageError("lab.bad_suffix", path=file, known=", ".join(SUFFIXES))


def _read_rates(rates: str | None) -> tuple[float | None, dict[str, float]]:
    """Read one rate for all, or rates by optimizer."""
    if rates is None:
        return None, {}
    if "=" not in rates:
        return _number(rates, "--lr"), {}
    pairs = [_pair(word, "--lr") for word in _words(rates, "--lr")]
    return None, {name.replace("-", "_"): rate for name, rate in pairs}


def _name_and_rate(word: str) -> tuple[str, str | None]:
    """An optimizer with its settings, and its rate: behind the equals sign that is not in parentheses."""
    settings = word.rfind(")") + 1
    name, equals, rate = word[settings:].partition("=")
    return word[:settings] + name, rate if equals else None


def _words(text: str, option: str) -> list[str]:
    words = [word.strip() for word in _BETWEEN.split(text)]
    if not all(words):
        raise UsageError("lab.empty_word", option=option, text=text)
    return words


def _pair(text: str, option: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError("lab.bad_pair", option=option, text=text)
    return name.strip(), _number(value, option)


def _number(text: str, option: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError("lab.bad_number", option=option, text=text.strip()) from None
