"""A request, read field by field: every field is checked before use.

A route module lists `Entry` objects; each handler gets a `Visit` with the address, the body and the shared state.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from thalweg.errors import UnknownNameError, UsageError


if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from starlette.requests import Request

    from thalweg.runs import Run
    from thalweg.server.diagnoses import Diagnoses
    from thalweg.server.processes import Trainings
    from thalweg.server.run_index import RunIndex

LONGEST_FORM: Final = 65_536  # bytes
LARGEST_PHOTO: Final = 24 * 2**20  # bytes


class Form:
    """A JSON object with methods that read a field by type and range.

    Args:
        values: from `parse_form`.

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
            UsageError: the field is not such a number.
        """
        value = self.values.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not _within(value, least, most):
            self.refuse(name)
        return float(value)

    def whole(self, name: str, *, least: int, most: int, default: int | None = None) -> int:
        """A whole number in a range.

        Raises:
            UsageError: the field is not such a number.
        """
        value = self.number(name, least=least, most=most, default=default)
        if not value.is_integer():
            self.refuse(name)
        return int(value)

    def text(self, name: str, *, longest: int = 2_000, default: str | None = None) -> str:
        """A text of limited length.

        Raises:
            UsageError: the field is not a text, or is too long.
        """
        value = self.values.get(name, default)
        if not isinstance(value, str) or len(value) > longest:
            self.refuse(name)
        return value

    def choice(self, name: str, kind: str, choices: Collection[str], *, default: str | None = None) -> str:
        """One of several names.

        Raises:
            UsageError: the field is not one of the names; `kind` is their key in the catalogue.
        """
        value = self.text(name, longest=200, default=default)
        if value not in choices:
            raise UnknownNameError(kind, value, choices)
        return value

    def numbers(self, name: str, count: int) -> tuple[float, ...] | None:
        """A list of `count` finite numbers; None if the field is missing.

        Raises:
            UsageError: the field is not such a list.
        """
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count:
            self.refuse(name)
        numbered = Form(dict(enumerate(value)))  # type: ignore[arg-type] - positions serve as names
        return tuple(numbered.number(place) for place in range(count))  # type: ignore[arg-type]

    def forms(self, name: str, *, most: int) -> list[Form]:
        """A list of at most `most` objects; empty if the field is missing.

        Raises:
            UsageError: the field is not such a list.
        """
        value = self.values.get(name, [])
        if not isinstance(value, list) or len(value) > most or not all(isinstance(item, dict) for item in value):
            self.refuse(name)
        return [Form(item) for item in value]

    def refuse(self, name: object) -> NoReturn:
        """Report that the value of a field is invalid.

        Raises:
            UsageError: always.
        """
        raise UsageError("page.bad_field", name=name, value=str(self.values.get(name))[:80])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Service:
    """The state that all handlers share.

    Attributes:
        index: the runs of the served folder.
        trainings: the training runs that this server started.
        diagnoses: the diagnoses and trials that this server started.
        network_thread: the only thread that runs networks, one request after another.
        photos: folders on which a training run may be started, besides the built-in set and those of existing runs.
    """

    index: RunIndex
    trainings: Trainings
    diagnoses: Diagnoses
    network_thread: Executor
    photos: Sequence[Path] = ()

    def listing(self) -> dict[str, Any]:
        """The runs of the folder and those that this server has just started, which may still prepare photos."""
        started = self.trainings.listing()
        going = {one["run"] for one in started if one["goes_on"]}
        runs = [{**row, "state": "training"} if row["run"] in going else row for row in self.index.listing()]
        return {"runs": runs, "trainings": started}


@dataclass(frozen=True, slots=True)
class Visit:
    """One request with its body read.

    Attributes:
        service: the shared state.
        query: the parameters of the address.
        body: the content of a POST request.
    """

    service: Service
    query: dict[str, str]
    body: bytes

    @property
    def form(self) -> Form:
        """The JSON object of the body.

        Raises:
            UsageError: the body is not a JSON object.
        """
        return parse_form(self.body)

    @property
    def run_name(self) -> str:
        """The name of the run in the address, or empty."""
        return self.query.get("run", "")

    @property
    def run(self) -> Run:
        """The run that the address names.

        Raises:
            RunError: there is no such run.
        """
        return self.service.index.run(self.run_name)

    def whole(self, name: str, *, most: int = 2**31) -> int:
        """A whole number in the address; 0 if it is missing.

        Raises:
            UsageError: the parameter is not such a number.
        """
        text = self.query.get(name, "0")
        if not text.isascii() or not text.isdecimal() or len(text) > 12 or int(text) > most:
            self.refuse(name)
        return int(text)

    def refuse(self, name: str) -> NoReturn:
        """Report that a parameter of the address is invalid.

        Raises:
            UsageError: always.
        """
        raise UsageError("page.bad_field", name=name, value=self.query.get(name, "")[:80])


@dataclass(frozen=True, slots=True)
class Entry:
    """A route of the page's API.

    Attributes:
        method: `GET` or `POST`.
        path: below `/api/`.
        handler: gets a `Visit`; returns a dictionary (JSON), facts and arrays (a frame) or the bytes of a PNG.
        needs_network: whether the handler runs a network or waits for one. It then runs in the thread for networks, so
            that it does not block other requests.
        longest: the longest body, in bytes.
    """

    method: str
    path: str
    handler: Callable[[Visit], Any]
    needs_network: bool = False
    longest: int = LONGEST_FORM


def parse_form(content: bytes | str) -> Form:
    """Parse a JSON object.

    Raises:
        UsageError: the text is not a JSON object.
    """
    try:
        values = json.loads(content, parse_constant=_no_constant)
        json.dumps(values, ensure_ascii=False).encode()  # JSON may contain half a surrogate pair, not a character
    except (ValueError, RecursionError):
        raise UsageError("page.no_json") from None
    if not isinstance(values, dict):
        raise UsageError("page.no_json")
    return Form(values)


async def read_body(request: Request, longest: int) -> bytes:
    """Read the body of a request, up to the limit.

    Raises:
        UsageError: the body has more than `longest` bytes.
    """
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > longest:
            raise UsageError("page.too_long", most=f"{longest:,}")
        parts.append(part)
    return b"".join(parts)


def _within(value: float, least: float, most: float) -> bool:
    try:
        return math.isfinite(value) and least <= value <= most
    except OverflowError:  # a whole number with hundreds of digits
        return False


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)
