"""The lab: surfaces and paths over them, in numbers that the page draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from thalweg.errors import UsageError
from thalweg.i18n import t


if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thalweg.paths import Trace
    from thalweg.server.asking import Form
    from thalweg.surfaces import Surface

    Answer = tuple[dict[str, Any], dict[str, NDArray[Any]]]

MOST_RULES: Final = 8
CHARTS: Final = ("loss", "gradient_norm", "lr", "rate_x", "rate_y", "stability_y")

_BUDGET: Final = 16_000  # kept steps times paths: what is drawn within one frame
_MOST_KEPT: Final = 4_000
_MOST_UPDATES: Final = 2_000_000  # steps times paths: seconds of one core, and 130 MB


def catalogue() -> dict[str, Any]:
    """What can be chosen: surfaces, rules and schedules, with their words."""
    from thalweg import optimizers, schedules, surfaces
    from thalweg.surfaces.catalogue import CATALOGUE

    return {
        "surfaces": [
            {"name": name, "about": t(f"lab.about_{name}"), "parameters": dict(CATALOGUE[name].parameters)}
            for name in surfaces.names()
        ],
        "rules": list(optimizers.names()),
        "schedules": list(schedules.names()),
    }


def ground(form: Form) -> Answer:
    """A surface as it is drawn.

    Raises:
        UsageError: the formula or the window cannot be meant.
    """
    from thalweg.figures.player.payload import background_of, texts

    facts, arrays = background_of(surface_of(form))
    return {**facts, "texts": texts()}, arrays


def paths(form: Form) -> Answer:
    """Up to eight paths over a surface, at the steps that are drawn.

    Raises:
        UsageError: a rule, a rate, a schedule or a start cannot be meant.
    """
    from thalweg.figures.player.payload import traces_of

    surface = surface_of(form)
    traced = trace_all(form, surface)
    scene = scene_of(surface, [path for path, _ in traced], [label for _, label in traced], shown=CHARTS)
    return traces_of(scene)


def trace_all(form: Form, surface: Surface) -> list[tuple[Trace, str]]:
    """The paths that a form asks for, each with its label.

    Raises:
        UsageError: see `paths`.
    """
    from thalweg import optimizers
    from thalweg.figures.lab.scene import labels_of
    from thalweg.paths import trace
    from thalweg.paths.rates import suggest_lr

    rows = form.forms("rules", most=MOST_RULES)
    steps = form.whole("steps", least=1, most=_MOST_UPDATES, default=1_000)
    if steps * len(rows) > _MOST_UPDATES:
        raise UsageError("page.too_many_updates", most=f"{_MOST_UPDATES:,}")
    noise = form.number("noise", least=0, most=1e6, default=0.0)
    seed = form.whole("seed", least=0, most=2**32 - 1, default=0)
    found, given = [], []
    for row in rows:
        rule = optimizers.get(row.text("rule", longest=60))
        schedule = row.text("schedule", longest=400, default="constant") or "constant"
        lr = suggest_lr(surface, rule) if row.values.get("lr") is None else row.number("lr", least=1e-300, most=1e300)
        found.append(trace(surface, rule, lr=lr, schedule=schedule, steps=steps, noise=noise, seed=seed))
        given.append(schedule)
    return list(zip(found, labels_of(found, given), strict=True))


def scene_of(surface: Surface, traced: list[Trace], names: list[str], *, shown: tuple[str, ...]) -> Any:
    """Paths made ready to be drawn."""
    from thalweg.figures.lab.scene import make_scene

    limit = min(_MOST_KEPT, _BUDGET // max(1, len(traced)))
    return make_scene(surface, traced, limit=limit, labels=names, shown=shown)


def surface_of(form: Form) -> Surface:
    """The surface that a form names, or writes as a formula.

    Raises:
        UsageError: it cannot be meant.
    """
    from thalweg import surfaces

    given = form.values.get("parameters") or {}
    if not isinstance(given, dict) or len(given) > MOST_RULES:
        form.refuse("parameters")
    values = type(form)(given)
    window, start = form.numbers("window", 4), form.numbers("start", 2)
    return surfaces.read(
        form.text("surface"),
        {str(name): values.number(name) for name in given},
        None if window is None else ((window[0], window[1]), (window[2], window[3])),
        None if start is None else (start[0], start[1]),
    )
