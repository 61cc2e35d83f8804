"""The player's one file: everything that its page draws, as numbers, so that no formula lives in the page's script."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg._files import write_text
from thalweg.figures.lab.heightmap import heightmap_of
from thalweg.figures.lab.scene import make_scene
from thalweg.figures.lab.texts import axis_names, event_sentence, event_summary, formula_of, settings_text, title_of
from thalweg.figures.player.document import fill_page, stage
from thalweg.figures.player.formulas import blocks_of, columns_for
from thalweg.figures.player.packing import pack
from thalweg.figures.player.relief import relief_of
from thalweg.i18n import get_language, t


if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from thalweg.figures.lab.axes import View
    from thalweg.figures.lab.columns import Chart
    from thalweg.figures.lab.scene import Scene, Style
    from thalweg.figures.player.relief import Facts
    from thalweg.paths import Trace
    from thalweg.surfaces import Surface

_BUDGET: Final = 12_000  # kept steps times traces: keeps the file near a megabyte
_MOST_KEPT: Final = 4_000  # steps
_LONGEST_LINE, _LONGEST_FORMULA = 240, 2_000  # letters of a formula
_MOST_EVENTS: Final = 4  # of one kind on one trace, each with a sentence of its own

_KEYS: Final = ("space", "arrows", "shift", "home", "picture", "zoom", "digits", "help")

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

_TEXTS: Final = ("page_optimizer", "page_loss", "page_step_of", "page_play", "page_pause", "page_no_events")


def write_player(surface: Surface, traces: Sequence[Trace], file: Path | str, *, view: View = "contour") -> None:
    """Write one HTML file that plays the traces over the surface, without a network.

    Args:
        surface: what the traces run on.
        traces: one to eight traces on this surface.
        file: where to write; replaced whole or not at all.
        view: what the page shows first, `contour` or `3d`.

    Raises:
        UsageError: more than eight traces.
        StorageError: the file cannot be written.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from thalweg import paths, surfaces
        >>> bowl = surfaces.get("bowl")
        >>> file = Path(tempfile.mkdtemp()) / "bowl.html"
        >>> write_player(bowl, [paths.trace(bowl, "adam", lr=0.1, steps=100)], file)
        >>> file.read_bytes()[:15]
        b'<!doctype html>'
    """
    scene = make_scene(surface, traces, limit=min(_MOST_KEPT, _BUDGET // len(traces)))
    title = title_of(surface)
    texts = {
        "lang": get_language(),
        "title": title,
        "formula": formula_of(surface, longest=_LONGEST_FORMULA),
        "kept_note": f"{scene.kept.note} {t('lab.page_edge_note')}",
        "settings_note": settings_text(scene),
        "table_note": t("lab.page_table_note"),
        "formulas_heading": t("formulas.heading"),
        "formulas_lit": t("formulas.lit"),
        "picture_summary": t("lab.page_summary", title=title, labels=", ".join(scene.labels)),
    }
    write_text(file, fill_page(texts, payload_of(scene, view=view), raw={"help": key_list(), "player": stage(texts)}))


def payload_of(scene: Scene, *, view: View) -> dict[str, Any]:
    """Everything that the page draws, as JSON; its numbers are in one packed block."""
    background, background_arrays = background_of(scene.surface)
    traces, trace_arrays = traces_of(scene)
    block, slots = pack({**background_arrays, **trace_arrays})
    return {"view": view, "texts": texts(), **background, **traces, "slots": slots, "block": block}


def texts() -> dict[str, str]:
    """The sentences that the page's script uses."""
    own = {
        "formulas_of": t("formulas.choose"),
        "formulas_weight": t("formulas.choose_weight"),
        "formulas_symbols": t("formulas.symbols"),
    }
    return {**{name: t(f"lab.{name}") for name in _TEXTS}, **own}


def background_of(surface: Surface) -> Facts:
    """What a page shows of a surface without traces."""
    marks = [(point.kind, *point.position, point.value) for point in surface.critical_points]
    drawing, arrays = relief_of(heightmap_of(surface), axis_names(surface), marks)
    facts = {
        "surface": drawing,
        "critical_kinds": _kinds(surface),
        "title": title_of(surface),
        "formula": formula_of(surface, longest=_LONGEST_LINE),
        "start": surface.start,
    }
    return facts, arrays


def traces_of(scene: Scene, explained: int | None = None) -> Facts:
    """What a page shows of the traces.

    Args:
        scene: the traces and the steps that are drawn.
        explained: the trace whose formulas have the numbers of every step; None: every trace.
    """
    kept = scene.kept
    arrays: dict[str, NDArray[Any]] = {"steps": kept.steps_K.astype(np.float64)}
    for number, columns in enumerate(scene.columns):
        arrays |= {f"{number}.{name}": column_K for name, column_K in columns.items()}
        if explained in {None, number}:
            own = columns_for(scene.traces[number], kept.steps_K)
            arrays |= {f"{number}.{name}": column_K for name, column_K in own.items()}
        arrays[f"{number}.height"] = scene.heightmap.heights(columns["loss"]).astype(np.float32)
    facts = {
        "step_axis": {"kind": "log1p" if kept.logarithmic else "linear", "name": t(kept.axis_key)},
        "panels": [_panel(chart) for chart in scene.charts],
        "table": [{"column": name, "title": t(f"lab.column_{name}")} for name in TABLE],
        "series": [series_of(style) for style in scene.styles],
        "events": _events(scene),
        "formulas": [blocks_of(trace) for trace in scene.traces],
        "rates": [trace.lr for trace in scene.traces],
        "note": kept.note,
    }
    return facts, arrays


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


def series_of(style: Style) -> dict[str, Any]:
    """How a page draws a path."""
    return {
        "label": style.label,
        "color": {"light": style.color, "dark": style.color_on_dark},
        "dash": [length * 2.2 for length in style.dashes[1]],  # from line widths to pixels
        "mark": MARKS[style.marker],
    }


def _events(scene: Scene) -> list[dict[str, Any]]:
    """What happened on each trace; for frequent events, the first few and their number."""
    found = []
    for number, (trace, label) in enumerate(zip(scene.traces, scene.labels, strict=True)):
        for first, words in event_summary(trace):
            alike = [event for event in trace.events if event.kind == first.kind]
            found += [
                {"series": number, "step": event.step, "text": event_sentence(label, event)}
                for event in alike[:_MOST_EVENTS]
            ]
            if len(alike) > _MOST_EVENTS:
                found.append({"series": number, "step": None, "text": t("lab.told", label=label, words=words)})
    return found


def key_list() -> str:
    """The keys of an offline page and what they do, as HTML."""
    rows = (
        f"<dt><kbd>{html.escape(t(f'lab.key_{name}'))}</kbd></dt><dd>{html.escape(t(f'lab.key_{name}_does'))}</dd>"
        for name in _KEYS
    )
    return f"<dl>{''.join(rows)}</dl>"
