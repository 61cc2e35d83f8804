"""The lab: surfaces and traces over them, in numbers that the page draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from thalweg.errors import UsageError
from thalweg.i18n import t
from thalweg.server.request import Entry, Form


if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from thalweg.figures.lab.scene import Scene
    from thalweg.paths import Trace
    from thalweg.server.request import Visit
    from thalweg.surfaces import Surface

    Frame = tuple[dict[str, Any], dict[str, NDArray[Any]]]

MOST_OPTIMIZERS: Final = 8
CHARTS: Final = ("loss", "gradient_norm", "lr", "rate_x", "rate_y", "stability_y")

_BUDGET: Final = 16_000  # kept steps × traces: as many as one frame can draw
_MOST_KEPT: Final = 4_000
_MOST_UPDATES: Final = 2_000_000  # steps × traces: seconds on one core, and 130 MB
_DRAWN_FACTORS: Final = 400  # of a schedule


def warm_up() -> None:
    """Load the lab and compile its first surface in advance, so that the first visitor need not wait."""
    form = Form({"surface": "valley", "optimizers": [{"optimizer": "sgd"}, {"optimizer": "adam"}], "steps": 100})
    draw_background(form)
    draw_traces(form)


def catalogue(_visit: Visit) -> dict[str, Any]:
    """The choices: surfaces with their descriptions, optimizers and schedules."""
    from thalweg import optimizers, schedules, surfaces
    from thalweg.surfaces.catalogue import CATALOGUE

    return {
        "surfaces": [
            {"name": name, "about": t(f"lab.about_{name}"), "parameters": dict(CATALOGUE[name].parameters)}
            for name in surfaces.names()
        ],
        "optimizers": list(optimizers.names()),
        "schedules": list(schedules.names()),
    }


def draw_background(form: Form) -> Frame:
    """The data to draw a surface.

    Raises:
        UsageError: the formula or the window is invalid.
    """
    from thalweg.figures.player.payload import background_of, texts

    facts, arrays = background_of(surface_of(form))
    return {**facts, "texts": texts()}, arrays


def draw_traces(form: Form) -> Frame:
    """Up to eight traces over a surface, at the drawn steps; `formula` is the trace whose formulas have their numbers.

    Raises:
        UsageError: an optimizer, a learning rate, a schedule or a start is invalid.
    """
    from thalweg.figures.player.payload import traces_of

    surface = surface_of(form)
    traces, labels = trace_all(form, surface)
    last = max(0, len(traces) - 1)
    explained = min(form.whole("formula", least=0, most=MOST_OPTIMIZERS, default=0), last)
    return traces_of(scene_of(surface, traces, labels, shown=CHARTS), explained)


def trace_all(form: Form, surface: Surface) -> tuple[list[Trace], list[str]]:
    """The traces that a form requests, and their labels.

    Raises:
        UsageError: see `draw_traces`.
    """
    from thalweg import optimizers
    from thalweg.figures.lab.scene import labels_of
    from thalweg.paths import trace
    from thalweg.paths.rates import suggest_lr

    rows = form.forms("optimizers", most=MOST_OPTIMIZERS)
    steps = form.whole("steps", least=1, most=_MOST_UPDATES, default=1_000)
    if steps * len(rows) > _MOST_UPDATES:
        raise UsageError("page.too_many_updates", most=f"{_MOST_UPDATES:,}")
    noise = form.number("noise", least=0, most=1e6, default=0.0)
    seed = form.whole("seed", least=0, most=2**32 - 1, default=0)
    traces, schedules = [], []
    for row in rows:
        optimizer = optimizers.read(row.text("optimizer", longest=200))
        schedule = row.text("schedule", longest=400, default="constant") or "constant"
        if row.values.get("lr") is None:
            lr = suggest_lr(surface, optimizer)
        else:
            lr = row.number("lr", least=1e-300, most=1e300)
        traces.append(trace(surface, optimizer, lr=lr, schedule=schedule, steps=steps, noise=noise, seed=seed))
        schedules.append(schedule)
    return traces, labels_of(traces, schedules)


def surface_of(form: Form) -> Surface:
    """The surface of a form, by name or formula.

    Raises:
        UsageError: the name, the formula, a parameter, the window or the start is invalid.
    """
    from thalweg import surfaces

    given = form.values.get("parameters") or {}
    if not isinstance(given, dict) or len(given) > MOST_OPTIMIZERS:
        form.refuse("parameters")
    values = Form(given)
    window, start = form.numbers("window", 4), form.numbers("start", 2)
    return surfaces.read(
        form.text("surface"),
        {str(name): values.number(name) for name in given},
        None if window is None else ((window[0], window[1]), (window[2], window[3])),
        None if start is None else (start[0], start[1]),
    )


def scene_of(surface: Surface, traces: Sequence[Trace], labels: Sequence[str], *, shown: tuple[str, ...]) -> Scene:
    """Traces over a surface, with at most as many steps as one frame can draw."""
    from thalweg.figures.lab.scene import make_scene

    limit = min(_MOST_KEPT, _BUDGET // max(1, len(traces)))
    return make_scene(surface, traces, limit=limit, labels=labels, shown=shown)


def schedule(visit: Visit) -> Frame:
    """The factors of a schedule at no more than 400 steps, from the function that training uses.

    Raises:
        UsageError: the schedule is invalid.
    """
    from thalweg import schedules

    steps = max(1, visit.whole("steps", most=_MOST_UPDATES))
    factor_S = schedules.factors(schedules.parse(visit.query.get("spec", "constant")[:2000]), steps)
    places_K = np.unique(np.linspace(0, steps - 1, min(steps, _DRAWN_FACTORS)).astype(np.int64))
    return {}, {"steps": places_K.astype(np.float64), "factor": factor_S[places_K]}


ROUTES: Final = (
    Entry("GET", "lab", catalogue),
    Entry("POST", "lab/background", lambda visit: draw_background(visit.form)),
    Entry("POST", "lab/traces", lambda visit: draw_traces(visit.form)),
    Entry("GET", "schedule", schedule),
)
