"""What the presets start from: a network and a loop that learn moons well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from thalweg.playground.case import Case
from thalweg.playground.loop import NO_FAULT
from thalweg.playground.settings import Settings


if TYPE_CHECKING:
    from collections.abc import Mapping

    from thalweg.playground.loop import Fault

_BASE: dict[str, Any] = {
    "points": "moons",
    "count": 600,
    "widths": (16, 16),
    "activation": "relu",
    "optimizer": "adam",
    "lr": 0.01,
    "batch": 48,
}


def preset(
    code: str,
    fault: Fault = NO_FAULT,
    *,
    steps: int = 150,
    repair: Mapping[str, Any] | None = None,
    mended: Fault = NO_FAULT,
    more: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Case:
    """A case that differs from the base in its fault and some settings.

    Args:
        code: of the verdict.
        fault: of the loop.
        steps: how many the case runs; percentages in a schedule refer to them.
        repair: the settings of the repaired twin, where they differ.
        mended: the fault that the repaired twin still has.
        more: other fields of `Case`.
        **settings: where they differ from the base.
    """
    made = Settings(**{**_BASE, "total": steps, **settings})
    return Case(
        code=code, settings=made, fault=fault, steps=steps, repair=dict(repair or {}), mended=mended, **(more or {})
    )
