"""The first line of a history's file: JSON that names the columns and their units."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from thalweg.errors import RunError


if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MAGIC = "thalweg-history-1"
_LONGEST_HEADER = 1 << 24  # bytes; that of a network with 200 layers has 30,000: only bounds files that are no history


def header_of(units: Mapping[str, str]) -> bytes:
    """The first line of a history with these columns."""
    return (json.dumps({"format": _MAGIC, "units": dict(units)}) + "\n").encode()


def read_header(path: Path) -> tuple[dict[str, str], int]:
    """The units by column name, and the byte at which the rows begin.

    Raises:
        RunError: the file cannot be read or is not a history.
    """
    try:
        with path.open("rb") as file:
            line = file.readline(_LONGEST_HEADER)
    except OSError as error:
        raise RunError("history.unreadable", path=path, reason=error.strerror or error) from error
    try:
        header = json.loads(line)
        found, units = header["format"], header["units"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError("history.not_a_history", path=path) from error
    named = isinstance(units, dict) and all(isinstance(unit, str) for unit in units.values())
    if found != _MAGIC or not named or next(iter(units), None) != "step":
        raise RunError("history.not_a_history", path=path)
    return units, len(line)
