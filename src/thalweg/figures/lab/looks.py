"""How each path looks, the same in every picture: color by light and by dark ground, dash, marker, name.

On white and on pale grey, orange, sky and yellow have less than the 3:1 contrast that a line needs, and are drawn
darker; on a dark ground, black and blue are drawn lighter.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from thalweg.errors import UsageError
from thalweg.figures.style import BLACK, BLUE, ORANGE, SERIES, SKY, YELLOW


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.paths import Path

MOST: Final = len(SERIES)

# Open shapes need more room to look as large as a disk.
_SIZES: Final = {"P": 1.25, "X": 1.25, "*": 1.6, "D": 0.9}

_ON_LIGHT: Final = {ORANGE: "#A86B00", SKY: "#2F8DC6", YELLOW: "#857B00"}
_ON_DARK: Final = {BLACK: "#F2F4F6", BLUE: "#3D95D8"}


@dataclass(frozen=True)
class Look:
    """One path's looks.

    Attributes:
        label: the rule's name, with its rate where two paths share the name.
        color: on a light ground.
        color_on_dark: on a dark ground.
        dashes: matplotlib's (offset, (on, off, ...)).
        marker: matplotlib's sign.
        size: of the marker, where a disk has 1.
    """

    label: str
    color: str
    color_on_dark: str
    dashes: tuple[float, tuple[float, ...]]
    marker: str
    size: float


def looks_of(paths: Sequence[Path]) -> list[Look]:
    """Give each path its looks, in the order of the paths.

    Raises:
        UsageError: more than eight paths; more cannot be told apart.
    """
    if len(paths) > MOST:
        raise UsageError("lab.too_many_rules", count=len(paths), most=MOST)
    return [
        Look(
            label=label,
            color=_ON_LIGHT.get(series.color, series.color),
            color_on_dark=_ON_DARK.get(series.color, series.color),
            dashes=series.dashes,
            marker=series.marker,
            size=_SIZES.get(series.marker, 1.0),
        )
        for label, series in zip(labels_of(paths), SERIES, strict=False)
    ]


def labels_of(paths: Sequence[Path]) -> list[str]:
    """The rules' names; those that come more than once also carry their rate."""
    times = Counter(path.rule.name for path in paths)
    return [path.rule.name if times[path.rule.name] == 1 else f"{path.rule.name} η={path.lr:g}" for path in paths]
