"""One picture of paths on a surface: contour or 3-D, and beside it loss, gradient norm and effective rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matplotlib.lines import Line2D

from thalweg.figures.lab.charts import draw_chart
from thalweg.figures.lab.contour import CRITICAL
from thalweg.figures.lab.scene import make_scene
from thalweg.figures.lab.stage import Stage, View
from thalweg.figures.lab.texts import event_summary, formula_of, title_of, wrapped
from thalweg.figures.style import INK, QUIET, literal, picture
from thalweg.i18n import t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path as File

    from matplotlib.figure import Figure, SubFigure

    from thalweg.figures.lab.scene import Scene
    from thalweg.paths import Path
    from thalweg.surfaces import Surface

_KEPT: Final = 4_000
_COLUMNS: Final = 105  # of a line below the charts


def draw_surface(surface: Surface, paths: Sequence[Path], file: File, *, view: View = "contour") -> None:
    r"""Draw a surface and the paths on it as PNG.

    Args:
        surface: what is drawn.
        paths: none to eight paths on this surface; without any, the surface alone is drawn.
        file: where to write; replaced whole or not at all.
        view: `contour` from above, or `3d`.

    Raises:
        UsageError: more than eight paths.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> file = Path(tempfile.mkdtemp()) / "bowl.png"
        >>> draw_surface(bowl, [paths.trace(bowl, "adam", lr=0.1, steps=100)], file)
        >>> file.read_bytes()[:4]
        b'\x89PNG'
    """
    scene = make_scene(surface, paths, limit=_KEPT)
    if not paths:
        with picture(file, width=8.4, height=7) as figure:
            Stage(figure, scene, view)
            _draw_title(figure, surface, longest=60)
            draw_key(figure, scene)
        return
    with picture(file, width=15, height=8.4) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(10, 9), squeeze=False)[0]
        Stage(left, scene, view).show(len(scene.kept.steps_K) - 1)
        for axes, chart in zip(right.subplots(2, 2).flat, scene.charts, strict=True):
            draw_chart(axes, chart, scene)
        _draw_title(figure, surface, longest=110)
        draw_key(left, scene)
        notes = [*_happened(scene), scene.kept.note]
        right.supxlabel(wrapped(notes, _COLUMNS), x=0.02, ha="left", fontsize=8.5, color=QUIET)


def _happened(scene: Scene) -> list[str]:
    """What happened on each path, as one paragraph."""
    told = [
        t("lab.told", label=look.label, words=", ".join(words for _, words in event_summary(path)))
        for path, look in zip(scene.paths, scene.looks, strict=True)
        if path.events
    ]
    return [" · ".join(told)] if told else []


def _draw_title(figure: Figure, surface: Surface, *, longest: int) -> None:
    title = f"{title_of(surface)}:  {formula_of(surface, longest=longest)}"
    figure.suptitle(literal(title), x=0.01, ha="left")


def draw_key(home: Figure | SubFigure, scene: Scene) -> None:
    """What lines and marks mean, below the picture, where it covers nothing."""
    rules = [
        Line2D([], [], color=look.color, linestyle=look.dashes, marker=look.marker, label=look.label, linewidth=1.8)
        for look in scene.looks
    ]
    found = {point.kind for point in scene.surface.critical_points}
    points = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker=marks["marker"],
            markerfacecolor=marks["facecolor"],
            markeredgecolor=INK,
            label=t(f"lab.critical_{kind}"),
        )
        for kind, marks in CRITICAL.items()
        if kind in found
    ]
    if rules or points:
        home.legend(handles=[*rules, *points], loc="outside lower center", ncols=5, handlelength=3.2)
