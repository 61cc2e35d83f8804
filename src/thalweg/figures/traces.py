"""Traces on a surface, as a picture (PNG) or an animation (GIF), with charts beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from PIL import Image

from thalweg._files import replacing
from thalweg.figures.formulas import ROW, formula_rows, write_formulas
from thalweg.figures.lab.axes import SurfaceAxes, View, draw_chart
from thalweg.figures.lab.background import CRITICAL, PALE
from thalweg.figures.lab.scene import make_scene
from thalweg.figures.lab.texts import event_summary, formula_of, title_of, wrapped
from thalweg.figures.style import INK, QUIET, drawing, literal, picture
from thalweg.formulas import formula_of_optimizer
from thalweg.i18n import joined, t


if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    from thalweg.figures.lab.scene import Scene
    from thalweg.figures.style import Target
    from thalweg.paths import Trace
    from thalweg.surfaces import Surface

_KEPT: Final = 4_000
_PICTURE: Final = (15.0, 8.4)  # inches, without formulas
_MOST_ROWS: Final = 6  # of formulas: more would crowd the picture
_COLUMNS: Final = 105  # characters per line below the charts

_WIDTH, _HEIGHT, _DPI = 11.0, 6.2, 90  # of an animation: inches, and pixels per inch
_FRAMES: Final = 100
_KEPT_MOVING: Final = 2_000
_FRAME_MS: Final = 80
_LAST_MS: Final = 2_500
_BLENDS: Final = 8  # shades of a trace's color against white: the edges of its line
_GREYS: Final = 60


def draw_surface(surface: Surface, traces: Sequence[Trace], file: Target, *, view: View = "contour") -> None:
    r"""Draw a surface and the traces on it as PNG.

    Args:
        surface: the surface.
        traces: none to eight traces on this surface; without any, the surface alone is drawn.
        file: is replaced whole or not at all; or a `Kept`.
        view: `contour` from above, or `3d`.

    Raises:
        UsageError: more than eight traces.
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
    scene = make_scene(surface, traces, limit=_KEPT)
    if not traces:
        with picture(file, width=8.4, height=7) as figure:
            SurfaceAxes(figure, scene, view)
            _draw_title(figure, surface, longest=60)
            draw_key(figure, scene)
        return
    rows = formula_rows([formula_of_optimizer(trace.optimizer) for trace in traces], _PICTURE[0])
    rows = rows if len(rows) <= _MOST_ROWS else []
    with picture(file, width=_PICTURE[0], height=_PICTURE[1] + ROW * len(rows)) as figure:
        left, right = figure.subfigures(1, 2, width_ratios=(10, 9), squeeze=False)[0]
        SurfaceAxes(left, scene, view).show(len(scene.kept.steps_K) - 1)
        for axes, chart in zip(right.subplots(2, 2).flat, scene.charts, strict=True):
            draw_chart(axes, chart, scene)
        _draw_title(figure, surface, longest=110)
        draw_key(left, scene)
        notes = [*_happened(scene), scene.kept.note]
        right.supxlabel(wrapped(notes, _COLUMNS), x=0.02, ha="left", fontsize=8.5, color=QUIET)
        write_formulas(figure, rows)


def animate_surface(surface: Surface, traces: Sequence[Trace], file: Path | str, *, view: View = "contour") -> None:
    """Write an animation of the traces as GIF: at most 100 frames of 990 × 558 pixels.

    The frames are evenly spaced on the step axis, which is logarithmic for long traces.

    Args:
        surface: the surface that the traces run on.
        traces: one to eight traces on this surface.
        file: is replaced whole or not at all.
        view: `contour` from above, or `3d`.

    Raises:
        UsageError: more than eight traces.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> file = Path(tempfile.mkdtemp()) / "bowl.gif"
        >>> animate_surface(bowl, [paths.trace(bowl, "adam", lr=0.5, steps=3)], file)
        >>> file.read_bytes()[:6]
        b'GIF89a'
    """
    scene = make_scene(surface, traces, limit=_KEPT_MOVING)
    with drawing(width=_WIDTH, height=_HEIGHT, dpi=_DPI) as figure:
        frames = [Image.fromarray(frame_HW3) for frame_HW3 in _frames(figure, scene, view)]
    palette = _palette(scene)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    durations = [_FRAME_MS] * len(rest) + [_LAST_MS]
    with replacing(file) as temporary:
        first.save(temporary, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)


def _happened(scene: Scene) -> list[str]:
    """The events of all traces, as one paragraph."""
    told = [
        t("lab.told", label=label, words=joined(words for _, words in event_summary(trace)))
        for trace, label in zip(scene.traces, scene.labels, strict=True)
        if trace.events
    ]
    return [" · ".join(told)] if told else []


def _draw_title(figure: Figure, surface: Surface, *, longest: int) -> None:
    title = f"{title_of(surface)}:  {formula_of(surface, longest=longest)}"
    figure.suptitle(literal(title), x=0.01, ha="left")


def draw_key(home: Figure | SubFigure, scene: Scene) -> None:
    """Draw a legend of lines and marks below the picture, where it covers nothing."""
    optimizers = [
        Line2D([], [], color=style.color, linestyle=style.dashes, marker=style.marker, label=style.label, linewidth=1.8)
        for style in scene.styles
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
    if optimizers or points:
        home.legend(handles=[*optimizers, *points], loc="outside lower center", ncols=5, handlelength=3.2)


def frame_indices(steps_K: NDArray[np.int64], *, logarithmic: bool, most: int = _FRAMES) -> NDArray[np.int64]:
    """Choose the kept steps that become frames: evenly on the step axis, always with the first and the last.

    Example:
        >>> frame_indices(np.arange(11), logarithmic=False, most=3).tolist()
        [0, 5, 10]
    """
    forward, backward = (np.log1p, np.expm1) if logarithmic else (np.asarray, np.asarray)
    wanted_F = backward(np.linspace(0.0, forward(float(steps_K[-1])), most))
    return np.unique(np.clip(np.searchsorted(steps_K, np.rint(wanted_F)), 0, len(steps_K) - 1))


def _frames(figure: Figure, scene: Scene, view: View) -> Iterator[NDArray[np.uint8]]:
    """Draw the fixed parts once, and the moving parts on copies of them."""
    left, right = figure.subfigures(1, 2, width_ratios=(10, 7), squeeze=False)[0]
    surface_axes = SurfaceAxes(left, scene, view)
    panels = right.subplots(2, 1)
    for axes, chart in zip(panels, scene.charts[:2], strict=True):
        draw_chart(axes, chart, scene)
    cursors = [_cursor(axes) for axes in panels]
    figure.suptitle(literal(f"{title_of(scene.surface)}:  {formula_of(scene.surface, longest=60)}"), x=0.01, ha="left")
    counter = right.supxlabel(" ", x=0.98, ha="right", fontsize=13, color=INK)
    draw_key(left, scene)
    canvas = FigureCanvasAgg(figure)
    for cursor in cursors:
        cursor.set_animated(True)  # not part of the fixed picture
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for index in frame_indices(scene.kept.steps_K, logarithmic=scene.kept.logarithmic):
        step = scene.kept.steps_K[index]
        canvas.restore_region(background)
        moving = surface_axes.show(int(index))
        for artist in moving:
            surface_axes.axes.draw_artist(artist)
        for axes, cursor in zip(panels, cursors, strict=True):
            cursor.set_xdata([step, step])
            axes.draw_artist(cursor)
        counter.set_text(t("lab.frame_step", step=f"{step:,}", steps=f"{scene.kept.last:,}"))
        figure.draw_artist(counter)
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _palette(scene: Scene) -> Image.Image:
    """The palette of all frames: colors of the traces, grays from ink to white, and the surface's shading."""
    inks = [style.color for style in scene.styles]
    ramps = [
        LinearSegmentedColormap.from_list("", ("white", INK))(np.append(0, np.linspace(0.05, 1, _GREYS))),
        *(LinearSegmentedColormap.from_list("", (color, "white"))(np.linspace(0, 0.9, _BLENDS)) for color in inks),
        PALE(np.linspace(0, 0.85, _GREYS)),  # Pillow would take an almost white gray for white
    ]
    colors_N3 = np.rint(255 * np.concatenate(ramps)[:, :3]).astype(np.uint8)
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors_N3.tobytes())
    return palette


def _cursor(axes: Axes) -> Line2D:
    return axes.add_line(Line2D([0, 0], [0, 1], color=INK, linewidth=1.1, transform=axes.get_xaxis_transform()))
