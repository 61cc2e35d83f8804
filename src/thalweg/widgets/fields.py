"""Settings as the fields of the page's address, in the page's own spelling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UsageError
from thalweg.i18n import joined


if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

LAB: Final[dict[str, Any]] = {
    "surface": "valley",
    "parameters": {},
    "optimizers": ("sgd", "adagrad", "rmsprop", "adam"),
    "steps": 2_000,
    "noise": 0.0,
    "seed": 0,
    "start": None,
}
"""The settings of the lab, and their defaults."""


def rows_of(optimizers: Sequence[str | dict[str, Any]] | str) -> list[dict[str, Any]]:
    """Optimizers as the page sends them.

    Args:
        optimizers: names, or `optimizer`, `lr` and `schedule` of each.

    Example:
        >>> rows_of(["sgd", {"optimizer": "adam", "lr": 0.1}])[1]
        {'optimizer': 'adam', 'lr': 0.1, 'schedule': 'constant'}
    """
    given = [optimizers] if isinstance(optimizers, str) else optimizers
    rows = [{"optimizer": row} if isinstance(row, str) else dict(row) for row in given]
    return [{"optimizer": "", "lr": None, "schedule": "constant"} | row for row in rows]


def lab_fields(settings: dict[str, Any]) -> dict[str, str | None]:
    """The lab's settings as fields; an empty one is None.

    Example:
        >>> lab_fields(LAB | {"optimizers": rows_of(["adam"]), "start": [1.0, 2.0]})["optimizers"]
        'adam::constant'
    """
    rows = [
        ":".join(("" if part is None else _text(part)) for part in (row["optimizer"], row["lr"], row["schedule"]))
        for row in settings["optimizers"]
    ]
    parameters = settings["parameters"] or {}
    return {
        "surface": str(settings["surface"]),
        "parameters": ", ".join(f"{name}={_text(value)}" for name, value in parameters.items()) or None,
        "optimizers": ";".join(rows),
        "steps": str(settings["steps"]),
        "noise": _text(settings["noise"]) if settings["noise"] else None,
        "seed": str(settings["seed"]) if settings["seed"] else None,
        "start": ",".join(map(_text, settings["start"])) if settings["start"] else None,
    }


def network_fields(settings: dict[str, Any]) -> dict[str, str | None]:
    """A network's settings as fields.

    Example:
        >>> network_fields({"widths": [8, 4], "drawn": [[0.5, 1, 0]], "lr": 0.1})
        {'widths': '8-4', 'drawn': '0.5_1_0', 'lr': '0.1'}
    """
    return {name: _field(name, value) for name, value in settings.items()}


def _field(name: str, value: Any) -> str | None:
    if name == "widths":
        return "-".join(map(str, value)) or "0"
    if name == "drawn":
        return "*".join("_".join(map(_text, point)) for point in value) or None
    return _text(value)


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def refuse_unknown(settings: dict[str, Any], known: Collection[str]) -> None:
    """Refuse settings whose names are not known.

    Raises:
        UsageError: one is not.
    """
    for name in settings:
        if name not in known:
            raise UsageError("playground.unknown_setting", name=name, known=joined(sorted(known)))
