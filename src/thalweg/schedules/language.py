"""The language of schedules: `warmup(5%) > cosine`, `step(30%, gamma=0.5)`, `linear over 50% > constant(0.1)`.

```
schedule = part (">" part)*
part     = name ["(" [argument ("," argument)*] ")"] ["over" length]
argument = [name "="] (number | number "%" | word)
```

In a length, a plain number counts steps and a percentage is of the whole training.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from thalweg._pointing import SpecError
from thalweg.errors import UsageError
from thalweg.i18n import joined, t
from thalweg.schedules.arguments import Percent, Spans
from thalweg.schedules.catalogue import SCHEDULES
from thalweg.schedules.chain import Chain, Over, length_of


if TYPE_CHECKING:
    from thalweg.schedules.schedule import Schedule


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


@lru_cache(maxsize=256)
def parse(spec: str) -> Schedule:
    """Read a schedule.

    Args:
        spec: the text, at most 1,000 characters. Full-width signs, as from Chinese keyboards, are fine.

    Raises:
        UsageError: the text is not a schedule; the message shows the place and what is expected there.

    Example:
        >>> schedule = parse("warmup(5%) > cosine(end=0.01)")
        >>> schedule(5, 100), schedule(100, 100)
        (1.0, 0.01)
        >>> str(schedule)
        'warmup(5%) > cosine(end=0.01)'
    """
    if len(spec) > MAX_CHARACTERS:
        raise UsageError("schedules.too_long", characters=len(spec), most=MAX_CHARACTERS)
    return _Parser(spec).schedule()


class _Parser:
    """Recursive descent over the tokens, one method per rule of the grammar."""

    def __init__(self, spec: str) -> None:
        self._spec = spec
        self._tokens = _tokens_of(spec)
        self._next = 0

    def schedule(self) -> Schedule:
        first = self._peek()
        parts = [self._part()]
        while self._takes(">"):
            if length_of(parts[-1]) is None:
                self._fail("schedules.no_length", first, schedule=parts[-1])
            first = self._peek()
            parts.append(self._part())
        if self._peek().kind != "end":
            self._unexpected(t("schedules.part_end"))
        return parts[0] if len(parts) == 1 else self._built(self._tokens[0], {}, Chain, parts=tuple(parts))

    def _part(self) -> Schedule:
        name = self._peek()
        if name.kind != "word":
            self._unexpected(t("schedules.a_schedule", known=joined(SCHEDULES)))
        if name.text not in SCHEDULES:
            self._unknown("schedules.unknown_schedule", name, SCHEDULES)
        self._next += 1
        schedule = self._call(name, SCHEDULES[name.text])
        if self._takes("over"):
            place = self._peek()
            return self._built(place, {}, Over, schedule=schedule, length=self._value())
        return schedule

    def _call(self, name: Token, cls: type[Schedule]) -> Schedule:
        values: dict[str, Any] = {}
        places: dict[str, Token] = {}
        if self._takes("(") and not self._takes(")"):
            self._argument(name, cls, values, places)
            while self._takes(","):
                self._argument(name, cls, values, places)
            if not self._takes(")"):
                self._unexpected(t("schedules.argument_end"))
        missing = [
            field.name
            for field in fields(cls)  # type: ignore[arg-type] - every schedule is a dataclass
            if field.default is MISSING and field.name not in values
        ]
        if missing:
            kind = cls.takes[missing[0]]
            self._fail("schedules.missing", name, schedule=name.text, argument=missing[0], expected=kind.expected())
        return self._built(name, places, cls, **values)

    def _argument(self, name: Token, cls: type[Schedule], values: dict[str, Any], places: dict[str, Token]) -> None:
        place = self._peek()
        argument = ""
        if place.kind == "word" and self._tokens[self._next + 1].text == "=":
            argument = place.text
            if argument not in cls.takes:
                self._unknown("schedules.unknown_argument", place, cls.takes, schedule=name.text)
            self._next += 2
            place = self._peek()
        value = self._value()
        argument = argument or self._positional(place, cls, values)
        if isinstance(cls.takes[argument], Spans):
            value = (*values.get(argument, ()), value)
        elif argument in values:
            self._fail("schedules.twice", place, argument=argument)
        values[argument] = value
        places[argument] = place

    def _positional(self, place: Token, cls: type[Schedule], values: dict[str, Any]) -> str:
        """The argument of a value without a name: the first that has no value yet."""
        for argument, kind in cls.takes.items():
            if argument not in values or isinstance(kind, Spans):
                return argument
        return self._fail("schedules.too_many", place, schedule=cls.name, most=len(cls.takes))

    def _value(self) -> float | Percent | str:
        token = self._peek()
        if token.kind not in {"number", "word"}:
            self._unexpected(t("schedules.a_value"))
        self._next += 1
        if token.kind == "word":
            return token.text
        number = float(token.text)
        return Percent(number) if self._takes("%") else number

    def _built(self, name: Token, places: dict[str, Token], cls: type[Schedule], **values: Any) -> Any:
        """Construct; an error of the constructor points at the argument, or at the name."""
        try:
            return cls(**values)
        except UsageError as error:
            place = places.get(str(error.values.get("argument")), name)
            raise SpecError(error.key, self._spec, place.position, **error.values) from None

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _takes(self, text: str) -> bool:
        """Step over the next token if it is `text`."""
        taken = self._peek().text == text
        self._next += taken
        return taken

    def _unexpected(self, expected: str) -> NoReturn:
        token = self._peek()
        if token.kind == "end":
            self._fail("schedules.unexpected_end", token, expected=expected)
        self._fail("schedules.unexpected", token, found=token.text, expected=expected)

    def _unknown(self, key: str, token: Token, known: Any, **values: Any) -> NoReturn:
        nearest = get_close_matches(token.text, known, n=3, cutoff=0.4)
        hint = t("schedules.nearest", nearest=joined(nearest)) if nearest else ""
        hint += t("schedules.known", known=joined(known) or t("schedules.nothing"))
        self._fail(key, token, name=token.text, hint=hint, **values)

    def _fail(self, key: str, token: Token, **values: Any) -> NoReturn:
        raise SpecError(key, self._spec, token.position, **values)


def _tokens_of(spec: str) -> list[Token]:
    """Cut a text into tokens; the last is the end.

    Raises:
        SpecError: a character is not part of the language.
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
