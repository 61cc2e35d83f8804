"""A scene: a surface and the traces on it, with everything that a picture, an animation or a page shows of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from thalweg.errors import UsageError
from thalweg.figures.lab.columns import CHARTS, charts_of, columns_of
from thalweg.figures.lab.decimation import keep_steps
from thalweg.figures.lab.heightmap import heightmap_of
from thalweg.figures.style import BLACK, BLUE, ORANGE, SERIES, SKY, YELLOW
from thalweg.optimizers.reading import text_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.figures.lab.columns import Chart, Columns
    from thalweg.figures.lab.decimation import Kept
    from thalweg.figures.lab.heightmap import Heightmap
    from thalweg.paths import Trace
    from thalweg.surfaces import Surface

MOST: Final = len(SERIES)

# Open shapes need more room to look as large as a disk.
_SIZES: Final = {"P": 1.25, "X": 1.25, "*": 1.6, "D": 0.9}

# On white and on pale grey, these have less than the 3:1 contrast that a line needs.
_ON_LIGHT: Final = {ORANGE: "#A86B00", SKY: "#2F8DC6", YELLOW: "#857B00"}
_ON_DARK: Final = {BLACK: "#F2F4F6", BLUE: "#3D95D8"}


@dataclass(frozen=True)
class Style:
    """How one trace is drawn, the same in every picture.

    Attributes:
        label: its name.
        color: on a light background.
        color_on_dark: on a dark background.
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


@dataclass(frozen=True, eq=False)
class Scene:
    """What every picture of traces on a surface shows; what is costly is computed when it is first asked for.

    Attributes:
        surface: the surface; its window is what pictures show.
        traces: none to eight.
        labels: a name for each trace.
        kept: the steps that are drawn.
        shown: the columns that have a chart.
    """

    surface: Surface
    traces: Sequence[Trace]
    labels: Sequence[str]
    kept: Kept
    shown: Sequence[str] = CHARTS

    @cached_property
    def styles(self) -> list[Style]:
        """A style for each trace.

        Raises:
            UsageError: more than eight traces; more cannot be told apart.
        """
        return styles_of(self.labels)

    @cached_property
    def heightmap(self) -> Heightmap:
        """The surface's values over its window, with the levels of the contour lines."""
        return heightmap_of(self.surface)

    @cached_property
    def columns(self) -> list[Columns]:
        """Each trace's numbers at the kept steps."""
        return [columns_of(trace, self.kept.steps_K) for trace in self.traces]

    @cached_property
    def charts(self) -> list[Chart]:
        """The charts beside the picture."""
        return charts_of(self.columns, self.heightmap, self.shown)


def make_scene(
    surface: Surface,
    traces: Sequence[Trace],
    *,
    limit: int,
    labels: Sequence[str] | None = None,
    shown: Sequence[str] = CHARTS,
) -> Scene:
    """A scene of traces on a surface.

    Args:
        surface: any.
        traces: on this surface; a scene that is drawn may have eight.
        limit: how many steps may be drawn, at least 8.
        labels: a name for each trace; those of `labels_of` when not given.
        shown: the columns that have a chart.

    Example:
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> scene = make_scene(bowl, [paths.trace(bowl, "adam", lr=0.1, steps=100)], limit=1000)
        >>> [style.label for style in scene.styles], len(scene.columns[0]["loss"])
        (['adam'], 101)
    """
    return Scene(surface, traces, labels or labels_of(traces), keep_steps(traces, limit=limit), shown)


def styles_of(labels: Sequence[str]) -> list[Style]:
    """A style for each label, the same in every picture.

    Raises:
        UsageError: more than eight; more cannot be told apart.
    """
    if len(labels) > MOST:
        raise UsageError("lab.too_many_optimizers", count=len(labels), most=MOST)
    return [
        Style(
            label=label,
            color=_ON_LIGHT.get(series.color, series.color),
            color_on_dark=_ON_DARK.get(series.color, series.color),
            dashes=series.dashes,
            marker=series.marker,
            size=_SIZES.get(series.marker, 1.0),
        )
        for label, series in zip(labels, SERIES, strict=False)
    ]


def labels_of(traces: Sequence[Trace], schedules: Sequence[str] | None = None) -> list[str]:
    """A name for each trace: the optimizer's with its own settings, and rate or schedule where its namesakes differ.

    Example:
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> traces = [paths.trace(bowl, "adam", lr=lr, steps=1) for lr in (0.1, 0.2)]
        >>> labels_of([paths.trace(bowl, "sgd", steps=1), *traces])
        ['sgd', 'adam η=0.1', 'adam η=0.2']
    """
    given = schedules or [""] * len(traces)
    words = [
        (text_of(trace.optimizer), trace.optimizer.name, f"η={trace.lr:g}", text)
        for trace, text in zip(traces, given, strict=True)
    ]
    labels = []
    for word in words:
        namesakes = [other for other in words if other[1] == word[1]]
        telling = [word[place] for place in (2, 3) if len({other[place] for other in namesakes}) > 1]
        labels.append(" ".join([word[0], *telling]))
    return labels
