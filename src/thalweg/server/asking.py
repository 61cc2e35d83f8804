"""What a visitor asks, read field by field: nothing is used that was not looked at."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, Final, NoReturn

from thalweg.errors import UnknownNameError, UsageError


if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

LONGEST_FORM: Final = 65_536  # bytes
LARGEST_PHOTO: Final = 24 * 2**20  # bytes


class Form:
    """One JSON object, whose fields are read by what they must be.

    Args:
        values: from `read_form`.

    Example:
        >>> Form({"steps": 10}).whole("steps", least=1, most=100)
        10
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = values

    def number(
        self, name: str, *, least: float = -math.inf, most: float = math.inf, default: float | None = None
    ) -> float:
        """A finite number in a range.

        Raises:
            UsageError: it is not.
        """
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not _within(value, least, most):
            self.refuse(name)
        return float(value)

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number in a range.

        Raises:
            UsageError: it is not.
        """
        value = self.number(name, least=least, most=most, default=default)
        if not value.is_integer():
            self.refuse(name)
        return int(value)

    def text(self, name: str, *, longest: int = 2_000, default: str | None = None) -> str:
        """A text that is not too long.

        Raises:
            UsageError: it is not.
        """
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            self.refuse(name)
        return value

    def choice(self, name: str, kind: str, choices: Collection[str], *, default: str | None = None) -> str:
        """One of some names.

        Raises:
            UsageError: no text, or none of them; `kind` says in the catalogue what it should be.
        """
        value = self.text(name, longest=200, default=default)
        if value not in choices:
            raise UnknownNameError(kind, value, choices)
        return value

    def flag(self, name: str) -> bool:
        """True or false; false where it is not given.

        Raises:
            UsageError: it is neither.
        """
        value = self.values.get(name, False)
        if not isinstance(value, bool):
            self.refuse(name)
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """So many finite numbers; None where they are not given.

        Raises:
            UsageError: they are not.
        """
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count:
            self.refuse(name)
        numbered = Form(dict(enumerate(value)))  # type: ignore[arg-type] - places stand for names
        return tuple(numbered.number(place) for place in range(count))  # type: ignore[arg-type]

    def forms(self, name: str, *, most: int) -> list[Form]:
        """A list of objects.

        Raises:
            UsageError: it is not, or too long.
        """
        value = self.values.get(name, [])
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, dict) for item in value):
            self.refuse(name)
        return [Form(item) for item in value]

    def refuse(self, name: object) -> NoReturn:
        """Say that a field cannot be meant.

        Raises:
            UsageError: always.
        """
        raise UsageError("page.bad_field", name=name, value=str(self.values.get(name))[:80])  # type: ignore[arg-type]


async def read_form(request: Request) -> Form:
    """The JSON object of a request.

    Raises:
        UsageError: it is none, or too long.
    """
    return parse_form(await read_body(request, LONGEST_FORM))


def parse_form(content: bytes | str) -> Form:
    """A JSON object from its text.

    Raises:
        UsageError: it is none.
    """
    try:
        values = json.loads(content, parse_constant=_no_constant)
        json.dumps(values, ensure_ascii=False).encode()  # JSON may name half of a pair of surrogates: no character
    except (ValueError, RecursionError):
        raise UsageError("page.no_json") from None
    if not isinstance(values, dict):
        raise UsageError("page.no_json")
    return Form(values)


async def read_body(request: Request, most: int) -> bytes:
    """The bytes of a request; no more of them are taken than may come.

    Raises:
        UsageError: there are more.
    """
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > most:
            raise UsageError("page.too_long", most=f"{most:,}")
        parts.append(part)
    return b"".join(parts)


def _within(value: float, least: float, most: float) -> bool:
    try:
        return math.isfinite(value) and least <= value <= most
    except OverflowError:  # a whole number of hundreds of digits
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
