"""The words, numbers and signs of a schedule's text, each with its place."""

from __future__ import annotations

import re
from typing import NamedTuple

from thalweg._pointing import SpecError


MAX_CHARACTERS = 1000

_FULL_WIDTH = str.maketrans("（），％＞＝．－", "(),%>=.-")
_TOKEN = re.compile(
    r"\s*(?:(?P<number>[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)|(?P<word>[a-z_][a-z0-9_]*)|(?P<sign>[()>,=%])|(?P<end>$))",
    re.ASCII,
)


class Token(NamedTuple):
    """A piece of the text; `kind` is number, word, sign or end."""

    kind: str
    text: str
    position: int


def tokens_of(spec: str) -> list[Token]:
    """Cut a text into tokens; the last is the end.

    Raises:
        SpecError: a character that has no place in the language.
    """
    text = spec.translate(_FULL_WIDTH).lower()
    tokens: list[Token] = []
    position = 0
    while not tokens or tokens[-1].kind != "end":
        match = _TOKEN.match(text, position)
        if match is None:
            position += len(text[position:]) - len(text[position:].lstrip())
            raise SpecError("schedules.bad_character", spec, position, character=spec[position])
        kind = match.lastgroup or "end"
        tokens.append(Token(kind, match[kind], match.start(kind)))
        position = match.end()
    return tokens
