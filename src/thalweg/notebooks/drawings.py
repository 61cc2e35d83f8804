"""Figures of runs, traces and searches, to show inline or to change with matplotlib."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from thalweg.figures.lab.axes import SurfaceAxes
from thalweg.figures.lab.scene import make_scene
from thalweg.figures.rate_sweep import draw_rate_sweep
from thalweg.figures.style import Kept, drawing
from thalweg.figures.traces import draw_surface
from thalweg.report.drawing import figure_of


if TYPE_CHECKING:
    from thalweg.figures.style import Picture
    from thalweg.paths import Trace
    from thalweg.rate import RateSweep
    from thalweg.runs import Run

SMALL_DPI = 110  # of a picture within the HTML of an object
_WIDTH, _HEIGHT = 5.0, 4.3  # inches of the small picture of a path
_KEPT = 2_000  # of its steps


def run(shown: Run, name: str) -> Picture:
    """Draw one of a run's pictures.

    Args:
        shown: the run.
        name: one of `runs.files.PICTURES`.
    """
    return figure_of(shown, name)


def trace(shown: Trace) -> Picture:
    """Draw the surface, the path on it, and its charts."""
    kept = Kept()
    draw_surface(shown.surface, [shown], kept)
    return kept.figure


def rate_sweep(shown: RateSweep) -> Picture:
    """Draw a search for a learning rate."""
    kept = Kept()
    draw_rate_sweep(kept, shown)
    return kept.figure


def path_png(shown: Trace) -> bytes:
    """The path on its surface, small: the content of a PNG file."""
    scene = make_scene(shown.surface, [shown], limit=_KEPT)
    content = io.BytesIO()
    with drawing(width=_WIDTH, height=_HEIGHT, dpi=SMALL_DPI) as figure:
        SurfaceAxes(figure, scene, "contour").show(len(scene.kept.steps_K) - 1)
        figure.savefig(content, format="png", metadata={"Software": None})
    return content.getvalue()
