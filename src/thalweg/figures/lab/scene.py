"""A surface and paths on it, ready to be drawn as PNG, GIF or page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thalweg.figures.lab.columns import CHARTS, charts_of, columns_of
from thalweg.figures.lab.decimation import keep_steps
from thalweg.figures.lab.looks import looks_of
from thalweg.figures.lab.relief import relief_of


if TYPE_CHECKING:
    from collections.abc import Sequence

    from thalweg.figures.lab.columns import Chart, Columns
    from thalweg.figures.lab.decimation import Kept
    from thalweg.figures.lab.looks import Look
    from thalweg.figures.lab.relief import Relief
    from thalweg.paths import Path
    from thalweg.surfaces import Surface


@dataclass(frozen=True)
class Scene:
    """What every picture of paths on a surface shows.

    Attributes:
        surface: what the paths run on.
        paths: none to eight.
        looks: one a path.
        relief: the surface's values over its window.
        kept: the steps that are drawn.
        columns: each path's numbers at these steps.
        shown: the columns that have a chart.
    """

    surface: Surface
    paths: Sequence[Path]
    looks: Sequence[Look]
    relief: Relief
    kept: Kept
    columns: Sequence[Columns]
    shown: Sequence[str] = CHARTS

    @property
    def charts(self) -> list[Chart]:
        """The charts beside the picture."""
        return charts_of(self.columns, self.relief, self.shown)


def make_scene(surface: Surface, paths: Sequence[Path], *, limit: int, side: int = 385) -> Scene:
    """Make ready what is drawn.

    Args:
        surface: any.
        paths: none to eight paths on this surface.
        limit: how many steps may be drawn.
        side: grid points a side of the surface's relief.

    Raises:
        UsageError: more than eight paths.
    """
    looks = looks_of(paths)
    kept = keep_steps(paths, limit=limit)
    return Scene(
        surface, paths, looks, relief_of(surface, side=side), kept, [columns_of(p, kept.steps_K) for p in paths]
    )
