"""What the page draws, in numbers: all of it computed here, so that no formula lives in the page's script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from contourpy import LineType, contour_generator

from thalweg.figures.lab.relief import level_text
from thalweg.figures.lab.texts import axis_names, event_sentence, event_summary
from thalweg.figures.player.packing import pack
from thalweg.i18n import t


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.figures.lab.columns import Chart
    from thalweg.figures.lab.looks import Look
    from thalweg.figures.lab.relief import Relief
    from thalweg.figures.lab.scene import Scene
    from thalweg.figures.lab.stage import View
    from thalweg.surfaces import Surface

_TOLD: Final = 4  # events of one kind on one path
_COARSE: Final = 4  # every fourth grid point is enough for shading and relief

MARKS: Final = {
    "o": "circle",
    "s": "square",
    "^": "triangle",
    "D": "diamond",
    "v": "down",
    "P": "plus",
    "X": "cross",
    "*": "star",
}

TABLE: Final = (
    "lr",
    "loss",
    "gradient_norm",
    "x",
    "y",
    "m_x",
    "m_y",
    "sigma_x",
    "sigma_y",
    "rate_x",
    "rate_y",
    "stability_x",
    "stability_y",
    "step_length",
)

_TEXTS: Final = ("page_rule", "page_loss", "page_step_of", "page_play", "page_pause", "page_no_events")


def payload_of(scene: Scene, *, view: View) -> dict[str, Any]:
    """Everything that the page draws, as JSON can hold it; its numbers in one packed block."""
    ground, ground_arrays = ground_of(scene.surface, scene.relief)
    traces, trace_arrays = traces_of(scene)
    block, slots = pack({**ground_arrays, **trace_arrays})
    return {"view": view, "texts": texts(), **ground, **traces, "slots": slots, "block": block}


def texts() -> dict[str, str]:
    """The sentences that the page's script says by itself."""
    return {name: t(f"lab.{name}") for name in _TEXTS}


def ground_of(surface: Surface, relief: Relief) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What is drawn of the surface alone: facts and arrays."""
    drawing, arrays = _surface(surface, relief)
    return {"surface": drawing, "critical_kinds": _kinds(surface)}, arrays


def traces_of(scene: Scene) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What is drawn of the paths: facts and arrays."""
    kept = scene.kept
    arrays: dict[str, NDArray[Any]] = {"steps": kept.steps_K.astype(np.float64)}
    for number, columns in enumerate(scene.columns):
        arrays |= {f"{number}.{name}": column_K for name, column_K in columns.items()}
        arrays[f"{number}.height"] = scene.relief.heights(columns["loss"]).astype(np.float32)
    facts = {
        "step_axis": {"kind": "log1p" if kept.logarithmic else "linear", "name": t(kept.axis_key)},
        "panels": [_panel(chart) for chart in scene.charts],
        "table": [{"column": name, "title": t(f"lab.column_{name}")} for name in TABLE],
        "series": [_series(look) for look in scene.looks],
        "events": _events(scene),
    }
    return facts, arrays


def _surface(surface: Surface, relief: Relief) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    lines, starts, level_of = _contours(relief)
    heights_HW = relief.heights(relief.values_HW[::_COARSE, ::_COARSE])
    drawing = {
        "window": surface.window,
        "side": len(heights_HW),
        "axes": axis_names(surface),
        "levels": [level_text(level) for level in relief.levels_L],
        "critical": [
            {
                "kind": point.kind,
                "x": point.position[0],
                "y": point.position[1],
                "height": float(relief.heights(point.value)),
            }
            for point in surface.critical_points
        ],
        "height_ticks": [
            {"height": float(relief.heights(level)), "text": level_text(level)} for level in relief.levels_L[::3]
        ],
        "height_name": relief.height_name,
    }
    arrays = {
        "heights": np.rint(heights_HW * 65535).astype(np.uint16),
        "lines": lines,
        "starts": starts,
        "level_of": level_of,
    }
    return drawing, arrays


def _contours(relief: Relief) -> tuple[NDArray[np.float32], NDArray[np.uint32], NDArray[np.uint16]]:
    """All contour lines: points one after another, where each line starts (and the last ends), and its level."""
    generator = contour_generator(relief.x_W, relief.y_H, relief.values_HW, line_type=LineType.Separate)
    lines = [
        (number, np.asarray(line_N2, dtype=np.float64))
        for number, level in enumerate(relief.levels_L)
        for line_N2 in generator.lines(float(level))
    ]
    points = np.concatenate([np.empty((0, 2)), *(line_N2 for _, line_N2 in lines)])
    starts = np.cumsum([0, *(len(line_N2) for _, line_N2 in lines)])
    level_of = np.array([number for number, _ in lines])
    return points.astype(np.float32), starts.astype(np.uint32), level_of.astype(np.uint16)


def _kinds(surface: Surface) -> list[dict[str, str]]:
    found = {point.kind for point in surface.critical_points}
    order = ("minimum", "saddle", "maximum", "degenerate")
    return [{"kind": kind, "text": t(f"lab.critical_{kind}")} for kind in order if kind in found]


def _panel(chart: Chart) -> dict[str, Any]:
    return {
        "column": chart.column,
        "title": chart.title,
        "summary": t("lab.page_chart_summary", title=chart.title),
        "kind": chart.scale,
        "range": [chart.low, chart.high],
    }


def _series(look: Look) -> dict[str, Any]:
    return {
        "label": look.label,
        "color": {"light": look.color, "dark": look.color_on_dark},
        "dash": [length * 2.2 for length in look.dashes[1]],  # from line widths to pixels
        "mark": MARKS[look.marker],
    }


def _events(scene: Scene) -> list[dict[str, Any]]:
    """What happened on each path; of what came often, the first times, and how often it came."""
    told = []
    for number, (path, look) in enumerate(zip(scene.paths, scene.looks, strict=True)):
        for first, words in event_summary(path):
            alike = [event for event in path.events if event.kind == first.kind]
            told += [
                {"series": number, "step": event.step, "text": event_sentence(look.label, event)}
                for event in alike[:_TOLD]
            ]
            if len(alike) > _TOLD:
                told.append({"series": number, "step": None, "text": t("lab.told", label=look.label, words=words)})
    return told
