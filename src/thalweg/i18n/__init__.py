"""One catalogue of sentences for page, report and command line: English and 简体中文.

A key is `domain.name`. A domain is a file, `en/<domain>.json`, which is read when its first sentence is needed.
A test checks that both languages have the same keys and placeholders.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from contextvars import ContextVar
from decimal import ROUND_HALF_UP, Decimal, localcontext
from functools import cache
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thalweg.i18n.names import filled, quoted, shown, word


if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


__all__ = [
    "LANGUAGES",
    "get_language",
    "joined",
    "percent",
    "quoted",
    "set_language",
    "shown",
    "speaking",
    "t",
    "word",
]

LANGUAGES = ("en", "zh-CN")

_language: str | None = None
_spoken: ContextVar[str | None] = ContextVar("spoken", default=None)


def t(key: str, /, **values: Any) -> str:
    """The sentence with this key, in the current language.

    Args:
        key: `domain.name`.
        **values: values for the placeholders of the sentence, as in `str.format`; names are shown as `shown` does.

    Raises:
        KeyError: there is no such sentence.

    Example:
        >>> set_language("en")
        >>> t("errors.missing_extra", package="timm", extra="timm")
        'timm is not installed. Try: pip install "thalweg[timm]"'
    """
    domain, name = key.split(".", 1)
    rounded = {name: _HalfUp(value) if isinstance(value, float) else value for name, value in values.items()}
    return filled(_catalogue(get_language(), domain)[name], rounded)


def percent(share: float, digits: int = 1) -> str:
    """A share as people round it: half a unit of the last digit goes up, here and on the page.

    Args:
        share: 1 is 100 %.
        digits: number of decimals.

    Example:
        >>> percent(0.8125), f"{0.8125:.1%}", percent(0.105)
        ('81.3%', '81.2%', '10.5%')
    """
    return f"{_HalfUp(share):.{digits}%}"


class _HalfUp(float):
    """A number that is rounded as it is written, so that 81.25 becomes 81.3; Python's own rounding makes it 81.2."""

    def __format__(self, spec: str) -> str:
        if spec[-1:] not in {"f", "%"} or not isfinite(self):
            return super().__format__(spec)
        with localcontext(rounding=ROUND_HALF_UP):
            return format(Decimal(float.__repr__(self)), spec)


def joined(words: Iterable[str], *, long: bool = False) -> str:
    """A list in a sentence: `a, b` in English and `a、b` in Chinese.

    Args:
        words: what to list.
        long: the items are phrases with commas of their own, so that semicolons separate them.

    Example:
        >>> with speaking("zh-CN"):
        ...     joined(["sgd", "adam"]), joined(["sgd", "adam"], long=True)
        ('sgd、adam', 'sgd；adam')
    """
    return t("errors.between_phrases" if long else "errors.between_words").join(words)


def get_language() -> str:
    """The current language.

    The one of `speaking`, else the one that was set, else the one of `THALWEG_LANG`, `LC_ALL`, `LC_MESSAGES` or `LANG`,
    else English.
    """
    return _spoken.get() or _language or _language_of_environment()


def set_language(language: str | None) -> None:
    """Set the language of this process; `None` returns to the one of the environment.

    Raises:
        ValueError: not one of `LANGUAGES`.
    """
    global _language  # noqa: PLW0603 - one language a process, except inside `speaking`
    _check(language)
    _language = language


@contextmanager
def speaking(language: str | None) -> Iterator[None]:
    """Use a language inside the block, in this thread or task only; `None` changes nothing.

    A server answers each visitor in the visitor's language.

    Raises:
        ValueError: not one of `LANGUAGES`.

    Example:
        >>> with speaking("zh-CN"):
        ...     t("errors.missing_extra", package="timm", extra="timm")[:9]
        '没有安装 timm'
    """
    _check(language)
    before = _spoken.set(language or _spoken.get())
    try:
        yield
    finally:
        _spoken.reset(before)


def _check(language: str | None) -> None:
    if language is not None and language not in LANGUAGES:
        raise ValueError(f"language must be one of {', '.join(LANGUAGES)} (got {language!r})")


def _language_of_environment() -> str:
    for variable in ("THALWEG_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = os.environ.get(variable)
        if value:
            return "zh-CN" if value.lower().startswith("zh") else "en"
    return "en"


@cache
def _catalogue(language: str, domain: str) -> dict[str, str]:
    path = Path(__file__).parent / language / f"{domain}.json"
    return json.loads(path.read_text(encoding="utf-8"))
