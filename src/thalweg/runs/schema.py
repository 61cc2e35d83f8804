"""Schemas of the files in a run, checked on reading.

A run's folder travels: it is copied, cut off by a full disk, edited by hand, written by another version. Each table is
checked against its schema once, so that the rest of the code can rely on types and ranges.
"""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, get_args

import numpy as np

from thalweg.data.rendering import KINDS, Ground
from thalweg.errors import RunError
from thalweg.i18n import t
from thalweg.runs.options import shown


if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Check = Callable[[Any], bool]

_LARGEST_FILE: Final = 1 << 26  # bytes of a table: the check of a million photos takes less
_MOST_PHOTOS: Final = 1 << 40
_MOST_CLASSES: Final = 1 << 24  # where the names are unknown


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a table.

    Attributes:
        check: whether a value is valid.
        wanted: the expected kind of value, as a key of the catalogue (`runs.wanted_...`).
        required: whether the table must have it.
    """

    check: Check
    wanted: str
    required: bool = True


def text(*, required: bool = True) -> Entry:
    """A text."""
    return Entry(lambda value: isinstance(value, str), "text", required)


def whole(least: int = 0, most: int = _MOST_PHOTOS, *, required: bool = True) -> Entry:
    """A whole number in a range."""
    return Entry(lambda value: _is_number(value, whole=True) and least <= value <= most, "whole", required)


def number(least: float = -math.inf, most: float = math.inf, *, required: bool = True, finite: bool = True) -> Entry:
    """A number in a range."""

    def check(value: Any) -> bool:
        if value is None:
            return not finite  # JSON has no NaN: such a loss is null
        return _is_number(value, finite=finite) and (least <= value <= most or not math.isfinite(value))

    return Entry(check, "number", required)


def numbers(length: int | None = None, *, least: float = -math.inf, required: bool = True) -> Entry:
    """A list of finite numbers."""

    def check(value: Any) -> bool:
        right = isinstance(value, list) and all(_is_number(part) and part >= least for part in value)
        return right and (length is None or len(value) == length)

    return Entry(check, "numbers", required)


def texts(*, fewest: int = 0, required: bool = True) -> Entry:
    """A list of texts."""

    def check(value: Any) -> bool:
        return isinstance(value, list) and len(value) >= fewest and all(isinstance(part, str) for part in value)

    return Entry(check, "texts", required)


def one_of(*choices: str, required: bool = True) -> Entry:
    """One of several words."""
    return Entry(lambda value: isinstance(value, str) and value in choices, "choice", required)


def levels(kinds: Sequence[str]) -> Entry:
    """A table of the numbers that become black and white, by kind of picture; black is below white."""
    pair = numbers(2)

    def check(value: Any) -> bool:
        return isinstance(value, dict) and all(
            kind in kinds and pair.check(bounds) and bounds[0] < bounds[1] for kind, bounds in value.items()
        )

    return Entry(check, "levels", required=False)


def by_name(*, required: bool = True) -> Entry:
    """A table of numbers under any names; None stands for a number that is unknown."""

    def check(value: Any) -> bool:
        return isinstance(value, dict) and all(part is None or _is_number(part) for part in value.values())

    return Entry(check, "by_name", required)


def table(schema: Mapping[str, Entry], *, required: bool = True) -> Entry:
    """A table inside the table; None means that it is absent."""

    def check(value: Any) -> bool:
        if value is None:
            return not required
        return isinstance(value, dict) and all(_fits(value, name, entry) for name, entry in schema.items())

    return Entry(check, "table", required)


RENDERING: Final = {"levels": levels(KINDS), "ground": one_of(*get_args(Ground), required=False)}
WEIGHTS: Final = {
    "source": text(),
    "network": text(required=False),
    "license": text(required=False),
    "url": text(required=False),
    "digest": text(required=False),
    "share": number(0, 1),
    "head": one_of("new", "kept"),
    "known": one_of("card", "file", "run", "test", "photos"),
    "size": whole(1, 4096, required=False),
    "interpolation": text(required=False),
    "crop": number(0, 1, required=False),
}
CORRECTIONS: Final = {"digest": text(), "relabeled": whole(), "kept": whole(), "dropped": whole()}
DATA: Final = {
    "path": text(),
    "layout": text(),
    "classes": texts(fewest=2),
    "fingerprint": text(),
    "stored": whole(1, 8192),
    "mean": numbers(3),
    "std": numbers(3, least=1e-9),
    "class_shares": numbers(least=0.0),
    "train": whole(1),
    "valid": whole(1),
    "test": whole(),
    "bad": whole(required=False),
    "weights": table(WEIGHTS, required=False),
    "corrections": table(CORRECTIONS, required=False),
    **RENDERING,
}
ENVIRONMENT: Final = {
    "device": text(),
    "threads": whole(1, 1024),
    "precision": one_of("fp32", "bf16"),
    "layout": one_of("channels-first", "channels-last"),
}
_SCORE: Final = table(
    {
        "loss": number(finite=False),
        "accuracy": number(0, 1),
        "count": whole(1),
        **{
            name: number(0, 1, required=False)
            for name in ("top5_accuracy", "mean_average_precision", "micro_f1", "macro_f1")
        },
    },
    required=False,
)
SUMMARY: Final = {
    "stopped": text(),
    "epochs": whole(),
    "steps": whole(),
    "best_epoch": whole(required=False),
    "kept_epoch": whole(required=False),
    "temperature": number(1e-6, 1e6, required=False),
    "thresholds": numbers(least=0.0, required=False),
    "valid": _SCORE,
    "test": _SCORE,
    "seconds": table({"total": number(0)}),
    "messages": texts(required=False),
}

STATE: Final = {
    "step": whole(),
    "epoch": whole(),
    "batch": whole(),
    "seconds": number(0),
    "best_accuracy": number(-1, 1),
    "best_loss": number(finite=False),
    "best_epoch": whole(),
    "fitted": whole(required=False),
    "valid_losses": numbers(),
    "sums": table({"loss": number(finite=False), "right": number(0), "photos": whole()}),
}
LAST: Final = {
    "state": table(STATE),
    "optimizer": table({}),
    "clock": table({"first_step_at": number(0), "reserve": number(0), "spent": by_name(required=False)}),
}
KEPT: Final = {"epoch": whole()}


def checked(values: Any, schema: Mapping[str, Entry], path: Path, name: str = "") -> dict[str, Any]:
    """Return the table if it matches its schema; entries that the schema does not name are kept.

    Args:
        values: the parsed table.
        schema: maps names to entries.
        path: the file, for the message.
        name: name of the table in the file.

    Raises:
        RunError: an entry is missing, has the wrong type or is out of range; names the first.
    """
    if not isinstance(values, dict):
        value = t("runs.wanted_missing") if values is None else shown(values)
        raise RunError("runs.damaged", path=path, name=name or path.name, value=value, wanted=t("runs.wanted_table"))
    for key, entry in schema.items():
        if not _fits(values, key, entry):
            value = shown(values[key]) if key in values else t("runs.wanted_missing")
            place = f"{name}.{key}" if name else key
            raise RunError("runs.damaged", path=path, name=place, value=value, wanted=t(f"runs.wanted_{entry.wanted}"))
    return values


def check_sizes(training: Any, stored: int, file: Path) -> None:
    """Refuse sizes beyond that of the cached photos: no run enlarges its photos, and memory grows with the square."""
    values = training if isinstance(training, dict) else {}
    for name in ("size", "smaller_sizes"):
        given = values.get(name)
        for side in given if isinstance(given, list) else [given]:
            if isinstance(side, int) and side > stored:
                wanted = t("runs.wanted_at_most", most=stored)
                raise RunError("runs.damaged", path=file, name=name, value=shown(side), wanted=wanted)


def to_toml(form: int, tables: Mapping[str, Mapping[str, Any]]) -> str:
    """A TOML file of tables.

    Args:
        form: the value of `format`.
        tables: name to entries.
    """
    return f"format = {form}\n" + "".join(_table(*item) for item in tables.items())


def _table(name: str, values: Mapping[str, Any]) -> str:
    return f"\n[{name}]\n" + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items())


def _toml(value: Any) -> str:
    """Format a value: TOML's basic strings, numbers, booleans and arrays are JSON's, except for two spellings."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file.

    Raises:
        RunError: no such file, or it cannot be parsed.
    """
    return _parsed(path, tomllib.loads)


def read_json(path: Path) -> Any:
    """Parse a JSON file; NaN and infinities become None.

    Raises:
        RunError: no such file, or it cannot be parsed.
    """
    return _parsed(path, lambda content: json.loads(content, parse_constant=lambda _name: None))


def check_outputs(arrays: Mapping[str, NDArray[Any]], classes: int | None, path: Path) -> dict[str, NDArray[Any]]:
    """Check the evaluation's arrays: `logits` (N, C), `labels`, and features (N, D) if present.

    Labels are (N,) in [0, C), or of several labels (N, C), each 0 or 1. Instead of logits that would be large, there
    are `top_classes` and `top_probabilities` (N, K), `plain` and `rank` (N,); `thalweg.runs.answers` has the details.

    Args:
        arrays: by name.
        classes: C; None: taken from the logits.
        path: the file, for the message.

    Raises:
        RunError: an array is missing, has the wrong shape, or is not finite.
    """
    labels = arrays.get("labels")
    right = (
        labels is not None
        and len(labels) > 0
        and labels.dtype.kind in "iu"
        and (_are_logits if "logits" in arrays else _are_answers)(arrays, labels, classes)
        and all(arrays[tap].ndim == 2 and len(arrays[tap]) == len(labels) for tap in ("mid", "top") if tap in arrays)
    )
    if not right:
        raise RunError("runs.outputs_do_not_fit", path=path)
    return dict(arrays)


def _are_logits(arrays: Mapping[str, NDArray[Any]], labels: NDArray[np.integer], classes: int | None) -> bool:
    logits_NC = arrays["logits"]
    return (
        logits_NC.ndim == 2
        and labels.shape in (logits_NC.shape[:1], logits_NC.shape)
        and logits_NC.shape[1] == (classes or logits_NC.shape[1])
        and logits_NC.dtype.kind == "f"
        and _are_in(labels, 2 if labels.ndim > 1 else logits_NC.shape[1])
        and bool(np.isfinite(logits_NC).all())
    )


def _are_answers(arrays: Mapping[str, NDArray[Any]], labels_N: NDArray[np.integer], classes: int | None) -> bool:
    found = [arrays.get(name) for name in ("top_classes", "top_probabilities", "plain", "rank")]
    if any(one is None for one in found):
        return False
    top_NK, probability_NK, plain_N, rank_N = (np.asarray(one) for one in found)
    most = _MOST_CLASSES if classes is None else classes
    return (
        labels_N.ndim == 1
        and top_NK.ndim == 2
        and top_NK.shape[1] > 0
        and top_NK.shape == probability_NK.shape
        and plain_N.shape == rank_N.shape == labels_N.shape == top_NK.shape[:1]
        and top_NK.dtype.kind == rank_N.dtype.kind == "i"
        and probability_NK.dtype.kind == plain_N.dtype.kind == "f"
        and all(_are_in(values, most) for values in (labels_N, top_NK, rank_N))
        and all(bool(((values >= 0) & (values <= 1)).all()) for values in (probability_NK, plain_N))
    )


def _are_in(values: NDArray[np.integer], count: int) -> bool:
    """Whether all values are numbers of so many things."""
    return bool(((values >= 0) & (values < count)).all())


def _parsed(path: Path, parse: Callable[[str], Any]) -> Any:
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise RunError("runs.not_readable", path=path, reason=t("runs.too_large"))
        return parse(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise RunError("runs.not_readable", path=path, reason=t("runs.too_deep")) from error
    except OSError as error:
        raise RunError("runs.not_readable", path=path, reason=error.strerror or error) from error
    except ValueError as error:  # TOML's, JSON's and Unicode's errors are ValueErrors
        raise RunError("runs.not_readable", path=path, reason=error) from error


def _fits(values: Mapping[str, Any], key: str, entry: Entry) -> bool:
    if key not in values:
        return not entry.required
    return entry.check(values[key])


def _is_number(value: Any, *, whole: bool = False, finite: bool = True) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return False
    try:
        return math.isfinite(value) or not finite
    except OverflowError:  # an integer with hundreds of digits
        return False
