"""An error that points at a character, and the width of a text on a terminal."""

from __future__ import annotations

import unicodedata
from typing import Any

from thalweg.errors import UsageError


class SpecError(UsageError):
    """A schedule or formula does not parse; the message shows the text with a caret below the place.

    Args:
        key: the message's key in the catalogue.
        spec: the whole text.
        position: index of the wrong character; the length of the text means its end.
        **values: values for the placeholders of the message.
    """

    def __init__(self, key: str, spec: str, position: int, /, **values: Any) -> None:
        super().__init__(key, **values)
        self.spec = spec
        self.position = position

    def __str__(self) -> str:
        line = "".join(" " if character.isspace() else character for character in self.spec)
        return f"{super().__str__()}\n  {line}\n  {' ' * columns_of(line[: self.position])}^"


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: a Chinese character takes two.

    Example:
        >>> columns_of("step 步")
        7
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
