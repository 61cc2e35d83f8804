"""Logs of JSON: one object a line, a list of objects, an object of lists, `trainer_state.json`, triples."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from thalweg.diagnosis.logs.log import Log, number, of_rows, of_series


if TYPE_CHECKING:
    from collections.abc import Mapping


def read_objects(text: str) -> Log | None:
    """Read a log of JSON; None if the text is none.

    Args:
        text: the file.
    """
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError):
        return _of_lines(text)
    return _of_whole(whole)


def _of_whole(whole: Any) -> Log | None:
    if isinstance(whole, dict):
        if isinstance(history := whole.get("log_history"), list):
            return of_rows("trainer_state", _flat_rows(history))
        lists = {name: values for name, values in whole.items() if isinstance(values, list)}
        longest = max(map(len, lists.values()), default=0)
        if lists and longest and all(number(value) is not None for values in lists.values() for value in values[:1]):
            rows = [{name: values[at] for name, values in lists.items() if at < len(values)} for at in range(longest)]
            return of_rows("json", rows)
        nested = next((_of_whole(values) for values in whole.values() if _holds_rows(values)), None)
        return nested or of_rows("json_lines", _flat_rows([whole]))
    if isinstance(whole, list):
        if whole and all(isinstance(one, list) and len(one) == 3 for one in whole):  # wall time, step, value
            pairs = [(number(step), number(value)) for _, step, value in whole]
            known = [(step, value) for step, value in pairs if step is not None and value is not None]
            return of_series("tensorboard_json", {"loss": known})
        return of_rows("json", _flat_rows(whole))
    return None


def _holds_rows(values: Any) -> bool:
    """Whether these are the rows of a log: a list of objects, or an object of lists."""
    if isinstance(values, dict):
        values = next(iter(values.values()), None)
        return isinstance(values, list) and bool(values) and number(values[0]) is not None
    return isinstance(values, list) and bool(values) and isinstance(values[0], dict)


def _of_lines(text: str) -> Log | None:
    """One object a line; a line that is none is counted, unless most are none."""
    lines = [line.strip().rstrip(",") for line in text.splitlines() if line.strip()]
    found, bad, last_bad = [], 0, False
    for line in lines:
        try:
            one = json.loads(line)
        except (ValueError, RecursionError):
            one = None
        last_bad = not isinstance(one, dict)
        bad += last_bad
        if isinstance(one, dict):
            found.append(one)
    if not found or len(found) <= bad - last_bad:
        return None
    notes = [f"cut:{len(found)}"] if last_bad else []
    notes += [f"damaged:{bad - last_bad}"] if bad - last_bad else []
    return of_rows("json_lines", _flat_rows(found), notes=notes)


def _flat_rows(rows: list[Any]) -> list[dict[str, Any]]:
    return [_flat(row) for row in rows if isinstance(row, dict)]


def _flat(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Objects in objects become names with slashes."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict) and prefix.count("/") < 8:
            found |= _flat(value, f"{prefix}{name}/")
        elif isinstance(value, list) and len(value) == 1:
            found[f"{prefix}{name}"] = value[0]
        else:
            found[f"{prefix}{name}"] = value
    return found
