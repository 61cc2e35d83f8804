"""The table of the configuration's fields: kind, range, unit, and how a value is read and written as text.

Command line, page and Python read the same table, so a flag, a field of the form and a keyword argument cannot differ.
"""

from __future__ import annotations

import math
import re
from dataclasses import MISSING, Field, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

from thalweg.errors import UnknownNameError, UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["flag", "whole", "number", "duration", "text", "choice", "sizes"]

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?:in)?)?(?:(\d+(?:\.\d+)?)s?)?")
_LONGEST_TEXT = 1000


def within(
    least: float = -math.inf,
    most: float = math.inf,
    *,
    open_least: bool = False,
    open_most: bool = False,
    unit: str = "",
) -> dict[str, Any]:
    """Return the metadata of a numeric field.

    Args:
        least: smallest value.
        most: largest value.
        open_least: whether `least` itself is invalid.
        open_most: whether `most` itself is invalid.
        unit: such as `px`; `s` reads durations such as `10m`.
    """
    return {"least": least, "most": most, "open_least": open_least, "open_most": open_most, "unit": unit}


@dataclass(frozen=True, slots=True)
class Option:
    """A field of a configuration.

    Attributes:
        name: the field's name.
        flag: its flag on the command line.
        kind: the kind of its values.
        choices: the values of a `choice`.
        optional: whether None is valid.
        default: the value if none is given.
        least: smallest value of a number.
        most: largest value of a number.
        open_least: whether `least` itself is invalid.
        open_most: whether `most` itself is invalid.
        unit: unit of a number; empty if it has none.
    """

    name: str
    flag: str
    kind: Kind
    choices: tuple[str, ...]
    optional: bool
    default: Any
    least: float
    most: float
    open_least: bool
    open_most: bool
    unit: str

    def check(self, value: Any) -> Any:
        """Return the value in the field's type (an int becomes a float in a float field).

        Raises:
            UsageError: it has the wrong type or is out of range.
            UnknownNameError: it is not one of the choices.
        """
        if value is None and self.optional:
            return None
        if self.kind == "choice" and value not in self.choices:
            name = value if isinstance(value, str) else shown(value, 80)
            raise UnknownNameError(self.name, name[:80], self.choices)
        if self.kind == "sizes" and isinstance(value, list | tuple):
            return tuple(self._number(size, whole=True) for size in value)
        if self.kind in ("whole", "number", "duration"):
            return self._number(value, whole=self.kind == "whole")
        wanted = bool if self.kind == "flag" else str
        if not isinstance(value, wanted) or len(str(value)) > _LONGEST_TEXT:
            raise self._wrong(value)
        return value

    def parse(self, text: str) -> Any:
        """Parse a text.

        Raises:
            UsageError: the text is not such a value. `check` tests the range.
        """
        text = text.strip()
        try:
            if self.kind == "flag":
                return {"true": True, "false": False}[text.lower()]
            if self.kind == "whole":
                return int(text)
            if self.kind == "duration":
                return seconds_of(text)
            if self.kind == "number":
                return float(text)
            if self.kind == "sizes":
                return sizes_of(text)
        except (ValueError, KeyError, OverflowError):
            raise self._wrong(text) from None
        return text

    def show(self, value: Any) -> str:
        """Format a value so that `parse` reads it back."""
        if self.kind == "flag":
            return "true" if value else "false"
        if self.kind == "sizes":
            return ">".join(map(str, value))
        return repr(value) if isinstance(value, float) else str(value)

    def _number(self, value: Any, *, whole: bool) -> int | float:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        if not right or (whole and value != value // 1):
            raise self._wrong(value)
        low = value <= self.least if self.open_least else value < self.least
        high = value >= self.most if self.open_most else value > self.most
        if low or high or not _is_finite(value):
            raise UsageError(
                "training.out_of_range",
                option=self.flag,
                value=f"{value:.6g}" if isinstance(value, float) else shown(value, 40),
                range=self.range,
            )
        return int(value) if whole else float(value)

    @property
    def range(self) -> str:
        """The valid range of a number, such as `[0, 1)`."""
        left = "(" if self.open_least or math.isinf(self.least) else "["
        right = ")" if self.open_most or math.isinf(self.most) else "]"
        least, most = (_plain(bound) for bound in (self.least, self.most))
        return f"{left}{least}, {most}{right}"

    def _wrong(self, value: Any) -> UsageError:
        return UsageError(
            "training.wrong_type", option=self.flag, value=shown(value, 80), kind=t(f"training.kind_{self.kind}")
        )


def options_of(config: type) -> dict[str, Option]:
    """Return the fields of a configuration's dataclass, in order."""
    hints = get_type_hints(config)
    return {field.name: _option(field, hints[field.name]) for field in fields(config)}


def check_all(values: object, options: Mapping[str, Option]) -> dict[str, Any]:
    """Check every field of a configuration and return each in its own type.

    Raises:
        UsageError: a field has the wrong type or is out of range; names the first.
        UnknownNameError: a field is not one of its choices; names the first.
    """
    return {name: option.check(getattr(values, name)) for name, option in options.items()}


def shown(value: Any, most: int = 60) -> str:
    """Return a value as Python writes it, shortened to `most` characters.

    Example:
        >>> shown("x" * 100, 12), shown(16**5000)
        ("'xxxxxxxx...", 'a number of 20,001 bits')
    """
    try:
        text = repr(value)
    except ValueError:  # an integer with more digits than Python writes
        return t("runs.huge_number", bits=value.bit_length()) if isinstance(value, int) else type(value).__name__
    return text if len(text) <= most else text[: most - 3] + "..."


def flag_of(name: str) -> str:
    """Return a field's flag on the command line.

    Example:
        >>> flag_of("batch_size")
        '--batch-size'
    """
    return "--" + name.replace("_", "-")


def seconds_of(text: str) -> float:
    """Return the seconds of a duration such as `90`, `90s`, `10m`, `1h30m`.

    Raises:
        UsageError: the text is not a duration, or is zero.

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


def sizes_of(text: str) -> tuple[int, ...]:
    """Parse the sides of photos in training order: `64>96>128`, or with commas, which no shell interprets.

    Raises:
        UsageError: the text is not a list of whole numbers.

    Example:
        >>> sizes_of("64>96>128"), sizes_of("128")
        ((64, 96, 128), (128,))
    """
    try:
        return tuple(int(part) for part in text.replace(",", ">").split(">"))
    except ValueError:
        raise UsageError("training.bad_sizes", value=text) from None


def _option(field: Field[Any], hint: Any) -> Option:
    parts = [part for part in get_args(hint) if part is not type(None)] if get_origin(hint) is not Literal else []
    optional = len(parts) < len(get_args(hint)) if parts else False
    plain = parts[0] if optional else hint
    metadata = {**within(), **field.metadata}
    choices = get_args(plain) if get_origin(plain) is Literal else ()
    return Option(
        name=field.name,
        flag=flag_of(field.name),
        kind=_kind(plain, metadata["unit"]),
        choices=tuple(choices),
        optional=optional,
        default=None if field.default is MISSING else field.default,
        **metadata,
    )


def _kind(plain: Any, unit: str) -> Kind:
    if get_origin(plain) is Literal:
        return "choice"
    if get_origin(plain) is tuple:
        return "sizes"
    kinds: dict[type, Kind] = {bool: "flag", int: "whole", float: "duration" if unit == "s" else "number", str: "text"}
    return kinds[plain]


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer with hundreds of digits
        return False


def _plain(bound: float) -> str:
    if math.isinf(bound):
        return "∞" if bound > 0 else "-∞"
    return f"{bound:,.0f}" if bound == int(bound) and bound < 1e15 else f"{bound:g}"
